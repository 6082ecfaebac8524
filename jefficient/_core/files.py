"""Files that are written whole or not at all, and read only as they were written.

What is read or replaced is a regular file: a device, a FIFO or a directory is refused at once. A
sealed file ends with the SHA-256 of all bytes before it, which is compared before anything else is
made of them.
"""

import contextlib
import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .errors import JefficientError, StorageError

_UNFINISHED = ".new"
"""The ending of a file name while it is written; a killed process leaves such a file behind."""

_SEAL = b"\njefficient sha256 "
_SEAL_LENGTH = len(_SEAL) + 2 * hashlib.sha256().digest_size


class DamagedError(JefficientError):
    """A file is not what was written."""


def save_whole(where: str, path: Path, data: bytes) -> Path:
    """Write a file that the user named, whole or not at all, and return its path.

    Raises:
        StorageError: where it cannot be written.
    """
    try:
        write_whole(path, data)
    except OSError as error:
        raise StorageError(
            f"{where}: path must be one that can be written, got {path}: {error.strerror}. "
            f"Choose another path, or make room.",
            error.errno,
        ) from error
    return path


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all; of a symlink, the file that it points to.

    The bytes go to a temporary name first, which is renamed once they are on the disk. That name is
    random: of two processes that write one path at a time one comes last, whole. It is locked as
    long as the writer lives: what is not locked was left behind by a killed one, and is removed.

    Raises:
        OSError: where it cannot be written, or something else than a regular file is there.
    """
    path = Path(os.path.realpath(path))
    mode = None
    with contextlib.suppress(FileNotFoundError):
        before = os.stat(path)
        _check_regular(before, path)
        mode = stat.S_IMODE(before.st_mode)
    remove_unfinished(path.parent, re.escape(path.name))
    file = _begun(path)
    try:
        with file:
            if mode is not None:  # that of the file which is replaced
                os.chmod(file.name, mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            if os.name == "nt":  # which renames no open file
                file.close()
            os.replace(file.name, path)
    except BaseException:
        Path(file.name).unlink(missing_ok=True)
        raise
    if hasattr(os, "O_DIRECTORY"):  # the rename is on the disk once the directory is
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _begun(path: Path) -> BinaryIO:
    """Create and lock a temporary file for `path`."""
    while True:
        name = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_UNFINISHED}")
        file = open(name, "xb")  # noqa: SIM115
        with contextlib.suppress(OSError):  # some file systems have no locks: nothing is removed
            _lock(file, "LOCK_EX")
        if name.exists():
            return file
        file.close()  # somebody took it for one that was left behind


def remove_unfinished(folder: Path, name: str = ".+") -> None:
    """Remove what killed writers left in a folder, of the files whose name matches a pattern."""
    pattern = re.compile(rf"\.{name}\.[0-9a-f]{{8}}{re.escape(_UNFINISHED)}")
    with os.scandir(folder) as entries:
        found = [Path(entry.path) for entry in entries if pattern.fullmatch(entry.name)]
    for path in found:
        with contextlib.suppress(OSError), open_regular(path, os.O_RDWR) as file:
            if _lock(file, "LOCK_EX", "LOCK_NB"):
                path.unlink()


def _lock(file: BinaryIO, *flags: str) -> bool:
    """Lock a file until it is closed; return whether this machine has such locks."""
    try:
        import fcntl
    except ImportError:  # on Windows
        return False
    fcntl.flock(file, sum(getattr(fcntl, flag) for flag in flags))
    return True


def try_lock(path: Path, *, shared: bool = False) -> BinaryIO:
    """Open and lock a file, which the process that closes it, or ends, releases.

    Args:
        path: the file; it is created unless `shared`.
        shared: whether others may lock it so too.

    Raises:
        BlockingIOError: where another process has locked it.
    """
    file = open_regular(path, os.O_RDONLY if shared else os.O_RDWR | os.O_CREAT)
    try:
        _lock(file, "LOCK_SH" if shared else "LOCK_EX", "LOCK_NB")
    except OSError:
        file.close()
        raise
    return file


def open_regular(path: Path, flags: int = os.O_RDONLY) -> BinaryIO:
    """Open a regular file without waiting, as opening a FIFO would.

    Raises:
        OSError: where it is something else, or cannot be opened.
    """
    flags |= getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags, 0o666)
    try:
        _check_regular(os.fstat(handle), path)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def _check_regular(status: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))


def read_whole(path: Path, size: int) -> bytes:
    """Read a file that has `size` bytes.

    Raises:
        DamagedError: where it cannot be read, or has another size.
    """
    with _reading(path) as (file, actual):
        if actual != size:
            raise DamagedError(f"{path.name} is damaged ({actual:,} bytes instead of {size:,})")
        return file.read(size)


def sealed(data: bytes) -> bytes:
    """Append the digest that `read_sealed` compares."""
    return data + _seal(data)


def _seal(data: bytes) -> bytes:
    return _SEAL + hashlib.sha256(data).hexdigest().encode()


def read_sealed(path: Path, most: float = float("inf")) -> bytes:
    """Read what was `sealed`, and return it as it was before.

    Args:
        path: the file.
        most: bytes that it may have.

    Raises:
        DamagedError: where it cannot be read, is larger, or not what was sealed.
    """
    with _reading(path) as (file, size):
        if size > most:
            raise DamagedError(f"{path.name} is damaged ({size:,} bytes, {most:,} at most)")
        length = max(size - _SEAL_LENGTH, 0)
        file.seek(length)
        seal = file.read(_SEAL_LENGTH)
        if not seal.startswith(_SEAL):  # said before all of it is read, however large it is
            raise DamagedError(
                f"{path.name} does not end with the SHA-256 that this version writes (it was cut "
                f"or changed, or something else wrote it, such as an earlier version)"
            )
        file.seek(0)
        data = file.read(length)
    if _seal(data) != seal:
        raise DamagedError(
            f"{path.name} is damaged (its SHA-256 is not the one that was written: it was changed)"
        )
    return data


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Open a file, and yield it with its size."""
    try:
        with open_regular(path) as file:
            yield file, os.fstat(file.fileno()).st_size
    except OSError as error:
        raise DamagedError(f"{path.name} cannot be read ({error.strerror})") from None
    except MemoryError:
        raise DamagedError(f"{path.name} is larger than the memory") from None


@contextlib.contextmanager
def decoding(what: str) -> Iterator[None]:
    """Turn whatever decoding raises into a `DamagedError`.

    A file may vouch for itself and be wrong all the same: everything that is made of what was read
    is made within this.

    Args:
        what: that is decoded, which messages begin with.
    """
    try:
        yield
    except (JefficientError, Warning):
        raise
    except Exception as error:
        raise DamagedError(f"{what} is damaged ({type(error).__name__})") from error
