"""Files that are whole or not there."""

import threading

import pytest

from jefficient._core.files import write_whole
from jefficient.sweeps.checkpoint._directory import Directory


def test_two_who_write_one_file_at_a_time_leave_it_whole(tmp_path):
    """The second writer opens its file while the first is still writing."""
    path, size, failures, torn = tmp_path / "file", 2_000_000, [], []

    def write(letter):
        try:
            for _ in range(20):
                write_whole(path, letter * size)
        except OSError as error:
            failures.append(error)

    writers = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b")]
    write_whole(path, b"a" * size)
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        content = path.read_bytes()
        torn += [] if content in (b"a" * size, b"b" * size) else [len(content)]
    assert (failures, torn) == ([], [])
    assert [x.name for x in tmp_path.iterdir()] == ["file"]


def test_what_fails_leaves_nothing(tmp_path):
    with pytest.raises(OSError, match="directory"):
        write_whole(tmp_path / "missing" / "file", b"x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="not a regular file"):
        write_whole(tmp_path / "folder", b"x")
    assert [x.name for x in tmp_path.iterdir()] == ["folder"]


def test_a_sweep_s_directory_is_rid_of_what_a_killed_writer_left(tmp_path):
    left = tmp_path / ".000001.npz.0123abcd.new"
    left.write_bytes(b"half")
    Directory("jf.sweep", tmp_path).close()
    assert not left.exists()


def test_a_sweep_begins_though_somebody_just_asks_whether_the_directory_is_held(tmp_path):
    """`jf.load` asks by a shared lock, for an instant."""
    fcntl = pytest.importorskip("fcntl")
    Directory("jf.sweep", tmp_path).close()
    with open(tmp_path / "lock") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        release = threading.Timer(0.02, lambda: fcntl.flock(asking, fcntl.LOCK_UN))
        release.start()
        Directory("jf.sweep", tmp_path).close()
        release.join()
