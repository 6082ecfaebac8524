"""Files: whole or refused, never executed."""

import io
import json
import pickle
import shutil
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sweeps import tiny

import jefficient as jf
from jefficient._core.files import DamagedError, sealed
from jefficient.sweeps.checkpoint._directory import Directory
from jefficient.sweeps.checkpoint._snapshot import FORMAT, Snapshot, read, write

ARRAYS = {
    "a/b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "none": np.zeros((0, 3), np.int32),
    "scalar": np.array(7),
    "names": np.array(["x", "yz"]),
    "bytes": np.frombuffer(b"\x01\x02", np.uint8),
}
SNAPSHOT = Snapshot({"text": "ü", "number": 0.1, "nothing": None, "list": [1, 2]}, ARRAYS)


def assert_equal(got, expected=SNAPSHOT):
    assert got.body == expected.body
    assert got.arrays.keys() == expected.arrays.keys()
    for name, x in expected.arrays.items():
        np.testing.assert_array_equal(got.arrays[name], x)
        assert got.arrays[name].dtype == x.dtype


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("snapshot") / "000001.json"
    write(path, SNAPSHOT)
    return path


def test_there_and_back(written):
    assert_equal(read(written))


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_or_a_missing_end_is_noticed(written, tmp_path_factory, data):
    suffix = data.draw(st.sampled_from([".json", ".npz"]))
    content = bytearray(written.with_suffix(suffix).read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[place:]
    folder = tmp_path_factory.mktemp("damaged")
    for other in (".json", ".npz"):
        whole = written.with_suffix(other).read_bytes()
        (folder / f"000001{other}").write_bytes(bytes(content) if other == suffix else whole)
    with pytest.raises(DamagedError, match=r"000001\.(json|npz) (is damaged|does not end with)"):
        read(folder / "000001.json")


def signed(folder, data):
    """An .npz of somebody else's making with a JSON that vouches for it."""
    import hashlib

    content = {
        "format": FORMAT,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "body": {},
    }
    path = folder / "000001.json"
    path.write_bytes(sealed(json.dumps(content).encode()))
    path.with_suffix(".npz").write_bytes(data)
    return path


class Executed:
    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_a_pickle_is_refused_and_not_executed(tmp_path):
    for data in (npz(x=np.array([Executed()], object)), pickle.dumps(Executed())):
        with pytest.raises(DamagedError, match="is damaged"):
            read(signed(tmp_path, data))


def test_an_array_that_claims_to_be_larger_than_its_file_is_not_made(tmp_path):
    def archive(member, compression=zipfile.ZIP_STORED):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", compression) as file:
            file.writestr("x.npy", member)
        return buffer.getvalue()

    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)}
    )
    with pytest.raises(DamagedError, match="not the array that its header describes"):
        read(signed(tmp_path, archive(header.getvalue() + bytes(8))))
    for descr in ("|V0", "<U0", "|S0", "<M8[s]", "|V8"):
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": descr, "fortran_order": False, "shape": (10**12,)}
        )
        with pytest.raises(DamagedError, match="not the array that its header describes"):
            read(signed(tmp_path, archive(header.getvalue())))
    with pytest.raises(DamagedError, match="declare more than it holds"):
        read(signed(tmp_path, archive(bytes(10**6), zipfile.ZIP_DEFLATED)))
    with pytest.raises(DamagedError, match="is compressed"):
        read(signed(tmp_path, archive(bytes(10), zipfile.ZIP_DEFLATED)))


def test_the_last_two_are_kept_and_the_whole_one_is_used(tmp_path):
    directory = Directory("test", tmp_path)
    assert directory.latest() is None
    for number in range(4):
        directory.write(Snapshot({"number": number}, ARRAYS))
    assert sorted(x.name for x in tmp_path.glob("*.*")) == [
        "000003.json",
        "000003.npz",
        "000004.json",
        "000004.npz",
    ]
    assert directory.latest().body == {"number": 3}
    newest = tmp_path / "000004.npz"
    newest.write_bytes(newest.read_bytes()[:-1])
    with pytest.warns(
        jf.JefficientWarning,
        match=r"000004.npz is damaged .* Going on from the snapshot before it, 000003",
    ):
        assert directory.latest().body == {"number": 2}
    with pytest.warns(jf.JefficientWarning):
        kept = directory.latest()
    directory.write(kept)
    assert directory.latest().body == {"number": 2}
    for file in tmp_path.glob("*.json"):
        file.write_text("{}")
    with pytest.raises(
        jf.JefficientError, match=r"directory must hold a whole snapshot, got .*delete this one"
    ):
        directory.latest()
    directory.close()


def test_a_warning_points_to_the_line_that_called_the_package(tmp_path):
    directory = Directory("test", tmp_path)
    directory.write(Snapshot({}, {}))
    directory.write(Snapshot({}, {}))
    (tmp_path / "000002.npz").write_bytes(b"damaged")
    with pytest.warns(jf.JefficientWarning, match="is damaged") as caught:
        directory.latest()
    directory.close()
    assert caught[0].filename == __file__


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """The directory of a sweep, interrupted before its first update."""
    directory = tmp_path_factory.mktemp("swept") / "sweep"
    with pytest.warns(jf.JefficientWarning, match="interrupted"):
        resumed(directory, time_limit=1e-9)
    return directory


def resumed(directory, **changes):
    space = jf.grid(learning_rate=[0.1, 0.2])
    return tiny.sweep(
        tiny.task(validation=0.2), space, steps=4, directory=directory, snapshot_every=0, **changes
    )


def without(name):
    return lambda body, arrays: (body.pop(name, None), arrays.pop(name, None))


def setting(name, value):
    def change(body, arrays):
        content = arrays if name in arrays else body
        content[name] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        *map(without, ("plan", "widths", "settings", "slots", "waiting/0", "record/status")),
        setting("plan", {"devices": 1}),
        setting("plan", []),
        setting("widths", ["x"]),
        setting("settings", None),
        setting("widths", [10**9]),
        setting("widths", [0]),
        lambda body, arrays: body.update(slots=[7] * len(body["slots"])),
        setting("configurations", np.zeros((2, 2), "S1")),
        setting("record/status", np.zeros(3, int)),
        setting("record/work", np.zeros(1)),
    ],
)
def test_a_directory_that_vouches_for_itself_and_is_wrong_is_refused(swept, tmp_path, change):
    directory = tmp_path / "sweep"
    shutil.copytree(swept, directory)
    for path in directory.glob("*.json"):
        body, arrays = read(path)
        change(body, arrays)
        write(path, Snapshot(body, arrays))
    with pytest.raises(jf.JefficientError, match=r"jf.sweep: directory must be .*, got .*sweep"):
        resumed(directory)
