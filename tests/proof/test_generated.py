"""Generated tests: every operator over shapes, broadcasting, axes, options, dtypes and layouts that
Hypothesis draws.

MINIGRAD_EXAMPLES says how many cases each row of the table gets (a few by default; 300 take about
half an hour).
"""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from proof.checks import examine
from proof.generate import ROWS, drawn
from proof.tally import COUNTS

EXAMPLES = int(os.environ.get("MINIGRAD_EXAMPLES", "3"))
PROFILE = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.usefixtures("no_gc")
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
@PROFILE
@given(data=st.data())
def test_every_operator(row, data):
    examine(data.draw(drawn(row)))
    COUNTS["generated cases"] += 1
