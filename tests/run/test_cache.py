"""The cache on disk may be missing, damaged, read-only or shared, the processor may be narrow: the
numbers are the same.
"""

import importlib
import os
import pickle
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numba
import numpy as np
import pytest
from systems import needs_modes

import minigrad as mg
from minigrad.files import who_may_write
from minigrad.kernels import cache, simd
from minigrad.run.step_module import load

ROOT = Path(__file__).parents[2]
TRAINING = """
import numpy as np, minigrad as mg
mg.run.compiled.LOADING = 0  # few steps are compiled, too
class Scale(mg.nn.Module):
    def __init__(self):
        self.w = mg.Variable(np.full(3, 0.5))
    def forward(self, x):
        return mg.tanh(x * self.w)
model, x = Scale(), np.linspace(-1, 1, 36).reshape(12, 3)
trainer = mg.Trainer(model, mg.mse_loss, mg.optim.Adam(model.parameters(), lr=0.1), mode=MODE)
losses = trainer.fit(x, x**2, epochs=2, batch_size=4, progress=False).batch_loss
"""
ENDING = """
from minigrad.run.step_module import load
pieces = [load(text).piece for text in trainer.compile(x, x**2, batch_size=4).texts]
hits = [getattr(piece, "dispatcher", piece).stats.cache_hits for piece in pieces]
print(sum(sum(found.values()) for found in hits), *losses)
"""
#: nothing can be written, as on a file system that is mounted read-only (the tests may run as root,
#: who may write anywhere)
READ_ONLY = """
import builtins, os, pathlib
def refuse(*args, **options):
    raise PermissionError("read-only")
pathlib.Path.mkdir = pathlib.Path.write_bytes = os.mkdir = os.makedirs = os.replace = refuse
plain = builtins.open
def read_only_open(file, mode="r", *args, **options):
    return (refuse if set(mode) & set("wax+") else plain)(file, mode, *args, **options)
builtins.open = read_only_open
"""
#: complains at the end if Numba has loaded everything that it can compile, or linear algebra, which
#: nothing here needs
SPARING = """
import atexit, sys
def complain():
    if {"numba.np.npyimpl", "numba.np.arraymath"} & sys.modules.keys():
        print("declarations were loaded", file=sys.stderr)
    if "scipy.linalg" in sys.modules:
        print("linear algebra was loaded", file=sys.stderr)
atexit.register(complain)
"""


def start(cache, before=""):
    code = before + TRAINING.replace("MODE", "'compiled'") + ENDING
    env = {
        **os.environ,
        "NUMBA_CACHE_DIR": str(cache),
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", code], env=env, stdout=pipe, stderr=pipe, encoding="utf-8"
    )


