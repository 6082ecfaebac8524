"""Files that were damaged, or made to do harm: refused, or read as what they were."""

import json
import sys
from pathlib import Path

import processes
import pytest

FUZZING = Path(__file__).with_name("fuzzing.py")
MUTATIONS = 120
"""Thousands are tried by `tests/benchmarks/fuzz.py`."""


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
@pytest.mark.parametrize("target", ["result", "snapshot", "weights"])
def test_mutated_files_are_refused_or_read_as_they_were(target):
    done = processes.run(FUZZING, target, MUTATIONS)
    assert done.returncode == 0, done.stderr[-3000:]  # its last line says which mutation
    outcomes = json.loads(done.stdout)
    assert sum(outcomes.values()) == MUTATIONS
    assert outcomes["refused"] > MUTATIONS / 2
