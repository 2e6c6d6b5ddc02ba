"""What the chapters need before pytest runs them: their data, and a font list that matplotlib has
made already.
"""

from __future__ import annotations

import matplotlib.font_manager  # noqa: F401  # making the list takes seconds once, and says so in the middle of a notebook

import minigrad as mg

collect_ignore: list[str] = []
collect_ignore_glob = ["student/*"]  # without outputs; tests/teach/test_book.py runs them
_lines: list[str] = []

try:
    mg.data.imdb()
except mg.DataError as error:
    collect_ignore.append("10-a-text-cnn-on-imdb.ipynb")
    _lines.append(f"minigrad: chapter 10 is left out, {str(error).splitlines()[0].rstrip(':')}")
if mg.data.mnist().sample:
    _lines.append("minigrad: chapters 9, 11 and A run on the shipped sample of MNIST")


def pytest_report_header() -> list[str]:
    """Say in pytest's first lines what is not tested."""
    return _lines
