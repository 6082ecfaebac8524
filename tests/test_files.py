"""Files that are whole or not there."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from jefficient._core.errors import JefficientError, StorageError
from jefficient._core.files import _begun, save_whole, write_whole
from jefficient.sweeps.checkpoint._directory import Directory, peek
from jefficient.sweeps.checkpoint._snapshot import Snapshot


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


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    target = tmp_path / "folder" / "file"
    link = tmp_path / "link"
    link.symlink_to(target)
    for content in (b"first", b"second"):  # of a link to nothing the target is made
        write_whole(link, content)
        assert link.is_symlink()
        assert target.read_bytes() == content
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(OSError, match="symbolic links"):
        write_whole(loop, b"x")
    assert loop.is_symlink()


def test_what_a_killed_writer_left_is_removed_and_a_living_one_s_is_not(tmp_path):
    path = tmp_path / "a.nc"
    others = [".a.nc.new", ".b.nc.0123abcd.new", ".a.nc.0123abcd.old", ".x.a.nc.0123abcd.new"]
    left, fifo = ".a.nc.0123abcd.new", ".a.nc.00000000.new"
    for name in (left, *others):
        (tmp_path / name).write_bytes(b"half")
    os.mkfifo(tmp_path / fifo)
    with _begun(path) as living:
        write_whole(path, b"whole")
        names = {x.name for x in tmp_path.iterdir()}
    assert names == {"a.nc", fifo, *others, Path(living.name).name}
    write_whole(path, b"whole")
    assert {x.name for x in tmp_path.iterdir()} == {"a.nc", fifo, *others}


def test_a_writer_killed_while_it_writes_leaves_what_the_next_removes(tmp_path):
    """The lock ends with the process."""
    path = tmp_path / "file"
    program = f"""
import os, pathlib, signal
from jefficient._core import files
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
files.write_whole(pathlib.Path({str(path)!r}), b"x" * 10)
"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == -signal.SIGKILL
    assert len(list(tmp_path.glob(".file.*.new"))) == 1
    write_whole(path, b"whole")
    assert [x.name for x in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_is_an_error_of_ours_and_leaves_what_was_there(tmp_path, monkeypatch):
    path = save_whole("here", tmp_path / "file", b"before")

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"here: path must be .*file: No space left on device"):
        save_whole("here", path, b"after")
    assert path.read_bytes() == b"before"
    assert [x.name for x in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["000001.json", "000001.npz", "lock"])
def test_a_fifo_in_a_directory_is_refused_at_once(tmp_path, name):
    directory = Directory("jf.sweep", tmp_path)
    directory.write(Snapshot({}, {}))
    directory.close()
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(JefficientError, match=r"jf.load: .* must be the directory|not a regular"):
        peek("jf.load", tmp_path)
    refused = pytest.raises(JefficientError, match=r"jf.sweep: directory must .*not a regular file")
    with refused, contextlib.closing(Directory("jf.sweep", tmp_path)) as again:
        again.latest()


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
