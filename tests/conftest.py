"""Fixtures for all tests."""
import gc

import pytest
from proof.tally import COUNTS


@pytest.fixture
def no_gc():
    """Garbage collection off: what is freed within the test is freed by reference counting alone."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def pytest_terminal_summary(terminalreporter):
    if COUNTS:
        terminalreporter.write_line(f"proven: {', '.join(f'{count:,} {what}' for what, count in COUNTS.items())}")
