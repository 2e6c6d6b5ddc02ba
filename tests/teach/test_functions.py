"""Chapters ask for functions, dictionaries and modules: the right ones pass, likely wrong
ones get their hint.
"""

from __future__ import annotations

import re

import numpy as np
import pytest

import minigrad as mg
from minigrad.teach import clinic
from minigrad.teach.checking import hint

RIGHT_NAMES = clinic.answers()


def rows(n, k, s, p, d):
    return (n + 2 * p - d * (k - 1) - 1) // s + 1


def softmax(largest):
    """A softmax that subtracts something else than the row's largest logit."""

    def forward(z):
        e = np.exp(z - largest(z))
        return e / e.sum(axis=1, keepdims=True)

    return forward


a = mg.Variable(2.0)
b = mg.Variable(3.0)
RIGHT = {
    "0/graph": a * b + mg.sin(a),
    "9/rows": rows,
    "10/touched": np.unique,
    "10/words": {"rare words": 0, "praise": 0.9, "blame": 0.1}.get,
    "11/bound": lambda s, T: s ** (T - 1),
    "11/slope": lambda V: np.log10(np.abs(np.linalg.eigvals(V)).max()),
    "13/names": RIGHT_NAMES,
    "13/bugs": RIGHT_NAMES,
    "13/cure": lambda: "healthy",
}


@pytest.mark.parametrize("name", RIGHT)
def test_the_right_answer_passes(name):
    assert hint(name, RIGHT[name]) is None


WRONG = [
    ("0/graph", 6.9, "f must be a node"),
    ("0/graph", 6.9092974, "AttributeError.*f must be a node"),
    ("0/graph", a * b + mg.sin(mg.Variable(2.0)), "gives 6, 5 was expected: a must be one"),
    ("0/graph", a * b + mg.cos(a), "f must be a node.*a · b"),
    ("3/softmax", softmax(lambda z: 0), r"exp\(1000\) is infinite"),
    ("3/softmax", softmax(np.max), "its own largest logit"),
    (
        "3/cross-entropy",
        lambda z, c: (softmax(np.min)(z) - np.eye(z.shape[1])[c]) / len(z),
        "stable",
    ),
    ("9/rows", lambda n, k, s, p, d: n - k, r"n - k \+ 1 places"),
    ("9/rows", lambda n, k, s, p, d: n - k + 1, "above and p below"),
    ("9/rows", lambda n, k, s, p, d: n + 2 * p - k + 1, "0, then s"),
    ("9/rows", lambda n, k, s, p, d: (n + 2 * p - k) // s + 1, r"covers d · \(k - 1\) \+ 1"),
    ("10/touched", lambda ids: ids, "only one row"),
    ("10/touched", lambda ids: np.unique(ids)[1:], "padding has a row"),
    ("10/touched", lambda ids: [3, 99], r"\[0, 3, 5, 7\] was expected"),
    (
        "10/words",
        {"rare words": 2}.get,
        r"answer\('rare words'\) gives 2: the network sees <other>",
    ),
    ("10/words", {"rare words": 0, "praise": 0.7}.get, "gives 0.7: more than 0.8 is needed"),
    ("10/words", {"rare words": 0, "praise": 0.9, "blame": 0.3}.get, "less than 0.2 is needed"),
    ("11/bound", lambda s, T: s**T, "not T"),
    ("11/bound", lambda s, T: s * (T - 1), "would add"),
    ("11/slope", lambda V: np.log10(np.linalg.norm(V, 2)), "largest singular value"),
    ("11/slope", lambda V: np.log(np.abs(np.linalg.eigvals(V)).max()), "log10, not log"),
    ("11/slope", lambda V: np.log10(np.linalg.eigvals(V).real.max() or 1e-9), r"all eigenvalues"),
    (
        "13/names",
        RIGHT_NAMES | {"F": "vanishing gradient"},
        r"answer\['F'\] gives vanishing.*after the first tanh",
    ),
    ("13/names", RIGHT_NAMES | {"A": "a cold"}, "'A'.*where it begins"),
    ("13/names", {"A": "NaN"}, "KeyError: 'B'"),
    ("13/cure", lambda: "unused parameter", "gives unused parameter: it is still ill"),
]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("name", "answer", "said"), WRONG, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_likely_wrong_answer_gets_its_hint(name, answer, said):
    found = hint(name, answer)
    assert found is not None and re.search(said, found), found


def test_each_patient_has_its_disease_and_is_made_anew():
    d = mg.data.circle()
    x, y = d.x_train[:64], d.y_train[:64, None]
    for seed in (0, 1):
        for letter, (patient, scale) in clinic.patients(seed).items():
            found = mg.viz.diagnose(patient, np.float32(scale) * x, y)
            kind = found[0].kind if len(found) else "healthy"
            assert kind == clinic.answers(seed)[letter]
    assert [*clinic.answers(0).values()] != [*clinic.answers(1).values()]
    assert clinic.patients()["A"][0] is not clinic.patients()["A"][0]


def test_each_bug_shows_in_the_curves():
    """They are told apart by the last epochs of loss and accuracies."""
    last = {bug: {k: np.mean(v[-3:]) for k, v in clinic.course(bug).items()} for bug in clinic.BUGS}
    assert last["none"]["loss"] < 0.1 and last["none"]["in use"] > 0.9
    assert last["leakage"]["held out"] > last["leakage"]["in use"] + 0.02
    assert last["shuffled labels"]["training"] > 0.3 > 0.2 > last["shuffled labels"]["in use"]
    assert last["wrong loss"]["loss"] > np.log(1 + 9 / np.e) and last["wrong loss"]["in use"] > 0.7
    assert last["forgotten zero_grad"]["loss"] > 2
