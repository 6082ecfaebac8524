"""Snapshot files: named arrays and a JSON body, whole or absent whenever the process is killed.

``000012.npz`` holds the arrays, uncompressed and without pickles; ``000012.json`` the body, the
size and SHA-256 of the arrays, and its own SHA-256 at the end. The JSON is renamed into place last:
a snapshot without it does not exist. Bytes are compared with their digest before they are parsed.
Nothing that is read is executed, and no array is allocated before its size has been compared with
that of its part of the file.
"""

import io
import json
import math
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..._core.files import DamagedError, decoding, read_sealed, read_whole, sealed, write_whole
from ..._core.serialization import digest

FORMAT = 6
_LARGEST_BODY = 64 * 2**20  # bytes
_KINDS = "biufcSU"
"""Of the dtypes that arrays have: numbers and texts, no objects."""


class Snapshot(NamedTuple):
    """The content of the two files."""

    body: dict[str, Any]  # what JSON can hold
    arrays: dict[str, np.ndarray]


def write(path: Path, snapshot: Snapshot) -> None:
    """Write ``path`` (a .json) and the .npz beside it, each whole or not at all."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in snapshot.arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
    data = buffer.getvalue()
    content = {"format": FORMAT, "bytes": len(data), "sha256": digest(data), "body": snapshot.body}
    write_whole(path.with_suffix(".npz"), data)
    write_whole(path, sealed(json.dumps(content).encode()))


def read(path: Path) -> Snapshot:
    """Read what `write` wrote.

    Raises:
        DamagedError: where it is not there, truncated, changed, or something else.
    """
    text = read_sealed(path, _LARGEST_BODY)
    with decoding(path.name):
        content = json.loads(text)
        body = dict(content["body"])
        size, signature = int(content["bytes"]), content["sha256"]
        if content["format"] != FORMAT:
            raise DamagedError(f"{path.name} has format {content['format']!r:.20}, not {FORMAT}")

    arrays = path.with_suffix(".npz")
    data = read_whole(arrays, size)
    if digest(data) != signature:
        raise DamagedError(
            f"{arrays.name} is damaged (its SHA-256 is not the one that was written)"
        )
    with decoding(arrays.name):
        return Snapshot(body, _arrays(arrays.name, data))


def _arrays(name: str, data: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of an uncompressed npz, none larger than its part of the file."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > len(data):
            raise DamagedError(f"{name} is damaged (its members declare more than it holds)")
        return {x.filename.removesuffix(".npy"): _array(name, archive, x) for x in members}


def _array(name: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    if member.compress_type != zipfile.ZIP_STORED:
        raise DamagedError(f"{name} is damaged (a member is compressed)")
    content = archive.read(member)
    stream = io.BytesIO(content)
    lib = np.lib.format
    is_first = lib.read_magic(stream) == (1, 0)
    header = lib.read_array_header_1_0 if is_first else lib.read_array_header_2_0
    shape, is_fortran, dtype = header(stream)

    size = math.prod(shape) * dtype.itemsize
    is_known = dtype.kind in _KINDS and dtype.itemsize > 0 and min(shape, default=0) >= 0
    if not is_known or size != len(content) - stream.tell():
        raise DamagedError(
            f"{name} is damaged (a member is not the array that its header describes)"
        )
    array = np.frombuffer(content, dtype, offset=stream.tell())
    return array.reshape(shape, order="F" if is_fortran else "C").copy(order="K")
