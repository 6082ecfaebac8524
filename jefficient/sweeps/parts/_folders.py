"""The folders of a sweep in parts, within its directory."""

import os
import re
from pathlib import Path

from ..._core.errors import ArgumentError
from ..tasks import WHERE


def part_folders(directory: str | os.PathLike | None, parts: int) -> list[Path | None]:
    """Name a folder for each part; None for each where there is no directory."""
    if directory is None:
        return [None] * parts
    if (Path(directory) / "lock").exists():
        raise ArgumentError(
            f"{WHERE}: directory must be of a sweep in parts, got {directory}, of one without an "
            f"executor. Name another directory, or leave executor out."
        )
    names = [f"part-{i:04d}-of-{parts:04d}" for i in range(parts)]
    others = [folder.name for folder in folders_in(Path(directory))]
    if not set(others) <= set(names):
        raise ArgumentError(
            f"{WHERE}: parts must be as when the directory was begun, got parts={parts} and "
            f"{others[0]} in it."
        )
    return [Path(directory) / name for name in names]


def check_whole(directory: str | os.PathLike) -> None:
    """Refuse the directory of a sweep in parts for a sweep without an executor."""
    if found := folders_in(Path(directory)):
        raise ArgumentError(
            f"{WHERE}: directory must be of a sweep without an executor, got {directory}, which "
            f"has {found[0].name}. Give the executor and parts again, or name another directory."
        )


def folders_in(directory: Path) -> list[Path]:
    """Return the folders of parts that have begun."""
    folders = (x for x in directory.glob("part-*") if x.is_dir())
    return sorted(x for x in folders if re.fullmatch(r"part-\d+-of-\d+", x.name))
