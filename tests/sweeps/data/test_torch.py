"""torch's data sets as sources: `pip install torch`, then `python -m pytest -m torch`."""

import numpy as np
import pytest
from sweeps import sources, tiny

pytestmark = pytest.mark.torch


def datasets():
    """By arrays of numbers, by one number at a time, and torch's own."""
    import torch
    from torch.utils.data import Dataset, TensorDataset

    x, y = torch.from_numpy(tiny.X.copy()), torch.from_numpy(tiny.Y.copy())

    class Indexed(Dataset):
        def __len__(self):
            return len(x)

        def __getitem__(self, rows):
            return x[rows], y[rows]

    class OneByOne(Indexed):
        def __getitem__(self, row):
            assert isinstance(row, int)
            return x[row], float(y[row])

    return Indexed(), OneByOne(), TensorDataset(x, y)


@pytest.mark.parametrize("which", range(3))
def test_a_data_set_gives_the_bits_of_any_other_source(which):
    settings = {"steps": 24, "seeds": 2}
    got = tiny.sweep(tiny.task(data=datasets()[which], validation=0.3), sources.space(), **settings)
    counting = sources.Counting(tiny.X, tiny.Y)
    expected = tiny.sweep(tiny.task(data=counting, validation=0.3), sources.space(), **settings)
    np.testing.assert_array_equal(got.dataset["valid_loss"], expected.dataset["valid_loss"])
