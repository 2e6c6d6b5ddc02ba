"""Fixtures for all tests."""
import gc

import pytest


@pytest.fixture
def no_gc():
    """Garbage collection off: what is freed within the test is freed by reference counting alone."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
