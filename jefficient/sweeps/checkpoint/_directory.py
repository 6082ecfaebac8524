"""The directory of a sweep: its snapshots, and the lock of the process that runs it."""

import os
import platform
import re
import time
from pathlib import Path
from typing import BinaryIO

from ..._core.errors import JefficientError, StorageError
from ..._core.files import DamagedError, remove_unfinished, try_lock
from ..._core.warn import warn
from ._snapshot import Snapshot, read, write

_KEPT = 2
"""Snapshots in a directory: the last one, and the one before it should the last be damaged."""

_NAME = re.compile(r"([0-9]{6}|[1-9][0-9]{6,15})\.json")
"""Of a snapshot: what `_name` returns."""

_TRIES = 5
_MOMENT = 0.05  # seconds


class EmptyError(JefficientError):
    """A sweep has written nothing yet."""


class SnapshotReader:
    """The snapshots of a directory, read without holding it."""

    def __init__(self, where: str, path: str | os.PathLike):
        self.path = Path(path)
        self._where = where

    def latest(self) -> Snapshot | None:
        """Return the newest snapshot that is whole, None where there is none.

        Raises:
            JefficientError: where there are snapshots and all are damaged.
        """
        reasons = []
        for number in sorted(self.numbers(), reverse=True):
            name = _name(number, "json")
            try:
                snapshot = read(self.path / name)
            except DamagedError as error:
                reasons.append(str(error))
                continue
            if reasons:
                warn(
                    f"{self._where}: {'; '.join(reasons)}. Going on from the snapshot before it, "
                    f"{name}."
                )
            return snapshot
        if reasons:
            raise JefficientError(
                f"{self._where}: directory must hold a whole snapshot, got {self.path}, where "
                f"{'; '.join(reasons)}. Name another directory, or delete this one to start again."
            )
        return None

    def numbers(self) -> list[int]:
        """Return the numbers of the snapshots that there are."""
        names = (_NAME.fullmatch(file.name) for file in self.path.glob("*.json"))
        return [int(name[1]) for name in names if name]


class Directory(SnapshotReader):
    """The directory of a sweep, held by one process at a time.

    Raises:
        JefficientError: where another process holds it, or it cannot be made.
    """

    def __init__(self, where: str, path: str | os.PathLike):
        super().__init__(where, path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = _locked_soon(self.path / "lock")
            _sign(self._lock)
            remove_unfinished(self.path)
        except BlockingIOError:
            holder = _signature(self.path / "lock") or "a process"
            raise JefficientError(
                f"{where}: directory must be free, got {path}, which a running sweep holds "
                f"({holder})."
            ) from None
        except OSError as error:
            raise JefficientError(
                f"{where}: directory must be one that can be written, got {path}: {error}."
            ) from None

    def close(self) -> None:
        """Release the lock."""
        self._lock.close()

    def write(self, snapshot: Snapshot) -> None:
        """Add a snapshot, then delete all but the last two.

        Raises:
            StorageError: where it cannot be written; those before it stay.
        """
        numbers = self.numbers()
        number = max(numbers, default=0) + 1
        try:
            write(self.path / _name(number, "json"), snapshot)
        except OSError as error:
            then = "The same call goes on from the last snapshot in it, once it can be written."
            if not self.path.is_dir():
                then = "It is gone, and with it what it held: the same call starts again."
            raise StorageError(
                f"{self._where}: directory must be one that can be written, got {self.path}: "
                f"{error.strerror}. {then}",
                error.errno,
            ) from error
        for old in sorted(numbers)[: 1 - _KEPT]:
            for suffix in ("json", "npz"):  # the JSON first: without it the rest is no snapshot
                (self.path / _name(old, suffix)).unlink(missing_ok=True)


def peek(where: str, path: Path) -> tuple[Snapshot, bool]:
    """Return the newest snapshot, and whether a running sweep holds the directory.

    Nothing is written, and no sweep is kept from running.

    Raises:
        JefficientError: where it is not the directory of a sweep, or all snapshots are damaged.
        EmptyError: where there is no snapshot yet.
    """
    if not (path / "lock").is_file():
        raise JefficientError(f"{where}: path must be the directory of a sweep, got {path}.")
    try:
        is_held = _is_locked(path / "lock")
    except OSError as error:
        raise JefficientError(
            f"{where}: path must be a directory that can be read, got {path}: {error.strerror}."
        ) from None
    reader = SnapshotReader(where, path)
    for _ in range(_TRIES):
        before = reader.numbers()
        try:
            found = reader.latest()
        except JefficientError:
            if set(before) & set(reader.numbers()):
                raise
            continue  # a running sweep has replaced both since
        if found is not None:
            return found, is_held
    raise EmptyError(
        f"{where}: path must hold a snapshot, got {path}, where the sweep has written none yet."
    )


def _locked_soon(path: Path) -> BinaryIO:
    """Lock a file, trying again for a moment: `peek` holds the lock for an instant."""
    for _ in range(_TRIES):
        try:
            return try_lock(path)
        except BlockingIOError:
            time.sleep(_MOMENT)
    return try_lock(path)


def _sign(lock: BinaryIO) -> None:
    """Write into the lock which process has it, for those whom it refuses."""
    os.ftruncate(lock.fileno(), 0)
    os.write(lock.fileno(), f"process {os.getpid()} on {platform.node()}".encode())


def _signature(lock: Path) -> str:
    try:
        with open(lock, "rb") as file:
            return file.read(200).decode(errors="replace")
    except OSError:
        return ""


def _is_locked(path: Path) -> bool:
    """Return whether a process has locked the file."""
    try:
        try_lock(path, shared=True).close()
    except BlockingIOError:
        return True
    return False


def _name(number: int, suffix: str) -> str:
    return f"{number:06d}.{suffix}"
