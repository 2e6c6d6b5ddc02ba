"""Saving is all or nothing: killed, or the disk full, the old file or the new one is there, whole, and nothing beside it."""
import errno
import fcntl
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from misuse.use import FIT, Use, X, Y

import minigrad as mg
from minigrad.files import write_atomically

KILLS = 120


def test_killed_at_any_moment_the_old_or_the_new_file_is_there(tmp_path):
    script = Path(__file__).with_name("killed.py")
    done = subprocess.run([sys.executable, script, tmp_path, str(KILLS)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "versions 2, left at most 1, in the end 0\n"  # both were seen, and the kill came while writing


def fails(code):
    def call(*args, **options):
        raise OSError(code, os.strerror(code))

    return call


@pytest.mark.parametrize("step", ["open", "write", "fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT], ids=errno.errorcode.get)
@pytest.mark.parametrize("whole", [False, True], ids=["model", "trainer"])
def test_a_disk_that_fails_while_saving(step, code, whole, tmp_path, monkeypatch):
    use = Use(tmp_path)
    goal = use.trainer if whole else use.model
    mg.save(goal, use.file)
    before = use.state()
    use.trainer.optimizer.lr = 0.5  # there is something new to save
    with monkeypatch.context() as patch:
        if step == "write":
            opened = Path.open

            def half(path, *args, **options):
                file = opened(path, *args, **options)
                file.write(b"half")
                return Full(file, code)

            patch.setattr(Path, "open", half)
        elif step == "open":
            patch.setattr(Path, "open", fails(code))
        else:
            patch.setattr(os, step, fails(code))
        with pytest.raises(OSError) as caught:
            mg.save(goal, use.file)
    assert str(caught.value) == f"[Errno {code}] {os.strerror(code)}: '{use.file}'"
    assert use.state() == before
    mg.save(goal, use.file)
    mg.load(goal, use.file)
    use.trainer.fit(X, Y, **FIT)


class Full:
    """A file that takes no more."""

    def __init__(self, file, code):
        self.file, self.write = file, fails(code)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()


def test_a_write_that_the_system_cuts_short(tmp_path):
    """No file may grow beyond 100 bytes, so that the system itself breaks the writing off in the middle."""
    use = Use(tmp_path)
    before, (soft, hard) = use.state(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OSError, match="File too large: .*m.safetensors") as caught:
            mg.save(use.trainer, use.file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == errno.EFBIG
    assert use.state() == before


def test_what_is_left_is_swept_away_but_not_from_under_somebody_who_writes(tmp_path):
    path = tmp_path / "a*.b"  # a name that means more to glob than to us
    left, other = tmp_path / ".a*.b.123.part", tmp_path / ".axx.b.123.part"
    for file in (left, other):
        file.write_bytes(b"half")
    folder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_SH)  # as somebody who writes just now holds it
    write_atomically(path, b"one")
    assert left.exists() and path.read_bytes() == b"one"
    os.close(folder)
    write_atomically(path, b"two")
    assert sorted(tmp_path.iterdir()) == [other, path] and path.read_bytes() == b"two"


def test_where_folders_cannot_be_locked_files_are_written_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", fails(errno.ENOLCK))
    write_atomically(tmp_path / "a", b"one")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("a", b"one")]


def test_the_longest_name_can_be_saved(tmp_path):
    write_atomically(tmp_path / ("ü" * 127), b"one")
    assert (tmp_path / ("ü" * 127)).read_bytes() == b"one"
