"""How much was proven: what the tests count, and `conftest.py` prints at the end of a run."""

from collections import Counter

COUNTS: Counter[str] = Counter()
