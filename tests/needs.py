"""Packages that are not there on every platform: tests that need one are skipped, and say which
command brings it.
"""

from importlib.util import find_spec

import pytest

from minigrad.distribution import install_hint


def need(package: str, extra: str = "test") -> None:
    """Skip the test, or the module that is being imported, where a package is missing. It is not
    imported: some are slow.
    """
    if find_spec(package) is None:
        pytest.skip(
            f"{package} is not installed; {install_hint(extra)} brings it", allow_module_level=True
        )
