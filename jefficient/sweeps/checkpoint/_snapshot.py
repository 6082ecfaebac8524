"""Snapshots on disk: named arrays and a JSON body, written so that a crash at any moment leaves a whole one.

A directory holds ``000012.npz`` (arrays, uncompressed, nothing pickled) and ``000012.json`` (the
body, and the size and SHA-256 of both). The JSON is renamed into place last: a snapshot without it
does not exist. The last two are kept. Nothing that is read is executed, and no array is made before
its size is known to be in the file.
"""

import hashlib
import io
import json
import os
import time
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..._core.errors import JefficientError, JefficientWarning
from ..._core.files import UNFINISHED, write_whole

FORMAT = 1
_KEPT = 2
_TRIES = 5
_MOMENT = 0.05  # seconds
_LARGEST_BODY = 64 * 2**20  # bytes


class Snapshot(NamedTuple):
    """What is on disk. `body`: what JSON can hold; `arrays`: name to array."""

    body: dict[str, Any]
    arrays: dict[str, np.ndarray]


class DamagedError(JefficientError):
    """A file is not what was written."""


class EmptyError(JefficientError):
    """A sweep has written nothing yet."""


class Directory:
    """The snapshots of one sweep, held by one process at a time.

    Raises:
        JefficientError: where another process holds it, or it cannot be made.
    """

    def __init__(self, where: str, path: str | os.PathLike):
        self.path = Path(path)
        self._where = where
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = _locked_soon(self.path / "lock")
            for left_behind in self.path.glob(f".*{UNFINISHED}"):
                left_behind.unlink(missing_ok=True)
        except BlockingIOError:
            raise JefficientError(
                f"{where}: directory must be free, got {path}, which a running sweep holds."
            ) from None
        except OSError as error:
            raise JefficientError(
                f"{where}: directory must be one that can be written, got {path}: {error}."
            ) from None

    def close(self) -> None:
        """Let others have it."""
        self._lock.close()

    def latest(self) -> Snapshot | None:
        """The newest snapshot that is whole, None where there is none.

        Raises:
            JefficientError: where there are snapshots and all are damaged.
        """
        reasons = []
        for number in sorted(self._numbers(), reverse=True):
            try:
                snapshot = read(self.path / _name(number, "json"))
            except DamagedError as error:
                reasons.append(str(error))
                continue
            if reasons:
                warnings.warn(
                    f"{self._where}: {'; '.join(reasons)}. Going on from the one before it, {_name(number, 'json')}.",
                    JefficientWarning,
                    stacklevel=2,
                )
            return snapshot
        if reasons:
            raise JefficientError(
                f"{self._where}: directory must hold a whole snapshot, got {self.path}, where {'; '.join(reasons)}. "
                f"Name another directory, or delete this one to start again."
            )
        return None

    @classmethod
    def peek(cls, where: str, path: Path) -> tuple[Snapshot, bool]:
        """The newest snapshot, and whether a sweep holds the directory: nothing is written, nobody is kept out.

        Raises:
            JefficientError: where it is not the directory of a sweep, or all snapshots are damaged.
            EmptyError: where there is none yet.
        """
        self = cls.__new__(cls)
        self.path, self._where = path, where
        if not (path / "lock").is_file():
            raise JefficientError(f"{where}: path must be the directory of a sweep, got {path}.")
        is_held = _is_locked(path / "lock")
        for _ in range(_TRIES):
            before = self._numbers()
            try:
                found = self.latest()
            except JefficientError:
                if set(before) & set(self._numbers()):
                    raise
                continue  # a running sweep has written two since
            if found is not None:
                return found, is_held
        raise EmptyError(
            f"{where}: path must hold a snapshot, got {path}, where the sweep has written none yet."
        )

    def write(self, snapshot: Snapshot) -> None:
        """Add a snapshot, then drop all but the last two."""
        numbers = self._numbers()
        number = max(numbers, default=0) + 1
        write(self.path / _name(number, "json"), snapshot)
        for old in sorted(numbers)[: 1 - _KEPT]:
            for suffix in ("json", "npz"):  # the JSON first: what is left is no snapshot any more
                (self.path / _name(old, suffix)).unlink(missing_ok=True)

    def _numbers(self) -> list[int]:
        return [int(file.stem) for file in self.path.glob("*.json") if file.stem.isdigit()]


