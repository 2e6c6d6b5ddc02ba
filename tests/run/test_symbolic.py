"""Symbolic arrays have NumPy's shapes and views; what cannot be traced is refused."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad.errors import GraphError
from minigrad.run import functions, products  # noqa: F401 - which symbolic arrays look up
from minigrad.run.symbolic import Assign, Call, Expr, Program, View


def numbers(view, memory):
    """The entries of a flat array that a view shows."""
    return np.lib.stride_tricks.as_strided(
        memory[view.offset :], view.shape, [s * memory.itemsize for s in view.strides]
    )


@pytest.mark.parametrize(
    "look",
    [
        lambda a: a,
        lambda a: a.T,
        lambda a: a[1],
        lambda a: a[:, 1:, ::2],
        lambda a: a[..., 2],
        lambda a: a[:, None, -1],
        lambda a: a[::-1],
        lambda a: a.transpose(1, 2, 0),
        lambda a: a.swapaxes(0, 1)[2],
        lambda a: a.reshape(6, 4),
        lambda a: a[1].reshape(-1),
        lambda a: a[0, 1, 2],
        lambda a: a.reshape(2, 1, 3, 4)[:, 0].T,
    ],
)
def test_views_agree_with_numpys(look):
    memory = np.arange(24.0)
    view = look(Program().allocate("a", (2, 3, 4), np.float64))
    expected = look(memory.reshape(2, 3, 4))
    assert isinstance(view, View) and view.shape == expected.shape
    np.testing.assert_array_equal(numbers(view, memory), expected)
    assert view.contiguous == expected.flags.c_contiguous


def test_a_reshape_that_needs_a_copy_records_one():
    program = Program()
    a = program.allocate("a", (2, 3), np.float32)
    flat = a.T.reshape(6)
    (copy,) = program.statements
    assert (
        isinstance(copy, Assign)
        and copy.value.shape == (3, 2)
        and flat.storage is copy.target.storage
    )


def test_formulas_are_recorded_when_they_are_assigned():
    program = Program()
    a, b = (program.allocate(name, (2, 3), np.float32) for name in "ab")
    formula = np.where(a > 0, np.exp(-a) * 2, b[0])
    assert isinstance(formula, Expr) and formula.shape == (2, 3) and formula.dtype == np.float32
    assert not program.statements
    b[...] = formula
    b[1] += 1.0
    kinds = [(type(s), s.target.shape) for s in program.statements]
    assert kinds[0] == (Assign, (2, 3)) and kinds[1] == (Assign, (3,))


def test_reductions_products_and_kernels_are_statements():
    program = Program()
    a, b = program.allocate("a", (4, 3), np.float32), program.allocate("b", (5, 3), np.float32)
    y = np.matmul(a, b.T)
    total = (y * y).sum(axis=0, keepdims=True)
    program.call(print, a, b.T, 3)
    *assigned, copy, call = program.statements
    assert [s.op for s in assigned] == ["formula", "matmul", "add"]  # first bᵀ is copied
    assert isinstance(copy, Assign) and isinstance(call, Call)
    assert y.shape == (4, 5) and total.shape == (1, 5)
    assert program.statements[-1].args[1].contiguous  # the copy that was made for the kernel


@pytest.mark.parametrize(
    "do",
    [
        lambda a: bool(a.sum() > 0),
        lambda a: np.linalg.norm(a),
        lambda a: a[a > 0],
        lambda a: np.add.reduce(a),
        lambda a: np.multiply.at(a, 0, 1),
        lambda a: np.add.at(a.T, 0, 1),
        lambda a: a + np.ones(3),
        lambda a: a.__setitem__(np.array([0, 1]), 0),
    ],
)
def test_what_cannot_be_traced_is_refused(do):
    with pytest.raises(
        (GraphError, TypeError), match="compiled|__array_function__|no implementation"
    ):
        do(Program().allocate("a", (2, 3), np.float32))