def end(process):
    """Did the step come from disk? The losses are checked, and that there were no complaints."""
    said, complaints = process.communicate()
    assert process.returncode == 0 and not complaints, complaints
    hits, *losses = map(float, said.split())
    scope = {}
    exec(TRAINING.replace("MODE", "'replay'"), scope)
    np.testing.assert_allclose(losses, scope["losses"], rtol=1e-5)
    return bool(hits)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache that two processes have filled at once."""
    cache = tmp_path_factory.mktemp("cache")
    for process in [start(cache), start(cache)]:
        end(process)
    return cache


@pytest.fixture
def copy(filled, tmp_path):
    return Path(shutil.copytree(filled, tmp_path / "copy", symlinks=True))


def sources(cache):
    return list(cache.glob("kernels-*/steps/piece_*.py"))


def test_two_processes_fill_one_cache_and_leave_whole_files(filled):
    files = [path for path in filled.rglob("*") if path.is_file()]
    assert not [path for path in files if path.name.endswith(".part") or ".tmp." in path.name]
    assert sources(filled) and len(list(filled.glob("kernels-*/runtime-*.npz"))) == 1
    assert {path.suffix for path in files} == {".py", ".nbi", ".nbc", ".npz", ".lock", ".ok"}
    assert end(start(filled))


def test_a_read_only_cache_is_read(filled):
    assert end(start(filled, READ_ONLY))


def test_cached_machine_code_loads_without_the_compiler(filled, tmp_path):
    assert end(start(filled, SPARING))
    said, complaints = start(tmp_path, SPARING).communicate()
    assert said and complaints == "declarations were loaded\n"


def test_numbas_runtime_is_restored(monkeypatch):
    """The function that is replaced while Numba starts is restored; a Numba without it starts as
    usual.
    """
    disk = importlib.import_module("minigrad.kernels.simd.disk")
    assert disk.nrtdynmod.compile_nrt_functions.__module__ == disk.nrtdynmod.__name__
    context, started = SimpleNamespace(codegen=lambda: SimpleNamespace(magic_tuple=tuple)), []
    other = SimpleNamespace()
    monkeypatch.setattr(disk, "nrtdynmod", other)
    monkeypatch.setattr(disk, "rtsys", SimpleNamespace(initialize=started.append))
    disk.start_runtime.__wrapped__(context)
    assert started == [context] and not vars(other)


@pytest.mark.parametrize("how", ["a file in the folder's place", "read-only"])
def test_without_a_cache_everything_is_compiled_in_memory(how, tmp_path):
    cache = tmp_path / "cache"
    if how == "read-only":
        assert not end(start(cache, READ_ONLY)) and not cache.exists()
    else:
        cache.write_text("in the way", encoding="utf-8")
        assert not end(start(cache)) and cache.read_text(encoding="utf-8") == "in the way"


@pytest.mark.parametrize(
    "damage", [b"", b"# a line too few\n", b"\x80\x04 no pickle"], ids=["empty", "text", "bytes"]
)
def test_damaged_files_are_replaced(damage, copy):
    damaged = [path for path in copy.rglob("*") if path.suffix in (".py", ".nbi")]
    for path in damaged:
        path.write_bytes(damage)
    assert not end(start(copy))
    assert all(path.read_bytes() != damage for path in sources(copy))
    assert end(start(copy))


def test_damaged_machine_code_is_recompiled(copy):
    for path in [*copy.rglob("*.nbc"), *copy.rglob("*.npz")]:
        path.write_bytes(path.read_bytes()[:1000])
    assert not end(start(copy))
    assert end(start(copy))


def test_another_source_is_another_file(monkeypatch, tmp_path):
    """A source is found by its content: after a change of the emitter no old code is loaded."""
    monkeypatch.setattr(cache, "steps_folder", lambda: str(tmp_path))
    texts = ["steps = 1  # of a test\n", "steps = 2  # of a test\n"]
    one, other = map(load, texts)
    assert (one.steps, other.steps) == (1, 2)
    assert sorted(path.read_text(encoding="utf-8") for path in tmp_path.iterdir()) == texts
    assert load(texts[0]) is one


def test_the_folder_is_named_after_every_kernel_source_and_the_processor(monkeypatch, tmp_path):
    kernels = Path(shutil.copytree(Path(cache.__file__).parent, tmp_path / "kernels"))
    monkeypatch.setattr(cache, "__file__", str(kernels / "cache.py"))
    names = [cache._folder()]
    assert names == [cache.FOLDER]
    for path in sorted(kernels.rglob("*.py")):
        path.write_text(path.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
        names.append(cache._folder())
    monkeypatch.setattr(numba.config, "CPU_NAME", "x86-64-v3")
    names.append(cache._folder())
    monkeypatch.setattr(numba.config, "CPU_FEATURES", "+avx2")
    names.append(cache._folder())
    assert len(set(names)) == len(names) > 10


def test_code_of_other_versions_is_deleted_after_a_month(monkeypatch, tmp_path):
    folders = [tmp_path / f"kernels-{name}" for name in ("mine", "old", "recent")]
    for folder, days in zip(folders, (90, 31, 29), strict=True):
        (folder / "steps").mkdir(parents=True)
        (folder / "steps" / "step.py").touch()
        os.utime(folder, (time.time() - 86_400 * days,) * 2)
    (tmp_path / "notes").mkdir()
    monkeypatch.setattr(cache, "FOLDER", str(folders[0]))
    assert cache.forget_old() == [str(folders[1])]
    assert sorted(tmp_path.iterdir()) == sorted([folders[0], folders[2], tmp_path / "notes"])


# ---------------- folders that others may write to
class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def set_traps(cache, sprung):
    """Exchange every pickle of the cache for one that makes a file."""
    for path in [*cache.rglob("*.nbi"), *cache.rglob("*.nbc")]:
        path.write_bytes(pickle.dumps(numba.__version__) + pickle.dumps(Trap(sprung)))


def give_away(path):
    if os.getuid():
        pytest.skip("only root can give files to another user")
    os.chown(path, 12_345, -1)


#: what another user could have done to the cache's base (the first) or to the folder in it (the
#: second)
OPEN = {
    "a base for all": (lambda path: path.chmod(0o777), lambda path: None),
    "a base for a group": (lambda path: path.chmod(0o775), lambda path: None),
    "a folder for all": (lambda path: None, lambda path: path.chmod(0o707)),
    "a sticky folder": (lambda path: None, lambda path: path.chmod(0o1777)),
    "another's base": (give_away, lambda path: None),
    "another's folder": (lambda path: path.chmod(0o1777), give_away),
}


@needs_modes
@pytest.mark.parametrize("name", OPEN)
def test_a_cache_that_others_may_write_to_is_not_loaded(name, copy, tmp_path):
    """Whoever can write there could run code as this user. One warning names the way out."""
    sprung, (folder,) = tmp_path / "sprung", copy.glob("kernels-*")
    set_traps(copy, sprung)
    opened = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    for open_up, path in zip(OPEN[name], (copy, folder), strict=True):
        open_up(path)
    said, complaints = start(copy).communicate()
    assert said.startswith("0") and not sprung.exists()
    assert (
        complaints.count("UserWarning") == 1
        and f"{copy if 'base' in name else folder} " in complaints
    )
    assert "NUMBA_CACHE_DIR" in complaints
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == opened


def test_the_traps_run_when_they_are_unpickled(copy, tmp_path):
    set_traps(copy, tmp_path / "sprung")
    start(copy).communicate()
    assert (tmp_path / "sprung").exists()


@needs_modes
def test_an_own_folder_in_a_sticky_folder_is_used(copy):
    end(start(copy))
    copy.chmod(0o1777)  # as /tmp is
    assert end(start(copy))


@needs_modes
def test_files_are_private_for_any_umask(tmp_path):
    before = os.umask(0)
    try:
        process = start(tmp_path / "a" / "cache")
    finally:
        os.umask(before)
    assert not end(process)
    made = list((tmp_path / "a").rglob("*"))
    assert {path.stat().st_mode & 0o777 for path in made if path.is_dir()} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in made if path.is_file()} == {0o600}
    assert {".nbi", ".nbc", ".npz", ".lock", ".py"} <= {path.suffix for path in made}


@needs_modes
@pytest.mark.parametrize(
    ("place", "mode", "refused"),
    [
        ("cache", 0o755, False),
        ("cache", 0o775, True),
        ("cache", 0o702, True),
        ("cache", 0o1777, True),
        ("base", 0o755, False),
        ("base", 0o770, True),
        ("base", 0o1777, False),
        ("base", 0o1770, False),
        ("above", 0o775, False),
        ("above", 0o777, True),
        ("above", 0o1777, False),
    ],
)
@pytest.mark.parametrize("linked", [False, True])
def test_which_folders_are_open_to_others(place, mode, refused, linked, tmp_path):
    """The folder itself, those up to the base, and open folders above it."""
    folder = tmp_path / "above" / "base" / "cache"
    folder.mkdir(parents=True)
    changed = {"cache": folder, "base": folder.parent, "above": folder.parents[1]}[place]
    changed.chmod(mode)
    (tmp_path / "link").symlink_to(folder.parent)
    base = tmp_path / "link" if linked else folder.parent
    danger = who_may_write(base / "cache", base)
    assert bool(danger) == refused
    if danger:
        assert f"{mode:o}" in danger and (changed.name in danger or "link" in danger)


@needs_modes
@pytest.mark.parametrize("place", ["cache", "base", "above"])
def test_folders_of_other_users_are_open_to_them(place, tmp_path):
    folder = tmp_path / "above" / "base" / "cache"
    folder.mkdir(parents=True)
    changed = {"cache": folder, "base": folder.parent, "above": folder.parents[1]}[place]
    give_away(changed)
    assert who_may_write(folder, folder.parent) == f"{changed} belongs to another user (12345)"


@needs_modes
@pytest.mark.parametrize("chosen", [False, True])
def test_the_default_cache_folder_is_made_private_and_a_chosen_one_is_left(
    chosen, tmp_path, monkeypatch
):
    """It holds data sets, too: with a umask of 002 the first download makes it group-writable."""
    base = tmp_path / "minigrad"
    base.mkdir()
    base.chmod(0o775)
    monkeypatch.setattr(cache, "FOLDER", str(base / "kernels-1"))
    monkeypatch.setattr(cache, "_warned", ["something"])
    if chosen:
        monkeypatch.setenv("NUMBA_CACHE_DIR", str(base))
    else:
        monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    assert cache.usable.__wrapped__(str(base / "kernels-1")) != chosen
    assert base.stat().st_mode & 0o777 == (0o775 if chosen else 0o755)


@pytest.mark.skipif(
    getattr(os, "getuid", int)() != 0 or not hasattr(os, "chown"),
    reason="only root can give files away",
)
def test_a_cache_folder_of_another_user_is_refused(tmp_path, monkeypatch):
    base = tmp_path / "minigrad"
    base.mkdir()
    give_away(base)
    monkeypatch.setattr(cache, "FOLDER", str(base / "kernels-1"))
    monkeypatch.setattr(cache, "_warned", [])
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    with pytest.warns(UserWarning, match=r"minigrad belongs to another user \(12345\)"):
        assert not cache.usable.__wrapped__(str(base / "kernels-1"))
    assert not list(base.iterdir())


@needs_modes
def test_without_users_there_is_no_such_check(tmp_path, monkeypatch):
    """As on Windows."""
    tmp_path.chmod(0o777)
    assert who_may_write(tmp_path, tmp_path)
    monkeypatch.delattr(os, "getuid")
    assert not who_may_write(tmp_path, tmp_path)


# ---------------- other processors
# The features are named on purpose: where they are not set, Numba adds those of this machine to the
# named processor, AVX-512 included.
NARROW = {
    "AVX2": {"NUMBA_CPU_NAME": "x86-64-v3", "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma"},
    "SSE": {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "+sse2"},
}
PRODUCT = """
import numpy as np
from minigrad.kernels import gemm
a = np.ones((20, 20), np.float32)
gemm.nn(np.empty_like(a), a, a)
"""
needs_x86 = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="not an x86 processor"
)


LAYERS = """
import numpy as np, minigrad as mg
from minigrad import nn
layers = nn.Conv2d(1, 4, 5, seed=0), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
model = nn.Sequential(*layers, nn.Linear(576, 10, seed=1))
x = np.random.default_rng(0).normal(size=(40, 1, 28, 28))
trainer = mg.Trainer(model, mg.cross_entropy, mg.optim.Adam(model.parameters()))
losses = trainer.fit(x, np.arange(40) % 10, epochs=2, batch_size=20, progress=False).batch_loss
"""


def python(settings, *arguments):
    env = {**os.environ, **settings, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *arguments], env=env, cwd=ROOT, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_x86
@pytest.mark.parametrize(("name", "widest"), [("AVX2", "ymm"), ("SSE", "xmm")])
def test_narrow_processors_get_no_wide_registers(name, widest, tmp_path):
    """In all machine code of a matrix product, none of which is loaded from disk."""
    settings = {**NARROW[name], "NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_DUMP_ASSEMBLY": "1"}
    registers = set(re.findall(r"%([xyz]mm)\d", python(settings, "-c", PRODUCT)))
    assert registers == {"xmm", widest}


@needs_x86
@pytest.mark.parametrize(("name", "most"), [("AVX2", 8), ("SSE", 4)])
def test_narrow_processors_compute_the_same(name, most):
    code = "from minigrad.kernels import cache, simd; print(simd.lanes(4), cache.FOLDER, *losses)"
    lanes, folder, *losses = python(NARROW[name], "-c", LAYERS + code).split()
    assert int(lanes) == most and folder != cache.FOLDER  # float32 in 32 or 16 bytes
    scope = {}
    exec(LAYERS, scope)
    np.testing.assert_allclose(np.array(losses, float), scope["losses"], rtol=1e-4)
    files = [
        "tests/kernels/test_gemm.py",
        "tests/kernels/test_mathfn.py",
        "tests/kernels/simd/test_maxima.py",
    ]
    options = ["-p", "no:cacheprovider", "-q", "--import-mode=importlib", "-o", "addopts="]
    assert " passed" in python(NARROW[name], "-m", "pytest", *options, *files)


def test_vectors_are_as_wide_as_the_processor_that_is_compiled_for():
    features = numba.core.registry.cpu_target.target_context.codegen().magic_tuple()[-1]
    assert simd.lanes(4) == (16 if "+avx512f" in features else 8) == 2 * simd.lanes(8)
    assert mg.__file__.startswith(str(ROOT))