def write(path: Path, snapshot: Snapshot) -> None:
    """Write ``path`` (a .json) and the .npz beside it, each whole or not at all."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in snapshot.arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as part:
                np.lib.format.write_array(part, np.asarray(array), allow_pickle=False)
    data = buffer.getvalue()
    content = {"format": FORMAT, "bytes": len(data), "sha256": _digest(data), "body": snapshot.body}
    text = json.dumps({"sha256": _digest(_canonical(content)), "content": content}).encode()
    write_whole(path.with_suffix(".npz"), data)
    write_whole(path, text)


def read(path: Path) -> Snapshot:
    """Read what `write` wrote.

    Raises:
        DamagedError: where it is not there, truncated, changed, or something else.
    """
    content = _content(path)
    arrays = path.with_suffix(".npz")
    data = _bytes(arrays, content["bytes"])
    if _digest(data) != content["sha256"]:
        raise DamagedError(
            f"{arrays.name} is damaged (its SHA-256 is not the one that was written)"
        )
    return Snapshot(content["body"], _arrays(arrays.name, data))


def _content(path: Path) -> dict[str, Any]:
    """The JSON, checked against its own digest."""
    try:
        signed = json.loads(_bytes(path))
        content = signed["content"]
        if signed["sha256"] != _digest(_canonical(content)):
            raise DamagedError(
                f"{path.name} is damaged (its SHA-256 is not the one that was written)"
            )
        if content["format"] != FORMAT:
            raise DamagedError(f"{path.name} has format {content['format']}, not {FORMAT}")
    except (ValueError, KeyError, TypeError):  # UnicodeDecodeError is a ValueError
        raise DamagedError(f"{path.name} is damaged (not what a sweep writes)") from None
    return content


def _bytes(path: Path, size: int | None = None) -> bytes:
    try:
        actual = path.stat().st_size
        if size is None and actual > _LARGEST_BODY:
            raise DamagedError(
                f"{path.name} is damaged ({actual:,} bytes, {_LARGEST_BODY:,} at most)"
            )
        if size is not None and actual != size:
            raise DamagedError(f"{path.name} is damaged ({actual:,} bytes instead of {size:,})")
        return path.read_bytes()
    except OSError as error:
        raise DamagedError(f"{path.name} cannot be read ({error.strerror})") from None


def _arrays(name: str, data: bytes) -> dict[str, np.ndarray]:
    """The arrays of an uncompressed npz, none larger than its part of the file."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {
                part.filename.removesuffix(".npy"): _array(archive, part)
                for part in archive.infolist()
            }
    except (zipfile.BadZipFile, ValueError, KeyError, EOFError) as error:
        raise DamagedError(f"{name} is damaged ({error})") from None


def _array(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> np.ndarray:
    if part.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{part.filename} is compressed")
    stream = io.BytesIO(archive.read(part))
    version = np.lib.format.read_magic(stream)
    header = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = header(stream)
    if (
        dtype.hasobject
        or int(np.prod(shape, dtype=object)) * dtype.itemsize != part.file_size - stream.tell()
    ):
        raise ValueError(f"{part.filename} is not the array that its header describes")
    stream.seek(0)
    return np.lib.format.read_array(stream, allow_pickle=False)


def _locked_soon(path: Path) -> Any:
    """As `_locked`, tried again for a moment: who only asks whether the file is locked holds it for as long."""
    for _ in range(_TRIES):
        try:
            return _locked(path)
        except BlockingIOError:
            time.sleep(_MOMENT)
    return _locked(path)


def _locked(path: Path) -> Any:
    """An open file that no other process has locked; the lock ends with the process."""
    file = open(path, "a")  # noqa: SIM115
    try:
        import fcntl
    except ImportError:  # no such locks on Windows
        return file
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise
    return file


def _is_locked(path: Path) -> bool:
    """Whether a process has locked the file."""
    try:
        import fcntl
    except ImportError:
        return False
    with open(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _name(number: int, suffix: str) -> str:
    return f"{number:06d}.{suffix}"
