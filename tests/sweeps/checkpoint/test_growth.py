"""A sweep in a directory grows: seeds are added; what was trained is not trained again."""

import numpy as np
import pytest
from sweeps import tiny

import jefficient as jf


def test_seeds_are_added_and_no_trial_is_trained_again(tmp_path):
    """Bit for bit those of a sweep that had them from the start, at the same width."""
    space = jf.grid(learning_rate=np.geomspace(1e-3, 0.3, 4).tolist())
    settings = {"steps": 12, "batch_size": 8, "keep_configs": 4}
    seen = []
    with tiny.lanes(width=2, blocks=1):
        whole = tiny.sweep(tiny.task(validation=0.2), space, seeds=3, **settings)
        first = tiny.sweep(
            tiny.task(validation=0.2), space, seeds=1, directory=tmp_path / "s", **settings
        )
        grown = tiny.sweep(
            tiny.task(validation=0.2),
            space,
            seeds=3,
            directory=tmp_path / "s",
            progress=seen.append,
            **settings,
        )
    assert seen[0].trials_done >= 4
    for name in ("valid_loss", "train_loss", "status", "steps_taken"):
        np.testing.assert_array_equal(grown.dataset[name], whole.dataset[name], err_msg=name)
        np.testing.assert_array_equal(grown.dataset[name][:, :1], first.dataset[name])
    np.testing.assert_array_equal(  # not trained again: their times are those of the first call
        grown.dataset["seconds"][:, :1], first.dataset["seconds"]
    )
    assert grown.weights.keys() == whole.weights.keys()
    for trial, params in whole.weights.items():
        np.testing.assert_array_equal(grown.weights[trial], params)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": 1}, "seeds was 2, is 1"),
        ({"steps": 9}, r"steps was 6, is 9 \(a trial that is over cannot train on"),
        ({"seeds": 3, "stop": jf.successive_halving(min_steps=2)}, "none can be added under stop="),
    ],
)
def test_what_cannot_grow_is_refused_by_name(tmp_path, changes, message):
    space = jf.grid(learning_rate=[0.1, 0.2])
    settings = {"steps": 6, "batch_size": 8, "seeds": 2, "directory": tmp_path / "s"}
    settings |= {"stop": changes["stop"]} if "stop" in changes else {}
    tiny.sweep(tiny.task(validation=0.2), space, **settings)
    with pytest.raises(jf.JefficientError, match=message):
        tiny.sweep(tiny.task(validation=0.2), space, **{**settings, **changes})
