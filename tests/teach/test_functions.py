"""Chapters 7 to 11 ask for functions, dictionaries and modules: the right ones pass, likely wrong
ones get their hint.
"""

from __future__ import annotations

import re

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.teach import chapter10
from minigrad.teach.checking import exercises

RIGHT_NAMES = {
    "A": "Saturation",
    "B": "exploding gradient",
    "C": "NaN or inf",
    "D": "vanishing gradient",
    "E": "dead ReLU",
}
IDS = np.array([[0, 5, 7], [0, 3, 4]])


def hint(name, answer):
    return exercises(int(name.split("/")[0]))[name].hint(answer)


class Remembering(nn.Module):
    def __init__(self, all_of_it=True):
        self.first, self.second, self.last = (
            nn.Linear(2, 16, seed=0),
            nn.Linear(16, 16, seed=1),
            nn.Linear(16, 1, seed=2),
        )
        self.all_of_it = all_of_it

    def forward(self, x):
        h = mg.tanh(self.first(x))
        return self.last(mg.tanh(self.second(h)) if self.all_of_it else h)


def rows(n, k, s, p, d):
    return (n + 2 * p - d * (k - 1) - 1) // s + 1


def step(p, C, n):
    return C / p + 2 * (p - 1) * (50e-6 + n / p / 125e6)


RIGHT = {
    "7/rows": rows,
    "8/touched": np.unique,
    "8/words": lambda: (IDS, 0.9, 0.1),
    "9/bound": lambda s, T: s ** (T - 1),
    "9/slope": lambda V: np.log10(np.abs(np.linalg.eigvals(V)).max()),
    "10/names": RIGHT_NAMES,
    "10/cure": Remembering(),
    "11/step": step,
}


@pytest.mark.parametrize("name", RIGHT)
def test_the_right_answer_passes(name):
    assert hint(name, RIGHT[name]) is None


WRONG = [
    ("7/rows", lambda n, k, s, p, d: n - k, r"n - k \+ 1 places"),
    ("7/rows", lambda n, k, s, p, d: n - k + 1, "above and p below"),
    ("7/rows", lambda n, k, s, p, d: n + 2 * p - k + 1, "0, then s"),
    ("7/rows", lambda n, k, s, p, d: (n + 2 * p - k) // s + 1, r"covers d · \(k - 1\) \+ 1"),
    ("8/touched", lambda ids: ids, "only one row"),
    ("8/touched", lambda ids: np.unique(ids)[1:], "padding has a row"),
    ("8/touched", lambda ids: [3, 99], "0, 3, 5 and 7"),
    ("8/words", lambda: (IDS * 0, 0.9, 0.1), "without words"),
    ("8/words", lambda: (np.ones_like(IDS), 0.9, 0.1), "too rare"),
    ("8/words", lambda: (IDS, 0.7, 0.1), "your praise gets 0.70"),
    ("8/words", lambda: (IDS, 0.9, 0.3), "your damnation gets 0.30"),
    ("9/bound", lambda s, T: s**T, "not T"),
    ("9/bound", lambda s, T: s * (T - 1), "would add"),
    ("9/slope", lambda V: np.log10(np.linalg.norm(V, 2)), "largest singular value"),
    ("9/slope", lambda V: np.log(np.abs(np.linalg.eigvals(V)).max()), "log10, not log"),
    ("9/slope", lambda V: np.log10(np.linalg.eigvals(V).real.max() or 1e-9), r"all eigenvalues"),
    ("10/names", RIGHT_NAMES | {"A": "vanishing gradient"}, "patient A has no vanishing gradient"),
    ("10/names", RIGHT_NAMES | {"C": "a cold"}, "none of the five.*double ring"),
    ("10/names", {"A": "saturation"}, "each of A, B, C, D and E"),
    ("10/cure", Remembering(all_of_it=False), "still ill: unused parameter"),
    ("10/cure", nn.Linear(2, 3), r"\(N, 1\)"),
    ("11/step", lambda p, C, n: C / p + 2 * p * (50e-6 + n / p / 125e6), "nobody to talk to"),
    ("11/step", lambda p, C, n: C / p, "50 µs each"),
    ("11/step", lambda p, C, n: C / p + 2 * (p - 1) * (50e-6 + n / 125e6), "p-th part"),
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
    for letter, (patient, scale) in chapter10.patients().items():
        found = mg.viz.diagnose(patient, np.float32(scale) * x, y)
        assert found[0].kind.lower() == RIGHT_NAMES[letter].lower()
    assert chapter10.patients()["A"][0] is not chapter10.patients()["A"][0]
