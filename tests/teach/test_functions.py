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


def jacobian(move, scale=2, dtype=float):
    """A numerical Jacobian, or a wrong one: `move` gives the two points."""
    f = {
        "neighbours": lambda x: x[1:] * x[:-1],
        "cube": lambda x: x**3,
        "square": lambda x: x**2,
    }

    def measured(name, x, h):
        pairs = [move(np.array(x, dtype), j, h) for j in range(len(x))]
        return np.stack([(f[name](a) - f[name](b)) / (scale * h) for a, b in pairs], axis=1)

    return measured


def moved(x, j, h):
    x[j] += h
    return x


def central(x, j, h):
    return moved(x.copy(), j, h), moved(x, j, -h)


def accumulated(name, x, h):
    """A column that keeps what was moved before it."""
    start, columns = np.array(x, float), []
    f = lambda x: x[1:] * x[:-1]  # noqa: E731
    for j in range(len(x)):
        columns.append((f(moved(np.array(start), slice(j + 1), h)) - f(start)) / h)
    return np.stack(columns, axis=1)


def unbroadcast(add, keepdims=True):
    """Broadcasting undone by a sum, or by something else."""

    def undone(g, shape):
        shape = tuple(int(n) for n in shape)
        while g.ndim > len(shape):
            g = add(g, 0)
        for axis, n in enumerate(shape):
            g = np.sum(g, axis, keepdims=keepdims) if n == 1 else g
        return g

    return undone


def linear(x=None, W=None, b=None):
    """The backward function of a linear layer, with one rule replaced."""
    rules = {
        "x": x or (lambda g, x, W: g @ W.T),
        "W": W or (lambda g, x, W: x.T @ g),
        "b": b or (lambda g, x, W: g.sum(0)),
    }
    return lambda which, *arrays: rules[which](*arrays)


def softmax(largest=lambda z: z.max(1, keepdims=True), total=lambda e: e.sum(1, keepdims=True)):
    def forward(z):
        e = np.exp(z - largest(z))
        return e / total(e)

    return forward


def slope(t=lambda p, c: np.eye(p.shape[1])[c], n=len, stable=None):
    """The gradient of softmax and cross-entropy, or a wrong one."""

    def backward(z, classes):
        p = (stable or softmax())(np.asarray(z, float))
        return (p - t(p, classes)) / n(p)

    return backward


def logsumexp(shift, factor):
    """The operator "logsumexp", or a wrong one."""

    def forward(x):
        m = x.max() * shift
        return m + np.log(np.exp(x - m).sum())

    return mg.operator(forward, lambda g, y, x: factor(g) * np.exp(x - y), name="mine")


