"""The formulas of every rule: there is one for everything, and those that can be computed give the
rule's own numbers.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
import scipy.special
import scipy.stats
from operators import ELEMENTWISE, LINALG, LOSS, REDUCE, SMOOTH, STEPS, TABLE
from oracle import cases

import minigrad as mg
from minigrad.graph.conversion import sum_to
from minigrad.graph.registry import all_rules
from minigrad.viz.walk.formulas import adjoint, formula
from minigrad.viz.walk.symbols import named

NAMES = "abcdefk"  # not g, which stands for the gradient
DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")


def python(text):
    """A formula's text as Python."""
    text = re.sub(r"\w+ [=≠<≤>≥] −?[\w.]+", r"(\g<0>)", text)
    text = re.sub(
        r"(?<![\w)ᵀ])\[([^\]]*)\]", r"(\1)", text
    )  # a condition; an index stands behind a name
    text = re.sub("[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda m: f"**{m[0].translate(DIGITS)}", text)
    text = re.sub(r"√(\w+)", r"root(\1)", text).replace("√", "root")
    text = re.sub(r"\|([^|]*)\|", r"size(\1)", text)
    for ours, theirs in (
        ("·", "*"),
        ("−", "-"),
        ("^", "**"),
        (" = ", " == "),
        ("≠", "!="),
        ("≤", "<="),
        ("≥", ">="),
        ("∧", "&"),
        ("ᵀ", ".T"),
        ("∞", "inf"),
    ):
        text = text.replace(ours, theirs)
    return text


def axes(axis):
    return axis if axis is None else tuple(int(a) for a in np.atleast_1d(axis))


def extreme(pairwise, along):
    return lambda a, b=None, axis=None: (
        along(a, axis=axes(axis), keepdims=True) if b is None else pairwise(a, b)
    )


def meaning(classes):
    """What the functions in formulas compute; sums keep their axes."""

    def total(a, axis=None):
        return np.sum(a, axis=axes(axis), keepdims=True)

    return {
        "exp": np.exp,
        "log": np.log,
        "sin": np.sin,
        "cos": np.cos,
        "tanh": np.tanh,
        "root": np.sqrt,
        "sign": np.sign,
        "size": np.absolute,
        "where": np.where,
        "σ": scipy.special.expit,
        "Φ": scipy.stats.norm.cdf,
        "inf": np.inf,
        "erf": scipy.special.erf,
        "max": extreme(np.maximum, np.max),
        "min": extreme(np.minimum, np.min),
        "Σ": total,
        "mean": lambda a, axis=None: total(a, axis) / (np.size(a) / np.size(total(a, axis))),
        "softmax": lambda a: scipy.special.softmax(a, axis=-1),
        "onehot": lambda ids: np.eye(classes)[ids],
        "broadcast": lambda a: a,
        "float": float,
    }


def symbols(node):
    return [named(NAMES[i]) for i in range(len(node.inputs))]


def value_of(symbol, names, scope):
    return eval(python(symbol.text), {**scope, **names})


def plain(case):
    """Whether the text of a formula can be computed with arrays as it stands."""
    shapes = case.shapes
    return all(0 not in shape for shape in shapes) and not (
        case.row.name in ("matmul", "linear") and any(len(shape) != 2 for shape in shapes[:2])
    )


@pytest.mark.parametrize(
    "case", list(filter(plain, cases([*ELEMENTWISE, *STEPS, *REDUCE, *LINALG, *LOSS]))), ids=str
)
def test_the_text_of_a_formula_gives_the_rules_numbers(case):
    y, _ = case.run(np.float64)
    g = case.reference[2]
    arrays = [x.value for x in y.inputs]
    known = dict(zip(NAMES, arrays, strict=False))
    scope = meaning(arrays[0].shape[-1] if arrays[0].shape else 1)
    given = symbols(y)
    if case.row in [*ELEMENTWISE, *LINALG]:
        scope["Σ"] = lambda a: a  # where broadcasting is undone, which is done below
    found = value_of(formula(y, named("y"), given), known, scope)
    np.testing.assert_allclose(np.reshape(found, y.shape), y.value, rtol=2e-5, atol=1e-12)
    kept = getattr(y.plan, "kept", y.shape)
    known |= {"y": y.value.reshape(kept), "g": np.reshape(g, kept)}
    for i, x in enumerate(y.inputs):
        term = adjoint(y, i, named("g"), named("y"), given)
        if x.grad is None:
            assert term is None
            continue
        here = value_of(term, known, scope)
        back = np.broadcast_to(here, np.broadcast_shapes(np.shape(here), x.shape))
        np.testing.assert_allclose(sum_to(back, x.shape), x.grad, rtol=2e-5, atol=1e-7)


def sound(latex):
    """Balanced, and nothing in it that Markdown or a table would take for its own."""
    bare = re.sub(r"\\[A-Za-z]+", "", latex)
    depth = [bare[:i].count("{") - bare[:i].count("}") for i in range(len(bare) + 1)]
    return min(depth) == depth[-1] == 0 and not re.search(r"[\\|<>$`*~#%&\"]|[^\w]_|\^[^{]", bare)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_every_rule_says_what_it_computes_and_what_comes_back(row):
    for case in cases([row])[:3]:
        y, _ = case.run(np.float64)
        given = symbols(y)
        forward = formula(y, named("y"), given)
        assert sound(forward.latex) and forward.text
        used = set(re.findall(r"\w+", re.sub("[ᵀ²]", " ", forward.text)))
        starts = set(
            NAMES[1 : 1 + y.rule.states] if hasattr(y.rule, "cell") else ""
        )  # states before the first
        assert set(NAMES[: len(given)]) - used <= starts
        for i, x in enumerate(y.inputs):
            term = adjoint(y, i, named("g"), named("y"), given)
            assert (term is not None) == (
                x.requires_grad and y.requires_grad and x.dtype.kind == "f" and x.grad is not None
            )
            if term is not None:
                assert sound(term.latex) and "g" in re.findall(r"\w+", term.text.replace("ᵀ", " "))


def test_no_rule_is_forgotten():
    assert {row.name for row in TABLE} == set(all_rules())
    for name, rule in all_rules().items():
        assert hasattr(rule, "derivatives") != hasattr(rule, "formula"), name
    assert all(row.name in all_rules() for row in SMOOTH)


def rows(function, *arrays):
    xs = [mg.Variable(np.array(array, float), dtype=np.float64) for array in arrays]
    y = function(*xs)
    given = symbols(y)
    terms = [adjoint(y, i, named("g"), named("y"), given) for i in range(len(y.inputs))]
    return formula(y, named("y"), given), [term and (term.text, term.latex) for term in terms]


@pytest.mark.parametrize(
    ("function", "forward", "backward", "latex"),
    [
        (mg.sin, "sin(a)", "g·cos(a)", r"g \cdot \cos(a)"),
        (mg.tanh, "tanh(a)", "g·(1 − y²)", r"g \cdot (1 - y^{2})"),
        (mg.sigmoid, "σ(a)", "g·y·(1 − y)", r"g \cdot y \cdot (1 - y)"),
        (mg.relu, "max(a, 0)", "g·[y > 0]", r"g \cdot [y \gt 0]"),
        (mg.sqrt, "√a", "g/(2·y)", r"\frac{g}{2 \cdot y}"),
        (mg.softplus, "max(a, 0) + log(1 + exp(−|a|))", "g·σ(a)", r"g \cdot \sigma(a)"),
        (
            mg.gelu,
            "a·Φ(a)",
            "g·(Φ(a) + 0.398942·a·exp(−0.5·a²))",
            r"g \cdot (\Phi(a) + 0.398942 \cdot a \cdot \exp(-0.5 \cdot a^{2}))",
        ),
    ],
)
def test_textbook_formulas(function, forward, backward, latex):
    found, (term,) = rows(function, 0.5)
    assert found.text == forward and term == (backward, latex)


def test_a_gradient_that_is_summed_over_broadcast_axes_says_so():
    _, (a, b) = rows(mg.multiply, [[1.0, 2.0]], 3.0)
    assert a[0] == "g·b" and b == ("Σ(g·a)", r"\textstyle\sum(g \cdot a)")


def test_an_operator_of_the_users_own_is_its_symbol():
    cube = mg.operator(lambda x: x**3, lambda g, y, x: g * 3 * x**2, name="cube", symbol="cu_be")
    found, (term,) = rows(cube, 2.0)
    assert found.text == "cu_be(a)" and found.latex == r"\text{cu＿be}(a)"
    assert term == ("g·∂cu_be/∂a", r"g \cdot \frac{\partial \text{cu＿be}}{\partial a}")


def test_a_recurrent_layer_and_an_optional_input():
    x, h, w, v, b = (np.ones(shape) for shape in ((2, 1, 3), (1, 2), (2, 3), (2, 2), (2,)))
    found, terms = rows(mg.rnn, x, h, w, v, b, b)
    assert found.text == "tanh(a[t] @ cᵀ + e + y[t − 1] @ dᵀ + f)"
    assert terms[4][0] == "Σ(δ[t]), δ[t] = (g[t] + δ[t + 1] @ d)·slope(y[t])"
    assert rows(mg.linear, np.ones((2, 3)), np.ones((4, 3)))[0].text == "a @ bᵀ"


def test_an_index_and_many_inputs_are_written_briefly():
    found, (term,) = rows(lambda x: x[1:, None, ::2], np.ones((3, 4)))
    assert (found.text, term[0]) == ("a[1:, None, ::2]", "put(g, 1:, None, ::2)")
    assert rows(lambda x: x.reshape(2, 6), np.ones((3, 4)))[0].text == "reshape(a, (2, 6))"
    xs = [mg.Variable(1.0) for _ in range(50)]
    y = mg.stack(xs)
    given = [named(f"x{i}") for i in range(50)]
    assert formula(y, named("y"), given).text == "stack(x0, x1, x2, x3, …, x49)"
    assert adjoint(y, 7, named("g"), named("y"), given).text == "part(g, 7)"
