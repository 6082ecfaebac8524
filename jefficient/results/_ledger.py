"""What loggers have been told of a sweep, in memory or in the directory of the sweep."""

import datetime
import json
import os
import re
import secrets
from pathlib import Path
from typing import NamedTuple

from .._core.files import decoding

_FILE = "logged.jsonl"
_SWEEP = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}")


class Told(NamedTuple):
    """The last step and status that a logger has been told of a trial; -1 and "" for nothing."""

    step: int = -1
    status: str = ""


class Ledger:
    """What each logger has been told of each trial.

    In a directory it is a file of JSON lines: the name of the sweep, then a line for all that a
    logger was told of a trial at a time. It is written after the logger has written, so that a
    process that is killed in between tells one evaluation twice, and loses none.

    Attributes:
        sweep: a name of the sweep.
    """

    def __init__(self, where: str, directory: Path | None = None):
        self.sweep = f"{datetime.datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        self._told: dict[tuple[str, str], Told] = {}
        self._path = None if directory is None else directory / _FILE
        if self._path is None:
            return
        if self._path.exists() and b"\n" in self._path.read_bytes():  # its first line is whole
            with decoding(f"{where}: directory must be of a sweep, got {directory}, whose {_FILE}"):
                self._read(self._path)
        else:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(json.dumps(self.sweep) + "\n")

    def _read(self, path: Path) -> None:
        text = path.read_text()
        whole = text[: text.rfind("\n") + 1]  # a process that was killed leaves a part of a line
        sweep, *lines = map(json.loads, whole.splitlines())
        if not _SWEEP.fullmatch(sweep):
            raise ValueError(sweep)
        self.sweep = sweep
        for logger, trial, step, status in lines:
            self._told[str(logger), str(trial)] = Told(int(step), str(status))
        if whole != text:
            os.truncate(path, len(whole.encode()))

    def told(self, logger: str, trial: str) -> Told:
        """Return what a logger has been told of a trial."""
        return self._told.get((logger, trial), Told())

    def note(self, logger: str, trial: str, told: Told) -> None:
        """Note what a logger has been told of a trial."""
        self._told[logger, trial] = told
        if self._path is not None:
            with open(self._path, "a") as file:
                file.write(json.dumps([logger, trial, *told]) + "\n")
