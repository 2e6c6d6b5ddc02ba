"""What must hold of every operator on every case: one function per claim. `examine` makes them
all.
"""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
from oracle import assert_close
from proof.generate import Drawn

import minigrad as mg

STEP = 1e-6


def agrees_with_jax(case: Drawn, y: mg.GraphNode, xs: list[mg.Variable]) -> None:
    """The value and all gradients, in the dtype of the operands."""
    value, grads, _ = case.reference
    assert_close(y.value, value, case.dtype)
    assert y.dtype == case.dtype or y.dtype.kind in "bi" or case.row.name == "sign"
    for x, grad in zip(xs, grads, strict=True):
        assert (x.grad is not None) == y.requires_grad
        if y.requires_grad:
            assert x.grad.dtype == case.dtype
            assert_close(x.grad, grad, case.dtype)


def agrees_with_differences(case: Drawn) -> None:
    """In float64 the gradient of each operand, along a random direction, is the slope that
    differences measure.
    """
    y, xs = case.run(np.float64)
    if not (case.smooth and y.requires_grad):
        return
    rng, g = np.random.default_rng(case.seed + 1), case.reference[2]
    floats = [i for i, x in enumerate(case.operands) if x.dtype.kind == "f"]
    for i, x in zip(floats, xs, strict=True):
        direction = rng.normal(size=x.shape)

        def moved(by: float, i: int = i, direction: Any = direction) -> np.ndarray:
            arrays = [
                array + by * direction if j == i else array for j, array in enumerate(case.operands)
            ]
            nodes = [mg.Constant(a, dtype=np.float64) if a.dtype.kind == "f" else a for a in arrays]
            return case.ours(*nodes).value

        slope = ((moved(STEP) - moved(-STEP)) * g).sum() / (2 * STEP)
        terms = x.grad * direction
        np.testing.assert_allclose(
            terms.sum(), slope, rtol=0, atol=1e-6 * max(1.0, np.abs(terms).sum())
        )


def keeps_to_itself(
    case: Drawn, before: list[np.ndarray], y: mg.GraphNode, xs: list[mg.Variable]
) -> None:
    """Operands and seed are as they were; each gradient has memory of its own."""
    given = [*case.operands, case.reference[2]]
    for array, copy in zip(given, before, strict=True):
        np.testing.assert_array_equal(array, copy)
    if y.requires_grad:
        arrays = [*(x.grad for x in xs), *(x.value for x in xs), y._data, *given]
        for i, grad in enumerate(arrays[: len(xs)]):
            assert grad.flags.c_contiguous and grad.flags.writeable
            assert not any(
                np.shares_memory(grad, other) for j, other in enumerate(arrays) if i != j
            )


def adds_up(case: Drawn, y: mg.GraphNode, xs: list[mg.Variable]) -> None:
    """A second pass adds to the gradients."""
    if y.requires_grad:
        once = [x.grad.copy() for x in xs]
        y.backward(case.reference[2])
        for x, grad in zip(xs, once, strict=True):
            assert_close(
                x.grad, 2 * grad, case.dtype
            )  # entries that are picked twice are added in another order


def goes_away(case: Drawn) -> None:
    """A graph that nobody holds is freed at once. Meant to run without garbage collection."""
    y, xs = case.run(case.dtype)
    nodes = [weakref.ref(node) for node in (*mg.topological_sort(y), *xs)]
    arrays = [weakref.ref(x.grad) for x in xs if x.grad is not None]
    del y, xs
    assert not any(ref() is not None for ref in (*nodes, *arrays))


def examine(case: Drawn) -> None:
    """All of it. Raises `AssertionError`, or whatever the operator raises."""
    before = [array.copy() for array in (*case.operands, case.reference[2])]
    y, xs = case.run(case.dtype)
    agrees_with_jax(case, y, xs)
    keeps_to_itself(case, before, y, xs)
    adds_up(case, y, xs)
    agrees_with_differences(case)
    goes_away(case)
