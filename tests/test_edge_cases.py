"""The map of edge cases is whole: every number once, and every test that it names exists."""

import re
from pathlib import Path

import pytest
from edge_cases import COVERED, LEFT_OUT

TESTS = Path(__file__).parent


def test_every_number_is_covered_or_has_a_reason():
    assert sorted([*COVERED, *LEFT_OUT]) == list(range(1, 124))
    assert all(LEFT_OUT.values())


@pytest.mark.parametrize("test", sorted({test for _, *tests in COVERED.values() for test in tests}))
def test_the_test_exists(test):
    path, name = test.split("::")
    assert re.search(rf"^def {name}\(", (TESTS / path).read_text(encoding="utf-8"), re.M)


def test_every_case_names_a_test():
    assert all(len(entry) > 1 for entry in COVERED.values())
