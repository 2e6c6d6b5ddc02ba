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

RIGHT_NAMES = {
    "A": "Saturation",
    "B": "exploding gradient",
    "C": "NaN or inf",
    "D": "vanishing gradient",
    "E": "dead ReLU",
}


def rows(n, k, s, p, d):
    return (n + 2 * p - d * (k - 1) - 1) // s + 1


def step(p, C, n):
    return C / p + 2 * (p - 1) * (50e-6 + n / p / 125e6)


def unroll(x, k):
    patches = np.lib.stride_tricks.sliding_window_view(x, (k, k))
    return patches.reshape(-1, k * k).T


a = mg.Variable(2.0)
b = mg.Variable(3.0)
RIGHT = {
    "0/graph": a * b + mg.sin(a),
    "8/unroll": unroll,
    "9/rows": rows,
    "10/touched": np.unique,
    "10/words": {"rare words": 0, "praise": 0.9, "blame": 0.1}.get,
    "11/bound": lambda s, T: s ** (T - 1),
    "11/slope": lambda V: np.log10(np.abs(np.linalg.eigvals(V)).max()),
    "13/names": RIGHT_NAMES,
    "13/cure": lambda: "healthy",
    "A/step": step,
}


@pytest.mark.parametrize("name", RIGHT)
def test_the_right_answer_passes(name):
    assert hint(name, RIGHT[name]) is None


WRONG = [
    ("0/graph", 6.9, "f must be a node"),
    ("0/graph", 6.9092974, "AttributeError.*f must be a node"),
    ("0/graph", a * b + mg.sin(mg.Variable(2.0)), "gives 6, 5 was expected: a must be one"),
    ("0/graph", a * b + mg.cos(a), "f must be a node.*a · b"),
    ("8/unroll", lambda x, k: unroll(x, k).T, r"one \.T is missing"),
    ("8/unroll", lambda x, k: unroll(x, k)[::-1], "each column is one patch"),
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
        RIGHT_NAMES | {"A": "vanishing gradient"},
        r"answer\['A'\] gives vanishing.*after the first tanh",
    ),
    ("13/names", RIGHT_NAMES | {"C": "a cold"}, "'C'.*double ring"),
    ("13/names", {"A": "saturation"}, "KeyError: 'B'"),
    ("13/cure", lambda: "unused parameter", "gives unused parameter: it is still ill"),
    ("A/step", lambda p, C, n: C / p + 2 * p * (50e-6 + n / p / 125e6), "nobody to talk to"),
    ("A/step", lambda p, C, n: C / p, "50 µs each"),
    ("A/step", lambda p, C, n: C / p + 2 * (p - 1) * (50e-6 + n / 125e6), "p-th part"),
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
    for letter, (patient, scale) in clinic.patients().items():
        found = mg.viz.diagnose(patient, np.float32(scale) * x, y)
        assert found[0].kind.lower() == RIGHT_NAMES[letter].lower()
    assert clinic.patients()["A"][0] is not clinic.patients()["A"][0]
