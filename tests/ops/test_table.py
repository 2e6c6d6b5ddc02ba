"""Every operator, generated from the one table: value and gradient against JAX and against central
differences.
"""

import numpy as np
import pytest
from operators import SMOOTH, TABLE
from oracle import LAYOUTS, assert_close, cases, few, lay_out

import minigrad as mg
from minigrad.graph.registry import all_rules
from minigrad.graph.settings import state_kept

FLOATS = [np.float32, np.float64]
CASES = cases(TABLE)


def test_every_rule_has_a_row():
    assert {row.name for row in TABLE} == set(all_rules())


@pytest.mark.parametrize("dtype", FLOATS, ids=["float32", "float64"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_agrees_with_jax(case, dtype):
    value, grads, _ = case.reference
    y, xs = case.run(dtype)
    assert_close(y.value, value, dtype)
    if y.dtype.kind == "f":
        assert y.dtype == dtype
    for x, grad in zip(xs, grads, strict=True):
        if y.requires_grad:
            assert x.grad.dtype == dtype  # nothing on the way turned it into float64
            assert_close(x.grad, grad, dtype)
        else:
            assert x.grad is None


def has_slope(case):
    """Not at ties, nor for the mean of nothing; and small enough to move each entry both ways."""
    entries = sum(x.size for x in case.operands)
    return few not in case.row.domains and entries <= 150 and (entries or case.row.name != "mean")


@pytest.mark.parametrize("case", list(filter(has_slope, cases(SMOOTH))), ids=str)
def test_agrees_with_central_differences(case):
    floats = [x for x in case.operands if x.dtype.kind == "f"]

    def of_floats(*nodes):
        left = iter(nodes)
        return case.ours(*(next(left) if x.dtype.kind == "f" else x for x in case.operands))

    assert mg.gradcheck(of_floats, floats)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_memory_is_nobody_elses(case):
    """Operands and seed keep their values; gradients share no memory with each other, the seed, or
    any value.
    """
    operands = [x.copy() for x in case.operands]
    seed = case.reference[2].copy()
    y, xs = case.run(np.float64)
    for x, before in zip(case.operands, operands, strict=True):
        np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(case.reference[2], seed)
    if y.requires_grad:
        arrays = [*(x.grad for x in xs), *(x.value for x in xs), *case.operands, case.reference[2]]
        for i, grad in enumerate(arrays[: len(xs)]):
            assert grad.flags.c_contiguous and grad.flags.writeable
            assert not any(
                np.shares_memory(grad, other) for j, other in enumerate(arrays) if i != j
            )


@pytest.mark.parametrize("case", CASES, ids=str)
def test_second_backward_adds(case):
    """Into a gradient that is there already, every rule adds; cleared, it starts again: to the
    bit.
    """
    y, xs = case.run(np.float64)
    if not y.requires_grad:
        return
    once = [x.grad.copy() for x in xs]
    y.backward(case.reference[2])
    for x, grad in zip(xs, once, strict=True):
        np.testing.assert_array_equal(x.grad, 2 * grad)
        x.zero_grad()
    y.backward(case.reference[2])
    for x, grad in zip(xs, once, strict=True):
        np.testing.assert_array_equal(x.grad, grad)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_one_operand_at_a_time(case):
    """A gradient does not depend on which of the others are asked for."""
    y, xs = case.run(np.float64)
    if not y.requires_grad or len(xs) < 2:
        return
    floats = [i for i, x in enumerate(case.operands) if x.dtype.kind == "f"]
    for i, x in zip(floats, xs, strict=True):
        nodes = [
            array
            if array.dtype.kind != "f"
            else (mg.Variable if j == i else mg.Constant)(array, dtype=np.float64)
            for j, array in enumerate(case.operands)
        ]
        case.ours(*nodes).backward(case.reference[2])
        np.testing.assert_array_equal(nodes[i].grad, x.grad)
        assert all(n.grad is None for n in nodes if isinstance(n, mg.Constant))


LARGEST = [max(cases([row]), key=lambda case: sum(x.size for x in case.operands)) for row in TABLE]


@pytest.mark.parametrize("case", LARGEST, ids=lambda case: case.row.name)
@pytest.mark.parametrize("layout", LAYOUTS[1:])
def test_layout_of_the_operands_does_not_matter(case, layout):
    """The same to the bit."""
    arrays = [lay_out(x, layout) for x in case.operands]
    same, others = case.run(np.float32, arrays)
    y, xs = case.run(np.float32, [x.copy() for x in arrays])
    np.testing.assert_array_equal(same.value, y.value)
    for x, other in zip(xs, others, strict=True):
        np.testing.assert_array_equal(x.grad, other.grad)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_replay_gives_the_same_bits(case):
    y, xs = case.run(np.float32)
    graph, value = mg.Graph(y), y.value.copy()
    grads = [None if x.grad is None else x.grad.copy() for x in xs]
    y._data[...] = 66  # poison: every entry must be written again
    if any(y._data.base is x.value for x in xs):
        return  # a reshape shares its input's memory
    with state_kept():  # dropout draws its last mask again
        np.testing.assert_array_equal(graph.forward(), value)
    if y.requires_grad:
        graph.zero_grad()
        for node in graph.order:
            if node._spare is not None:
                node._spare[...] = 66
        graph.backward(case.reference[2])
        for x, grad in zip(xs, grads, strict=True):
            np.testing.assert_array_equal(x.grad, grad)
