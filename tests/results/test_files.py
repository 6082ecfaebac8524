"""What is saved comes back, and what is not whole is refused."""

import json
import os
import socket

import chex
import fuzzing
import h5netcdf
import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from results.made import made
from safetensors import safe_open
from sweeps import small, tiny

import jefficient as jf
from jefficient.cli import main
from jefficient.results import NO_CHECKPOINTS, Result, _files


def with_weights(weights):
    result = made([[[0.1]], [[0.2]]], {"learning_rate": [0.1, 0.2], "name": ["λ", "b"]})
    return Result(
        result.dataset,
        weights=weights,
        test=xr.Dataset({"test_loss": ("seed", [0.3])}, attrs={"config": 0}),
    )


PLAIN = {
    (0, 0, 0): {
        "layers": [
            {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.float16([1.5, -2.0])},
            (np.array(jnp.bfloat16(0.1)), None, np.int8([3])),
        ],
        "alive": np.array([True, False]),
        "phase": np.complex64([1 + 2j]),
        "nothing": np.zeros((0, 2), np.float32),
    },
    (1, 0, 0): {"other": np.float64(2.5).reshape(())},
}


def test_all_of_a_result_comes_back(tmp_path):
    result = with_weights(PLAIN)
    path = result.save(tmp_path / "sweep.nc")
    loaded = jf.load(str(path))
    xr.testing.assert_identical(loaded.dataset, result.dataset)
    xr.testing.assert_identical(loaded.test, result.test)
    assert loaded.space == {"learning_rate": (0.1, 0.2), "name": ("λ", "b")}
    assert loaded.weights.keys() == PLAIN.keys()
    for place, tree in PLAIN.items():
        assert jax.tree.structure(loaded.weights[place]) == jax.tree.structure(tree)
        for one, other in zip(
            jax.tree.leaves(loaded.weights[place]), jax.tree.leaves(tree), strict=True
        ):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
    assert [file.name for file in tmp_path.iterdir()] == ["sweep.nc"]
    with xr.open_dataset(path, engine="h5netcdf") as read:  # for anyone who has no jefficient
        np.testing.assert_array_equal(read["valid_loss"], result.dataset["valid_loss"])


