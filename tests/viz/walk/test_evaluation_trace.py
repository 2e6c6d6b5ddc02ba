"""The trace table: every number in it is the graph's, in Markdown, in text and in HTML."""

from __future__ import annotations

import re

import numpy as np
import pytest
from viz.examples import EXAMPLES, diamonds, mlp, neuron, shared, sine

import minigrad as mg
from minigrad.viz import trace


def cells(table):
    return [
        [row.name.text, row.formula.text, row.number] for row in (*table.forward, *table.reverse)
    ]


def markdown_cells(text):
    lines = [
        line
        for line in text.splitlines()
        if line.startswith("|") and "---" not in line and "| node |" not in line
    ]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def agrees(written, array):
    """Does what is written in a cell say these numbers?"""
    found = [float(x) for x in re.findall(r"-?(?:\d[\d.]*(?:e[+-]?\d+)?|inf|NaN)", written)]
    if array.size <= 4 or not array.shape:
        return np.allclose(found, array.ravel(), rtol=6e-3, equal_nan=True)
    array = array.astype(np.float64)
    shape, numbers = found[: array.ndim], found[array.ndim :]
    if "rms" in written:
        return shape == list(array.shape) and np.allclose(
            numbers, [np.sqrt(np.mean(array**2))], rtol=6e-3
        )
    return shape == list(array.shape) and np.allclose(
        numbers, [array.mean(), array.std()], rtol=6e-2, atol=1e-7
    )


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES.keys())
def test_values_and_adjoints_are_the_graphs(example):
    head = example()
    table, order = trace(head), mg.topological_sort(head)
    pulled = [node for node in reversed(order) if node.grad is not None]
    for row, node in zip(table.forward, order, strict=True):
        assert agrees(row.number, node.value), (row, node.value)
    for row, node in zip(table.reverse, pulled, strict=True):
        assert agrees(row.number, node.grad), (row, node.grad)
    rows = markdown_cells(table.markdown)
    assert [row[2] for row in rows if len(row) == 3 and row[0] != "node"] == [
        row[2] for row in cells(table)
    ]


def test_the_reverse_trace_of_one_number_can_be_computed_from_its_own_lines():
    head = shared()
    table = trace(head)
    known = {"sin": np.sin, "cos": np.cos, "exp": np.exp}

    def compute(text):
        for ours, theirs in (("·", "*"), ("−", "-"), ("²", "**2"), ("\u0304", "_bar")):
            text = text.replace(ours, theirs)
        return text.translate(str.maketrans("₀₁₂₃₄₅", "012345"))

    known["x"] = 0.5
    for row in (*table.forward[1:], *table.reverse):
        known[compute(row.name.text)] = eval(compute(row.formula.text), known)
    assert known["x_bar"] == pytest.approx(mg.topological_sort(head)[0].grad)
    assert known["v5"] == pytest.approx(head.item())


def test_a_node_that_is_used_often_shows_the_sum_of_what_comes_back():
    assert cells(trace(shared()))[-1] == ["x̄", "v̄₃·cos(x) + v̄₂·v₂ + v̄₁·x + v̄₁·x", "3.24"]


def test_the_textbooks_table():
    assert str(trace(sine())) == (
        "Forward primal trace\n"
        "  node  formula     value\n"
        "  x     variable    2\n"
        "  v₁    constant    2\n"
        "  v₂    x²          4\n"
        "  v₃    sin(v₂)     -0.757\n"
        "\n"
        "Reverse adjoint trace\n"
        "  node  formula     value\n"
        "  v̄₃    1           1\n"
        "  v̄₂    v̄₃·cos(v₂)  -0.654\n"
        "  x̄     2·v̄₂·x      -2.61"
    )
    assert r"| $\bar v_2$ | $\bar v_3 \cdot \cos(v_2)$ | -0.654 |" in trace(sine()).markdown


def test_before_backward_there_is_only_the_forward_half():
    x = mg.Variable(2.0, name="x")
    table = trace(x * x)
    assert not table.reverse and "backward()" in table.note
    assert "Reverse adjoint trace" not in table.text
    assert all(
        form.rstrip().find(table.note.split(":")[0]) > 0 for form in (table.text, table.markdown)
    )
    assert "no node depends on a Variable" in trace(mg.Constant(1.0) + 2).note


def test_a_notebook_shows_markdown():
    table = trace(sine())
    assert table._repr_mimebundle_() == {"text/plain": table.text, "text/markdown": table.markdown}
    assert table._repr_markdown_() == table.markdown and str(table) == table.text
    assert repr(table) == "<Trace of v₃: 4 rows, 3 back>"


def test_names_of_ones_own_that_are_not_unique_get_their_number():
    w, again, odd = (mg.Variable(1.0, name=name) for name in ("w", "w", "v₀"))
    assert [row.name.text for row in trace(w * again * odd).forward] == [
        "w₀",
        "w₁",
        "v₂",
        "v₀₃",
        "v₄",
    ]
    names = [row.name.text for row in trace(mlp()).forward]
    assert "weight₁" in names and "weight₆" in names


@pytest.mark.parametrize(
    "name", ["</td><script>alert(1)</script>", "a|b", "$x$", "`c`", "\\", "<!--", "a\nb", "\ud800x"]
)
def test_a_name_stays_text(name):
    x = mg.Variable(2.0, name=name)
    y = mg.sin(x) * mg.Constant(3.0, name=name)
    y.backward()
    table = trace(y)
    assert [len(row) for row in markdown_cells(table.markdown)] == [3] * len(cells(table))


def test_a_long_graph_shows_its_ends():
    table = trace(diamonds(5000))
    assert len(table.forward) == 201
    assert table.forward[100].formula.text == "14,801 rows left out"
    assert table.forward[0].name.text == "x" and table.forward[-1].name.text == "v₁₅₀₀₀"
    assert len(table.text.splitlines()) < 220


def test_a_node_with_very_many_users_has_a_short_sum():
    x = mg.Variable(1.0, name="x")
    y = mg.sum(mg.stack([x * float(i) for i in range(1000)]))
    y.backward()
    last = trace(y).reverse[-1]
    assert last.formula.text.endswith("… 994 further uses") and len(last.formula.text) < 100
    assert last.number == "5e+05"


def test_looking_changes_nothing():
    head = neuron()
    before = [
        (node.value.copy(), None if node.grad is None else node.grad.copy())
        for node in mg.topological_sort(head)
    ]
    first = trace(head).text
    assert trace(mg.Graph(head)).text == first
    for node, (value, grad) in zip(mg.topological_sort(head), before, strict=True):
        np.testing.assert_array_equal(node.value, value)
        assert (node.grad is None) == (grad is None)
        if grad is not None:
            np.testing.assert_array_equal(node.grad, grad)


def test_a_seed_that_was_given():
    x = mg.Variable([1.0, 2.0], name="x")
    y = mg.exp(x)
    y.backward([3.0, 4.0])
    assert cells(trace(y))[2] == ["v̄₁", "seed", "[3, 4]"]


@pytest.mark.parametrize("thing", [3, "x", None])
def test_wrong_things(thing):
    with pytest.raises(
        TypeError, match=f"trace: a {type(thing).__name__}; a node, a Graph or a tuple of nodes"
    ):
        trace(thing)
