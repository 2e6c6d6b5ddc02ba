"""Fixtures for all tests."""

import gc
import os
from functools import cache
from pathlib import Path

import numba
import numpy as np
import pytest
from proof.tally import COUNTS

# Child processes print UTF-8, which the tests read, also where a console's encoding is another one,
# as on Windows.
os.environ.setdefault("PYTHONUTF8", "1")


#: `pytest -m quick`: the engine, derivatives, and what users see first; no step is compiled
QUICK = [
    Path(__file__).parent / path
    for path in (
        *("graph", "calculus", "nn/test_module.py", "run/test_replay.py", "test_contract.py"),
        *("ops/test_shape.py", "ops/test_elementwise.py", "ops/test_errors.py", "test_optim.py"),
    )
]


#: `pytest -m processes`, which `.ci/run` adds: many processes, each of which imports and compiles.
#: Disk caches, other processors, forks, Ctrl-C while compiling, MPI, Dask, Ray.
PROCESSES = (
    *("run/test_cache.py", "kernels/test_jit.py", "kernels/simd/test_fallback.py"),
    *("train/test_distributed.py", "train/test_endurance.py", "test_threads.py"),
    "proof/test_determinism.py::test_who_compiles_gets_the_same_bits_as_who_loads",
    *("train/test_selection.py::test_every_engine", "train/test_selection.py::test_a_dask_worker"),
)


@cache
def _is_quick(path):
    return any(path == quick or quick in path.parents for quick in QUICK)


def pytest_ignore_collect(collection_path, config):
    """Do not read the other files when only quick tests are asked for."""
    if config.option.markexpr == "quick" and collection_path.is_file():
        return None if _is_quick(collection_path) else True
    return None


def pytest_collection_modifyitems(items):
    for item in items:
        if _is_quick(item.path):
            item.add_marker("quick")
        if item.nodeid.removeprefix("tests/").startswith(PROCESSES):
            item.add_marker("processes")


@pytest.fixture(autouse=True)
def compiled_is_compiled(monkeypatch):
    """Tests are short; `mode="compiled"` is to compile their steps all the same."""
    monkeypatch.setattr("minigrad.run.compiled.LOADING", 0)


@pytest.fixture
def no_gc():
    """Garbage collection off: what is freed within the test is freed by reference counting
    alone.
    """
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(autouse=bool(numba.config.DISABLE_JIT))
def quiet_python():
    """Machine code says nothing of an overflow or an inf - inf that is meant; with
    NUMBA_DISABLE_JIT=1 NumPy would.
    """
    with np.errstate(all="ignore"):
        yield


def pytest_sessionfinish(session):
    if hasattr(
        session.config, "workeroutput"
    ):  # one of several processes (pytest -n): what it counted goes to the first
        session.config.workeroutput["counts"] = dict(COUNTS)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    COUNTS.update(getattr(node, "workeroutput", {}).get("counts", {}))


def pytest_terminal_summary(terminalreporter):
    if COUNTS:
        terminalreporter.write_line(
            f"proven: {', '.join(f'{count:,} {what}' for what, count in COUNTS.items())}"
        )
