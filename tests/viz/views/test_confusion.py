"""Confusion matrices: every count, and what is not a class."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad.viz import confusion_matrix


def said(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_counts_shares_recall_and_precision():
    made = confusion_matrix([0, 0, 0, 0, 1, 2], [0, 0, 0, 1, 1, 1])
    assert made.numbers["counts"].tolist() == [[3, 1, 0], [0, 1, 0], [0, 1, 0]]
    assert made.numbers["accuracy"] == pytest.approx(4 / 6)
    assert said(made) == [
        *("3\n75.0 %", "1\n25.0 %", "·"),
        *("·", "1\n100 %", "·"),
        *("·", "1\n100 %", "·"),
    ]
    assert made.numbers["recall"].tolist() == [0.75, 1, 0]
    assert np.array_equal(made.numbers["precision"], [1, 1 / 3, np.nan], equal_nan=True)
    assert made.description == (
        "Confusion matrix of 3 classes: 66.7 % of 6 right; most often 0 taken for 1: 1, 2 taken "
        "for 1: 1."
    )


def test_against_scikit_learn():
    from sklearn.metrics import confusion_matrix as theirs

    rng = np.random.default_rng(0)
    y, logits = rng.integers(0, 10, 500), rng.normal(size=(500, 10))
    made = confusion_matrix(y, mg.Constant(logits))
    assert np.array_equal(made.numbers["counts"], theirs(y, logits.argmax(1)))
    assert made._repr_png_()


def test_names_are_shown_as_they_are():
    made = confusion_matrix(np.array([[0.0], [1.0]]), [1, 1], ["$a$", "<b>" * 20])
    assert [label.get_text() for label in made.axes[0].get_xticklabels()] == [
        r"\$a\$",
        "<b><b><b><b><…",
    ]
    assert "$a$ taken for <b>" in made.description
    assert made._repr_png_()


def test_what_are_no_classes():
    for arguments, error, message in (
        (([0.5], [0]), mg.DTypeError, "labels are no class ids"),
        (([0], [-1]), mg.DTypeError, "predictions are no class ids"),
        (([0], [np.nan]), mg.DTypeError, "predictions are no class ids"),
        ((["a"], [0]), mg.DTypeError, "labels holds <U1"),
        (([0, 1], [0]), mg.ShapeError, r"labels \(2,\) and predictions \(1,\)"),
        (([], []), mg.ShapeError, "were expected"),
        (([0, 1], [0, 1], ["a"]), ValueError, "2 classes and 1 names"),
        (([99], [0]), ValueError, "100 classes; at most 30"),
    ):
        with pytest.raises(error, match=message):
            confusion_matrix(*arguments)