def test_every_bit_is_checked(tmp_path):
    """Any byte that differs is noticed, or is one that says nothing."""
    result = with_weights(PLAIN)
    path = result.save(tmp_path / "sweep.nc")
    whole = path.read_bytes()
    rng, noticed = np.random.default_rng(0), 0
    for place in rng.choice(len(whole), 40, replace=False):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 64]) + whole[place + 1 :])
        try:
            loaded = jf.load(path)
        except jf.JefficientError:
            noticed += 1
        else:
            xr.testing.assert_identical(loaded.dataset, result.dataset)
            chex.assert_trees_all_equal(dict(loaded.weights), PLAIN)
    assert noticed > 5
    for length in (0, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(
            jf.JefficientError, match=r"jf.load: path must be a file that result.save wrote, got"
        ):
            jf.load(path)


def test_a_number_that_was_changed_is_noticed(tmp_path):
    path = with_weights(PLAIN).save(tmp_path / "sweep.nc")
    with h5py.File(path) as file:
        place = file["valid_loss"].id.get_offset()
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(jf.JefficientError, match="SHA-256 is not the one that was written"):
        jf.load(path)


def test_what_is_no_result_is_refused(tmp_path):
    with pytest.raises(jf.JefficientError, match=r"jf.load: file not found: "):
        jf.load(tmp_path / "nowhere.nc")
    (tmp_path / "text.nc").write_text("hello")
    xr.Dataset({"x": ("a", [1.0])}).to_netcdf(tmp_path / "foreign.nc", engine="h5netcdf")
    for name in ("text.nc", "foreign.nc"):
        with pytest.raises(jf.JefficientError, match=r"path must be a file that result.save wrote"):
            jf.load(tmp_path / name)
    with pytest.raises(jf.JefficientError, match=r"jf.load: path must be the directory of a sweep"):
        jf.load(tmp_path)
    with pytest.raises(
        jf.JefficientError, match=r"jf.Result.save: path must be one that can be written"
    ):
        with_weights({}).save(tmp_path / "no" / "such" / "folder.nc")


def test_a_file_of_an_earlier_version_is_refused(tmp_path):
    """Its digest was an attribute; evaluations were called looks, and examples rows."""
    result = with_weights({})
    path = tmp_path / "sweep.nc"
    result.dataset.assign_attrs(sha256="0" * 64).to_netcdf(path, engine="h5netcdf")
    with pytest.raises(jf.JefficientError, match=r"got .*sweep.nc.*earlier version.*sweep again"):
        jf.load(path)
    earlier = result.dataset.rename({"evaluation": "look", "training_examples": "training_rows"})
    _files.save("here", path, earlier, None, NO_CHECKPOINTS)
    message = (
        r"jf.load: .* lacks the variables \['evaluation', 'training_examples'\]: .*sweep again"
    )
    with pytest.raises(jf.JefficientError, match=message):
        jf.load(path)


@pytest.mark.parametrize("name", ["metric", "mode", "select"])
def test_a_file_without_an_attribute_is_refused(tmp_path, capsys, name):
    result = with_weights({})
    del result.dataset.attrs[name]
    path = result.save(tmp_path / "sweep.nc")
    with pytest.raises(jf.JefficientError, match=rf"lacks the attributes \['{name}'\]: "):
        jf.load(path)
    assert main(["show", str(path)]) == 1
    assert f"lacks the attributes ['{name}']" in capsys.readouterr().err


@pytest.mark.parametrize("takes", ["[]", '["loss"]', '{"valid_loss": "l2"}', '{"valid_loss": [1]}'])
def test_a_file_with_other_json_than_is_meant_is_refused(tmp_path, takes):
    result = with_weights({})
    result.dataset.attrs["loss_takes"] = takes
    with pytest.raises(jf.JefficientError, match="which is damaged") as raised:
        jf.load(result.save(tmp_path / "sweep.nc"))
    assert str(raised.value.__cause__) == "loss_takes"


@pytest.mark.parametrize("make", fuzzing.HOSTILE)
def test_what_leads_out_of_a_file_or_declares_more_than_it_holds_is_refused(tmp_path, make):
    """The digest is right: whoever made it could compute it."""
    other = with_weights({}).save(tmp_path / "other.nc")
    path = tmp_path / "sweep.nc"
    content = other.read_bytes()
    path.write_bytes(fuzzing.edited(content, lambda file: make(file, "secret", str(other))))
    with h5netcdf.File(path) as anyone_s:
        assert "secret" in anyone_s.variables
    with pytest.raises(jf.JefficientError, match=r"which is damaged \(ValueError\)") as raised:
        jf.load(path)
    reasons = ("links to elsewhere", "not in one piece in the file", "declares more than it holds")
    assert any(reason in str(raised.value.__cause__) for reason in reasons)


def test_attributes_are_bounded_as_texts_are(tmp_path):
    """Each of many texts in an attribute may be one and the same in the file."""
    result = with_weights({})
    result.dataset.attrs["notes"] = ["a", "b"]
    assert jf.load(result.save(tmp_path / "sweep.nc")).dataset.attrs["notes"] == ["a", "b"]
    result.dataset.attrs["notes"] = ["a"] * 33
    with pytest.raises(jf.JefficientError, match="an attribute has 33 texts, 32 at most"):
        result.save(tmp_path / "sweep.nc")


@pytest.mark.parametrize("name", ["DIMENSION_LIST", "CLASS", "NAME", "DIMENSION_LABELS"])
def test_attributes_that_hdf5_trusts_are_checked(tmp_path, name):
    """A DIMENSION_LIST that is longer than the array has dimensions overwrites memory."""
    path = with_weights({}).save(tmp_path / "sweep.nc")

    def change(file):
        attributes = file["learning_rate"].attrs
        attributes[name] = next(iter(file["valid_loss"].attrs["DIMENSION_LIST"]))[:1].repeat(100)

    path.write_bytes(fuzzing.edited(path.read_bytes(), change))
    with pytest.raises(jf.JefficientError, match="which is damaged") as raised:
        jf.load(path)
    assert "an attribute is not what netCDF has" in str(raised.value.__cause__)


def test_large_weights_load(tmp_path):
    """NetCDF declares a dimension as an array that is never written."""
    weights = {(0, 0, 0): {"w": np.ones(10**5, np.float16)}}
    loaded = jf.load(with_weights(weights).save(tmp_path / "sweep.nc"))
    chex.assert_trees_all_equal(dict(loaded.weights), weights)


@pytest.mark.parametrize("name", ["fifo", "socket", "/dev/zero", "/dev/full"])
def test_what_is_no_file_is_neither_read_nor_written(tmp_path, name):
    """Reading a FIFO waits for a writer, and /dev/zero has no end."""
    path = tmp_path / name
    if name == "fifo":
        os.mkfifo(path)
    elif name == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(path))
    kind = path.lstat().st_mode
    with pytest.raises(jf.JefficientError, match=r"path must be a file that result.save wrote"):
        jf.load(path)
    result = with_weights(PLAIN)
    for write in (result.save, result.report, lambda path: result.save_params(path, config=0)):
        with pytest.raises(jf.StorageError, match=r"path must be one that can be written, got .*"):
            write(path)
    assert path.lstat().st_mode == kind


