"""What TensorBoard reads back of what `jf.tensorboard` wrote."""

import numpy as np
import pytest
from results.made import made
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.backend_context import Context
from tensorboard.plugins.hparams.list_session_groups import Handler

import jefficient as jf
from jefficient.results import Status

SCORES = np.array([[[0.5], [0.7]], [[0.2], [0.3]], [[np.nan], [0.1]]])
STATUS = np.where(np.isnan(SCORES), Status.DIVERGED, Status.FINISHED)
STATUS[1, 1] = Status.STOPPED
STATUS[0, 1] = Status.INTERRUPTED
COLUMNS = {"learning_rate": [0.1, 0.2, 0.3], "momentum": [None, 0.9, 0.9], "name": ["a/b", "c", ""]}


@pytest.fixture
def read(tmp_path):
    """A result that was written, and the accumulators of its runs by configuration and seed."""
    result = made(SCORES, COLUMNS, status=STATUS)
    result.log(jf.tensorboard(tmp_path))
    (sweep,) = tmp_path.iterdir()
    runs = {}
    for path in sorted(sweep.glob("*/*")):
        runs[path.relative_to(sweep).parts] = EventAccumulator(str(path)).Reload()
    return result, runs


def test_scalars_are_those_of_the_dataset(read):
    result, runs = read
    assert list(dict.fromkeys(name for name, _ in runs)) == [
        "learning_rate=0.1,momentum=None,name=a_b-000000",
        "learning_rate=0.2,momentum=0.9,name=c-000000",
        "learning_rate=0.3,momentum=0.9,name=-000000",
    ]
    for ((_, place), run), (config, seed) in zip(runs.items(), np.ndindex(3, 2), strict=True):
        assert place == f"seed-{seed}-fold-0"
        for name in ("valid_loss", "train_loss"):
            values = result.dataset[name].values[config, seed, 0]
            seen = np.isfinite(values)
            got = run.Scalars(name) if name in run.Tags()["scalars"] else []
            assert [x.step for x in got] == np.arange(10, 101, 10)[seen].tolist()
            np.testing.assert_array_equal([x.value for x in got], values[seen])


def test_hparams_has_a_group_for_each_configuration(tmp_path):
    """As its tab asks for them: hyperparameters, averages over seeds, how runs ended."""
    result = made(SCORES, COLUMNS, status=STATUS)
    result.log(jf.tensorboard(tmp_path))
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(tmp_path)).Reload()
    provider = MultiplexerDataProvider(multiplexer, str(tmp_path))
    context = Context(TBContext(data_provider=provider))
    every = [api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE]
    request = api_pb2.ListSessionGroupsRequest(
        allowed_statuses=every, slice_size=9, aggregation_type=api_pb2.AGGREGATION_AVG
    )
    found = Handler(RequestContext(), context, "", request).run().session_groups

    groups = {group.name.partition(" (")[0]: group for group in found}
    assert groups.keys() == {
        "learning_rate=0.1, momentum=None, name=a/b",
        "learning_rate=0.2, momentum=0.9, name=c",
        "learning_rate=0.3, momentum=0.9, name=",
    }
    first, second, third = (groups[name] for name in sorted(groups))
    assert first.hparams["learning_rate"].number_value == 0.1
    assert first.hparams["momentum"].string_value == "None"
    assert second.hparams["momentum"].string_value == "0.9"
    (mean,) = (x.value for x in first.metric_values if x.name.tag == "valid_loss")
    assert mean == pytest.approx((0.5 + 0.7) / 2)
    unknown, success, failure = every
    ended = [[x.status for x in group.sessions] for group in (first, second, third)]
    assert sorted(ended[0]) == [unknown, success]  # one was interrupted
    assert ended[1] == [success, success]
    assert sorted(ended[2]) == [success, failure]
