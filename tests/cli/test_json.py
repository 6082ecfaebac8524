"""`jefficient show --json`: every entry against what the result was made of."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from results.made import made

from jefficient.cli import main
from jefficient.results import Status

SCORES = np.array([[[0.5], [0.7]], [[0.2], [0.3]], [[np.nan], [0.1]]])
COLUMNS = {"learning_rate": [0.1, 0.2, 0.3], "kind": ["a", "\x1b[2J", "c"]}
PAGE = Path(__file__).parents[2] / "docs" / "command_line.md"


def shown(result, path, capsys, *arguments):
    assert main(["show", str(result.save(path / "sweep.nc")), "--json", *arguments]) == 0

    def refuse(constant):
        raise AssertionError(constant)  # NaN and Infinity are no JSON

    return json.loads(capsys.readouterr().out, parse_constant=refuse)


def test_a_finished_sweep(tmp_path, capsys):
    got = shown(made(SCORES, COLUMNS, seconds=9.0), tmp_path, capsys, "--top", "2")
    assert got["schema"] == "jefficient.show/1"
    assert got["state"] == "finished"
    assert got["score"] == {"metric": "valid_loss", "mode": "min", "select": "last"}
    counts = {"all": 6, "running": 0, "finished": 5, "diverged": 1, "stopped": 0, "interrupted": 0}
    assert got["trials"] == counts
    assert got["updates"] == {"done": 5 * 100 + 5, "left": 0}
    assert got["seconds"] == {"so_far": 9.0, "left": 0.0}
    assert got["best"]["config"] == 1
    assert got["best"]["hyperparameters"] == {"learning_rate": 0.2, "kind": "\x1b[2J"}
    assert got["best"]["score"] == pytest.approx(0.25)
    assert got["best"]["standard_error"] == pytest.approx(0.05)  # std 0.0707 / sqrt(2)
    assert got["ties"] == [1, 0]
    assert got["configurations"] == 3
    assert [row["config"] for row in got["ranking"]] == [1, 0]
    first = got["ranking"][0]
    assert first["hash"] == f"{1:032x}"
    assert first["standard_deviation"] == pytest.approx(0.1 / np.sqrt(2))
    assert first["metrics"] == {"train_loss": pytest.approx(0.25)}
    assert (first["trials"], first["stopped"], first["diverged"]) == (2, 0, 0)
    assert {"diverged"} <= {check["name"] for check in got["checks"]}


def test_what_is_not_known_is_null(tmp_path, capsys):
    status = np.array([Status.RUNNING, Status.INTERRUPTED, Status.DIVERGED])[:, None, None]
    rates = [np.array([0.1, 0.2]), np.array([0.2, 0.3]), np.array([0.3, 0.4])]
    result = made(np.full((3, 1, 1), np.nan), {"rates": rates}, status=status)
    got = shown(result, tmp_path, capsys)
    assert got["state"] == "running"
    assert got["best"] is None
    assert got["ties"] is None
    assert [row["score"] for row in got["ranking"]] == [None] * 3
    assert got["ranking"][0]["hyperparameters"]["rates"] in ([0.1, 0.2], [0.2, 0.3], [0.3, 0.4])
    assert got["checks"]


def test_the_page_has_every_entry(tmp_path, capsys):
    (text,) = re.findall(r"^```json\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    page, got = json.loads(text), shown(made(SCORES, COLUMNS), tmp_path, capsys)
    assert list(page) == list(got)
    for name in ("score", "trials", "updates", "seconds", "best"):
        assert list(page[name]) == list(got[name])
    for name in ("ranking", "checks"):
        assert list(page[name][0]) == list(got[name][0])
    assert page["schema"] == got["schema"]


def test_it_does_not_go_with_follow(tmp_path):
    with pytest.raises(SystemExit) as ended:
        main(["show", str(tmp_path), "--json", "--follow"])
    assert ended.value.code == 2