@pytest.fixture(scope="module")
def swept():
    return small.sweep(n=4, stop=None)


def doubled(params, batch, key):
    return 2 * small.loss(params, batch, key)


def test_a_sweep_is_trained_again_from_a_file(swept, tmp_path):
    path = swept.save(tmp_path / "sweep.nc")
    alone = jf.load(path)
    chex.assert_trees_all_equal(dict(alone.weights), dict(swept.weights))
    for method in (alone.replay, alone.refit):
        with pytest.raises(
            jf.JefficientError, match=r"the task must be at hand.*jf.load\(path, task=…\)"
        ):
            method()
    loaded = jf.load(path, task=small.task(), optimizer=jf.adam, space=small.space(4))
    again = loaded.replay(seed=1, fold=1)
    chex.assert_trees_all_equal(again.params, swept.params(seed=1, fold=1))
    best = loaded.best().config
    np.testing.assert_array_equal(
        again.dataset["valid_loss"][0, 0, 0], swept.dataset["valid_loss"][best, 1, 1]
    )
    for changes, message in (
        ({"space": small.space(5)}, "space must be that of the sweep"),
        (
            {"task": small.task(data={"x": small.X, "y": small.X})},
            "the task's data .* must be those of the sweep",
        ),
        (
            {"optimizer": jf.sgd},
            "the functions of task and optimizer must be those of the sweep, got others for",
        ),
        ({"task": small.task(loss=doubled)}, "the functions of task and optimizer must be those"),
    ):
        with pytest.raises(jf.ArgumentError, match=message):
            jf.load(
                path,
                **{"task": small.task(), "optimizer": jf.adam, "space": small.space(4), **changes},
            )


@pytest.mark.parametrize("package", ["jefficient", "jax", "optax"])
def test_programs_of_another_version_are_not_compared(swept, tmp_path, package):
    given = {"task": small.task(), "optimizer": jf.adam, "space": small.space(4)}
    other = jf.load(swept.save(tmp_path / "sweep.nc"))
    attributes = other.dataset.attrs
    programs = dict.fromkeys(json.loads(attributes["programs"]), "others")
    attributes["programs"] = json.dumps(programs)
    with pytest.raises(jf.ArgumentError, match="must be those of the sweep, got others"):
        jf.load(other.save(tmp_path / "same.nc"), **given)
    versions = {**json.loads(attributes["versions"]), package: "0.0.1"}
    attributes["versions"] = json.dumps(versions)
    loaded = jf.load(other.save(tmp_path / "other.nc"), **given)
    assert loaded.best().config == swept.best().config


