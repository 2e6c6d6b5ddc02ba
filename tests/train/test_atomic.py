"""Saving is atomic: after a kill or on a full disk there is the complete old or new file, and no
other.
"""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from misuse.use import FIT, Use, X, Y
from systems import (
    fcntl,
    needs_fork,
    needs_limits,
    needs_locks,
    needs_modes,
    needs_pipes,
    resource,
)

import minigrad as mg
from minigrad.files import write_atomically

KILLS = 120


@needs_fork
def test_after_a_kill_the_old_or_the_new_file_is_complete(tmp_path):
    script = Path(__file__).with_name("killed.py")
    done = subprocess.run(
        [sys.executable, script, tmp_path, str(KILLS)],
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout == "versions 2, left at most 1, in the end 0\n"
    )  # both occurred, and the kill came while writing


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
    """A file to which nothing can be written."""

    def __init__(self, file, code):
        self.file, self.write = file, fails(code)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()


@needs_limits
def test_a_write_that_the_system_cuts_short(tmp_path):
    """No file may grow beyond 100 bytes, so that the system interrupts writing."""
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


@needs_locks
def test_stale_temporary_files_are_deleted_but_not_those_in_use(tmp_path):
    path = tmp_path / "a*.b"  # a name that is a pattern for glob
    left, other = tmp_path / ".a*.b.123.part", tmp_path / ".axx.b.123.part"
    for file in (left, other):
        file.write_bytes(b"half")
    folder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_SH)  # as a process that is writing holds it
    write_atomically(path, b"one")
    assert left.exists() and path.read_bytes() == b"one"
    os.close(folder)
    write_atomically(path, b"two")
    assert sorted(tmp_path.iterdir()) == [other, path] and path.read_bytes() == b"two"


@needs_locks
def test_files_are_written_where_folders_cannot_be_locked(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", fails(errno.ENOLCK))
    write_atomically(tmp_path / "a", b"one")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("a", b"one")]


def test_the_longest_name_can_be_saved(tmp_path):
    write_atomically(tmp_path / ("ü" * 127), b"one")
    assert (tmp_path / ("ü" * 127)).read_bytes() == b"one"


# ---------------- modes and links
@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def mode(path):
    return path.stat().st_mode & 0o7777


@needs_modes
@pytest.mark.parametrize("given", [0o600, 0o640, 0o644, 0o664, 0o666, 0o755, 0o400])
@pytest.mark.parametrize("mask", [0, 0o022, 0o077])
def test_an_existing_file_keeps_its_mode(given, mask, umask, tmp_path):
    path = tmp_path / "m"
    path.write_bytes(b"old")
    path.chmod(given)
    umask(mask)
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new" and mode(path) == given


@needs_modes
@pytest.mark.parametrize(
    ("mask", "wanted"), [(0, 0o666), (0o022, 0o644), (0o027, 0o640), (0o077, 0o600)]
)
def test_a_new_file_gets_what_the_umask_leaves(mask, wanted, umask, tmp_path):
    umask(mask)
    mg.save(mg.nn.Linear(2, 2), tmp_path / "m.safetensors")
    assert mode(tmp_path / "m.safetensors") == wanted


@needs_modes
@pytest.mark.parametrize("mask", [0, 0o022, 0o777])
def test_private_files_are_private_for_any_umask(mask, umask, tmp_path):
    path = tmp_path / "a" / "b" / "m"
    umask(mask)
    write_atomically(path, b"one", private=True)
    assert (mode(path), mode(path.parent), mode(path.parent.parent)) == (0o600, 0o700, 0o700)
    path.chmod(0o666)
    write_atomically(path, b"two", private=True)
    assert path.read_bytes() == b"two" and mode(path) == 0o600


@needs_modes
def test_private_files_are_private_while_they_are_written(umask, tmp_path, monkeypatch):
    path, seen = tmp_path / "m", []
    path.write_bytes(b"old")
    path.chmod(0o600)
    umask(0)
    opened = Path.open

    def look(place, *args, **options):
        file = opened(place, *args, **options)
        if place.suffix == ".part":
            seen.append(mode(place))
        return file

    monkeypatch.setattr(Path, "open", look)
    write_atomically(path, b"new")
    assert seen == [0o600] and mode(path) == 0o600


@needs_modes
@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("there", [True, False])
def test_writing_through_a_link_keeps_the_link(absolute, there, tmp_path):
    (tmp_path / "far").mkdir()
    target, link, second = tmp_path / "far" / "m", tmp_path / "link", tmp_path / "second"
    link.symlink_to(target if absolute else Path("far") / "m")
    second.symlink_to("link")
    if there:
        target.write_bytes(b"old")
        target.chmod(0o640)
    write_atomically(second, b"new")
    assert second.is_symlink() and link.is_symlink() and not target.is_symlink()
    assert target.read_bytes() == link.read_bytes() == b"new"
    assert sorted(tmp_path.rglob("*")) == sorted([target.parent, target, link, second])
    assert not there or mode(target) == 0o640


@needs_modes
def test_circular_links_are_an_error_that_names_the_file(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.symlink_to(other)
    other.symlink_to(one)
    with pytest.raises(OSError, match=str(one)) as caught:
        write_atomically(one, b"new")
    assert caught.value.errno == errno.ELOOP and one.is_symlink() and other.is_symlink()


@needs_pipes
@pytest.mark.parametrize("linked", [True, False])
def test_a_pipe_is_written_to_and_not_replaced(linked, tmp_path):
    """Nor is a device: if root's /dev/null became a file, other programs would read it."""
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(link if linked else pipe, b"new")
    assert os.read(reader, 10) == b"new" and pipe.is_fifo() and link.is_symlink()
    os.close(reader)