a = mg.Variable(2.0)
b = mg.Variable(3.0)
RIGHT = {
    "0/graph": a * b + mg.sin(a),
    "3/jacobian": jacobian(central),
    "3/unbroadcast": unbroadcast(np.sum),
    "3/linear": linear(),
    "3/softmax": softmax(),
    "3/cross-entropy": slope(),
    "3/classifier": lambda _: 0.86,
    "4/logsumexp": logsumexp(1, lambda g: g),
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
    ("0/graph", 6.9092974, "could not be tried"),
    ("0/graph", a * b + mg.sin(mg.Variable(2.0)), "the graph has 6 nodes"),
    ("0/graph", a * b + mg.cos(a), "f must be a node.*a · b"),
    ("3/jacobian", lambda *a: jacobian(central)(*a).T, "the other way round"),
    ("3/jacobian", jacobian(central, scale=1), "it is 2h, not h"),
    (
        "3/jacobian",
        jacobian(lambda x, j, h: (moved(x.copy(), j, h), x), 1),
        "move both ways: .*h\\)",
    ),
    (
        "3/jacobian",
        jacobian(lambda x, j, h: (x, moved(x.copy(), j, -h)), 1),
        "move both ways: .*- h",
    ),
    ("3/jacobian", accumulated, "is not put back"),
    ("3/jacobian", jacobian(central, dtype=None), "an array of integers cannot hold 1"),
    ("3/unbroadcast", lambda g, shape: g.sum(0, keepdims=True), "an axis that was added has to go"),
    ("3/unbroadcast", unbroadcast(np.mean), "a sum, not a mean"),
    ("3/unbroadcast", unbroadcast(lambda g, axis: g.sum(-1)), "NumPy adds axes in front"),
    ("3/unbroadcast", unbroadcast(lambda g, axis: g[0]), "was a copy as well"),
    ("3/unbroadcast", unbroadcast(np.sum, keepdims=False), "keepdims=True"),
    ("3/unbroadcast", lambda g, shape: g.sum(0) if g.ndim > len(shape) else g, "sum over it"),
    ("3/linear", linear(x=lambda g, x, W: g @ W), "W must be transposed"),
    ("3/linear", linear(x=lambda g, x, W: W @ g), "g comes first"),
    ("3/linear", linear(W=lambda g, x, W: x @ g), "x must be transposed"),
    ("3/linear", linear(W=lambda g, x, W: g.T @ x), "the inputs come first"),
    ("3/linear", linear(W=lambda g, x, W: x.T @ g / len(x)), "is in g already"),
    ("3/linear", linear(b=lambda g, x, W: g), "was stretched over the samples"),
    ("3/linear", linear(b=lambda g, x, W: g.sum(1)), "one entry for each output"),
    ("3/linear", linear(b=lambda g, x, W: g.sum(0, keepdims=True)), "without keepdims"),
    ("3/linear", linear(b=lambda g, x, W: g.mean(0)), "is in g already"),
    ("3/softmax", softmax(total=np.sum), "adds up to 1"),
    ("3/softmax", lambda z: softmax()(z.T).T, "go along the first"),
    ("3/softmax", softmax(total=lambda e: 1, largest=lambda z: 0), "the numerators"),
    ("3/softmax", softmax(largest=lambda z: 0), r"exp\(1000\) is infinite"),
    ("3/softmax", softmax(largest=np.max), "each row needs its own largest"),
    ("3/cross-entropy", slope(n=lambda p: 1), "a mean over N samples"),
    ("3/cross-entropy", slope(n=lambda p: p.shape[1]), "not of classes"),
    ("3/cross-entropy", lambda *a: -slope()(*a), "not t - p"),
    ("3/cross-entropy", slope(t=lambda p, c: 0), "Where is t"),
    ("3/cross-entropy", slope(t=lambda p, c: 1), "one entry of each row"),
    ("3/cross-entropy", slope(stable=softmax(largest=lambda z: 0)), "Make your softmax stable"),
    ("3/classifier", lambda _: 0.1, "more than 0.85 is within reach"),
    ("4/logsumexp", logsumexp(0, lambda g: g), "Subtract the largest"),
    ("4/logsumexp", logsumexp(1, lambda g: 1), "the gradient is not.*Is g in it"),
    ("4/logsumexp", mg.exp, "one number was expected"),
    ("4/logsumexp", mg.sum, r"2\.24.* was expected: one number"),
    ("8/unroll", lambda x, k: unroll(x, k).T, r"one \.T is missing"),
    ("8/unroll", lambda x, k: unroll(x, k)[::-1], "each column is one patch"),
    ("9/rows", lambda n, k, s, p, d: n - k, r"n - k \+ 1 places"),
    ("9/rows", lambda n, k, s, p, d: n - k + 1, "above and p below"),
    ("9/rows", lambda n, k, s, p, d: n + 2 * p - k + 1, "0, then s"),
    ("9/rows", lambda n, k, s, p, d: (n + 2 * p - k) // s + 1, r"covers d · \(k - 1\) \+ 1"),
    ("10/touched", lambda ids: ids, "only one row"),
    ("10/touched", lambda ids: np.unique(ids)[1:], "padding has a row"),
    ("10/touched", lambda ids: [3, 99], r"\[0, 3, 5, 7\] was expected"),
    ("10/words", {"rare words": 2}.get, "for rare words it gives 2: the network sees <other>"),
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
        "for A it gives vanishing.*after the first tanh",
    ),
    ("13/names", RIGHT_NAMES | {"C": "a cold"}, "for C .*double ring"),
    ("13/names", {"A": "saturation"}, "KeyError: 'B'"),
    ("13/cure", lambda: "unused parameter", "it gives unused parameter: it is still ill"),
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
