"""What MLflow and Weights & Biases have of a sweep: `python -m pytest -m loggers`."""

import json
import struct
import time

import numpy as np
import pytest
from results.made import made

import jefficient as jf
from jefficient.results import Status

pytestmark = pytest.mark.loggers

SCORES = np.array([[[0.5], [0.7]], [[0.2], [np.nan]]])
STATUS = np.array(
    [[[Status.FINISHED], [Status.STOPPED]], [[Status.INTERRUPTED], [Status.DIVERGED]]]
)
COLUMNS = {"learning_rate": [0.1, 0.2], "name": ["a", "b"]}
STEPS = np.arange(10, 101, 10)


@pytest.fixture(scope="module")
def result():
    return made(SCORES, COLUMNS, status=STATUS)


def curve(result, config, seed):
    """(step, value) of the validation loss."""
    values = result.dataset["valid_loss"].values[config, seed, 0]
    seen = np.isfinite(values)
    return list(zip(STEPS[seen].tolist(), values[seen].tolist(), strict=True))


class TestMlflow:
    @pytest.fixture(scope="class")
    def store(self, tmp_path_factory):
        return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"

    def runs(self, store):
        import mlflow

        client = mlflow.MlflowClient(store)
        experiment = client.get_experiment_by_name("made").experiment_id
        runs = client.search_runs([experiment])
        return client, {tuple(int(x.data.tags[k]) for k in ("config", "seed")): x for x in runs}

    @pytest.mark.filterwarnings("ignore")  # SQLAlchemy warns MLflow
    def test_each_trial_is_a_run(self, result, store):
        result.log(jf.mlflow("made", tracking_uri=store))
        client, runs = self.runs(store)
        assert {place: run.info.status for place, run in runs.items()} == {
            (0, 0): "FINISHED",
            (0, 1): "KILLED",
            (1, 0): "KILLED",
            (1, 1): "FAILED",
        }
        for (config, seed), run in runs.items():
            tags = run.data.tags
            rate, name = COLUMNS["learning_rate"][config], COLUMNS["name"][config]
            assert run.data.params == {"learning_rate": str(rate), "name": name}
            assert tags["configuration"] == f"learning_rate={rate}, name={name}"
            assert tags["status"] == str(result.dataset["status"].values[config, seed, 0])
            history = client.get_metric_history(run.info.run_id, "valid_loss")
            got = sorted((x.step, x.value) for x in history)
            assert got == curve(result, config, seed)

    @pytest.mark.filterwarnings("ignore")
    def test_another_process_goes_on_with_a_run(self, store):
        trial = jf.LoggedTrial("20260101-000000-0000", 7, 0, 0, "ab", {"rates[0]": 0.5})
        for step in (10, 20):
            logger = jf.mlflow("made", tracking_uri=store)
            logger.log(trial, step, {"grad_norm/['w']": step / 10})
            _, runs = self.runs(store)
            assert runs[7, 0].info.status == "RUNNING"
            logger.close()
        client, runs = self.runs(store)
        run = runs[7, 0]
        assert run.info.status == "KILLED"
        assert run.data.params == {"rates_0_": "0.5"}
        history = client.get_metric_history(run.info.run_id, "grad_norm/__w__")
        assert [(x.step, x.value) for x in history] == [(10, 1.0), (20, 2.0)]

    def test_passwords_are_not_shown(self):
        logger = jf.mlflow(tracking_uri="postgresql://me:secret@host/runs")
        assert repr(logger) == "jf.mlflow('jefficient', tracking_uri='postgresql://host/runs')"


def records(path):
    """Yield the records of a file of wandb's: LevelDB's log format after a header of 7 bytes."""
    from wandb.proto import wandb_internal_pb2

    data, place, whole = path.read_bytes(), 7, b""
    while len(data) - place >= 7:
        if 32768 - place % 32768 < 7:  # the rest of a block is empty
            place += 32768 - place % 32768
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a full record, or its last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            whole = b""
            yield record


def read(path):
    """Return what describes a run, its history as (step, values), and its exit code.

    A process of wandb's own writes the file, at times after `finish` has returned.
    """
    for _ in range(600):
        found = read_now(path)
        if found[2] is not None:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{path} has no end")


def read_now(path):
    about, history, code = None, [], None
    for record in records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            about = record.run
        elif kind == "exit":
            code = record.exit.exit_code
        elif kind == "history":
            items = record.history.item
            row = {x.key or x.nested_key[0]: json.loads(x.value_json) for x in items}
            history.append((row["_step"], row))
    return about, history, code


class TestWandb:
    def test_each_trial_is_a_run(self, result, tmp_path, monkeypatch):
        import wandb

        monkeypatch.setenv("WANDB_SILENT", "true")
        quiet = wandb.Settings(x_disable_stats=True, console="off")
        result.log(jf.wandb("made", mode="offline", dir=str(tmp_path), settings=quiet))
        found = {}
        for path in tmp_path.glob("wandb/offline-run-*/*.wandb"):
            about, history, code = read(path)
            config = {x.key: json.loads(x.value_json) for x in about.config.update}
            place = COLUMNS["learning_rate"].index(config["learning_rate"]), config["seed"]
            found[place] = about, config, history, code
        assert sorted(found) == list(np.ndindex(2, 2))
        for (config, seed), (about, given, history, code) in found.items():
            group = f"learning_rate={given['learning_rate']}, name={COLUMNS['name'][config]}"
            assert about.project == "made"
            assert about.run_group == f"{group} ({given['sweep']})"
            assert about.display_name == f"{group}, seed {seed}, fold 0"
            got = [(step, row["valid_loss"]) for step, row in history if "valid_loss" in row]
            assert got == curve(result, config, seed)
            assert code == int((config, seed) == (1, 1))
