"""Snapshot files: named arrays and a JSON body, whole or absent whenever the process is killed.

``000012.npz`` holds the arrays, uncompressed and without pickles; ``000012.json`` the body, and the
size and SHA-256 of both. The JSON is renamed into place last: a snapshot without it does not exist.
Nothing that is read is executed, and no array is allocated before its size has been compared with
that of its part of the file.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..._core.errors import JefficientError
from ..._core.files import write_whole

FORMAT = 3
_LARGEST_BODY = 64 * 2**20  # bytes


class Snapshot(NamedTuple):
    """The content of the two files."""

    body: dict[str, Any]  # what JSON can hold
    arrays: dict[str, np.ndarray]


class DamagedError(JefficientError):
    """A file is not what was written."""


def write(path: Path, snapshot: Snapshot) -> None:
    """Write ``path`` (a .json) and the .npz beside it, each whole or not at all."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in snapshot.arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
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
    """Return the JSON, checked against its own digest."""
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
    """Return the arrays of an uncompressed npz, none larger than its part of the file."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            return {x.filename.removesuffix(".npy"): _array(archive, x) for x in members}
    except (zipfile.BadZipFile, ValueError, KeyError, EOFError) as error:
        raise DamagedError(f"{name} is damaged ({error})") from None


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{member.filename} is compressed")
    stream = io.BytesIO(archive.read(member))
    is_first = np.lib.format.read_magic(stream) == (1, 0)
    lib = np.lib.format
    header = lib.read_array_header_1_0 if is_first else lib.read_array_header_2_0
    shape, _, dtype = header(stream)

    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if dtype.hasobject or size != member.file_size - stream.tell():
        raise ValueError(f"{member.filename} is not the array that its header describes")
    stream.seek(0)
    return lib.read_array(stream, allow_pickle=False)


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
