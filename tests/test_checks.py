"""Checks of arguments: what passes, and the message for what does not."""

import re

import numpy as np
import pytest

from minigrad.checks import integer, one_of


@pytest.mark.parametrize("value", [2, np.int64(2), np.uint8(2), np.array(2)])
def test_integers_of_every_kind_pass(value):
    found = integer("f", "n", value, 2)
    assert found == 2 and type(found) is int


@pytest.mark.parametrize(
    ("value", "error"), [(1, ValueError), (2.0, TypeError), ("2", TypeError), (None, TypeError)]
)
def test_what_is_not_such_an_integer_is_named(value, error):
    said = f"f: n={value!r}; an integer ≥ 2 was expected"
    with pytest.raises(error, match=re.escape(said)):
        integer("f", "n", value, 2, " (two are special)")


def test_a_number_that_is_too_low_gets_the_reason():
    with pytest.raises(ValueError, match=r"≥ 2 was expected \(two are special\)$"):
        integer("f", "n", 1, 2, " (two are special)")


@pytest.mark.parametrize("value", ["c", "", None, ["a"]])
def test_a_choice_that_does_not_exist_is_named(value):
    one_of("f", "kind", "a", {"a": 1, "b": 2})
    with pytest.raises(ValueError, match=re.escape(f"f: kind={value!r}; one of a, b was expected")):
        one_of("f", "kind", value, {"a": 1, "b": 2})
