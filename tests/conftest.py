"""Fixtures for all tests."""

import gc
import os

import numba
import numpy as np
import pytest
from proof.tally import COUNTS

# Child processes print UTF-8, which the tests read, also where a console's encoding is another one,
# as on Windows.
os.environ.setdefault("PYTHONUTF8", "1")


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