def test_functions_that_are_others_by_a_setting_of_jax_say_so(swept, tmp_path):
    path = swept.save(tmp_path / "sweep.nc")
    given = {"task": small.task(), "optimizer": jf.adam, "space": small.space(4)}
    message = r"got others for .* \(jax_enable_x64 was False, is True, jax_numpy_dtype_promotion"
    x64 = jax.enable_x64(True), jax.numpy_dtype_promotion("standard")
    with x64[0], x64[1], pytest.raises(jf.ArgumentError, match=message):
        jf.load(path, **given)


def test_folds_that_were_no_number_must_be_given_again(tmp_path):
    indices = np.arange(30)
    pairs = [(indices[10:], indices[:10]), (indices[:10], indices[10:])]
    given = tiny.task(), jf.grid(learning_rate=[0.1])
    path = tiny.sweep(*given, steps=4, folds=pairs).save(tmp_path / "sweep.nc")
    again = {"task": tiny.task(), "optimizer": jf.sgd, "space": given[1]}
    with pytest.raises(jf.ArgumentError, match=r"folds must be given as to jf.sweep"):
        jf.load(path, **again)
    with pytest.raises(jf.ArgumentError, match=r"data \(and folds\) must be those"):
        jf.load(path, **again, folds=pairs[::-1])
    assert jf.load(path, **again, folds=pairs).replay().params.shape == (3,)


def test_weights_in_classes_of_ones_own_need_the_task(tmp_path):
    boxed = tiny.task(
        init=lambda key: tiny.Box(tiny.init(key)),
        loss=lambda box, batch: tiny.loss(box.content, batch),
        validation=0.2,
    )
    space = jf.grid(learning_rate=[0.1])
    result = tiny.sweep(boxed, space, steps=3)
    path = result.save(tmp_path / "sweep.nc")
    with pytest.warns(jf.JefficientWarning, match="classes, which a file does not describe"):
        assert jf.load(path).weights == {}
    loaded = jf.load(path, task=boxed, optimizer=jf.sgd, space=space)
    assert isinstance(loaded.params(), tiny.Box)
    np.testing.assert_array_equal(loaded.params().content, result.params().content)


def test_safetensors_have_the_numbers_under_their_names(swept, tmp_path):
    path = swept.save_params(tmp_path / "weights.safetensors")
    best = swept.best()
    with safe_open(path, "flax") as file:
        assert set(file.keys()) == {"w", "low"}
        assert file.metadata() == {"learning_rate": str(best.hyperparameters["learning_rate"])}
        for name, x in swept.params().items():
            read = file.get_tensor(name)
            assert read.dtype == x.dtype
            np.testing.assert_array_equal(read, x)
    with pytest.raises(jf.ArgumentError, match="weights must have been checkpointed"):
        swept.save_params(path, seed=9)
    again = swept.refit(3)
    with safe_open(again.save_params(path), "flax") as file:
        assert file.metadata() == {"learning_rate": str(swept.space["learning_rate"][3])}
        np.testing.assert_array_equal(file.get_tensor("w"), again.params["w"])


@pytest.mark.parametrize(
    "wrong", [{"note": None}, {"note": True}, {"note": b"x"}, {"name": ["a", "b\0"]}]
)
def test_what_netcdf_cannot_hold_is_said_and_leaves_the_file_that_was_there(tmp_path, wrong):
    path = with_weights({}).save(tmp_path / "sweep.nc")
    before = path.read_bytes()
    result = made([[[0.1]], [[0.2]]], {"name": wrong.get("name", ["a", "b"])})
    result.dataset.attrs |= {name: x for name, x in wrong.items() if name == "note"}
    with pytest.raises(
        jf.JefficientError, match=r"jf.Result.save: labels and attributes must be texts and numbers"
    ):
        result.save(path)
    assert (path.read_bytes(), len(list(tmp_path.iterdir()))) == (before, 1)
