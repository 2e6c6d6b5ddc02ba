"""Gradients as values, forward mode, and whole Jacobians."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..errors import GraphError, ShapeError
from ..graph import settings
from ..graph.autodiff import array_like, backward, seed_of, topological_sort
from ..graph.conversion import Array
from ..graph.node import Constant, GraphNode, Variable
from ..graph.reading import refuse_frozen
from . import derivatives


def grad(output: GraphNode, inputs: Any, grad: Any = None, *, create_graph: bool = False) -> Any:
    """The gradient of `output` with respect to one node, or a tuple of them for a tuple or list, as
    nodes.

    As `torch.autograd.grad`: the `.grad` of nodes stays as it is. `grad` is ∂L/∂output, 1 by
    default for a single number. With `create_graph=True` the gradients are graphs themselves and
    can be differentiated again, to any order:

        x = mg.Variable(2.0)
        dy = mg.grad(x**3, x, create_graph=True)  # 3 x² = 12
        ddy = mg.grad(dy, x)                      # 6 x  = 12

    Otherwise they are constants. An input that `output` does not depend on has gradient 0, like a
    constant's derivative. Raises `GraphError` for an input that records no gradient (a constant, a
    frozen variable) or, with `create_graph`, where an operator on the way has no graph for its
    gradient; `ShapeError` for a `grad` of another shape.
    """
    several = isinstance(inputs, tuple | list)
    wrt = list(inputs) if several else [inputs]
    for node in (output, *wrt):
        if not isinstance(node, GraphNode):
            raise TypeError(f"grad: got a {type(node).__name__} where a node was expected")
    for x in wrt:
        if not x.requires_grad:
            raise GraphError(
                f"grad with respect to {x!r}: no gradient is recorded for it; a Variable was "
                f"expected"
            )
    if not output.requires_grad and not settings.recording():
        raise GraphError(
            f"grad of {output!r}: within no_grad nothing is recorded, so there is no gradient "
            f"to find"
        )
    if not output.requires_grad:  # the gradient of something linear, say
        found: Sequence[GraphNode] = [_zeros(x) for x in wrt]
    elif not create_graph:
        refuse_frozen(output)
        found = [
            Constant(array, dtype=array.dtype)
            for array in _arrays(topological_sort(output), grad, wrt)
        ]
    else:
        seed = seed_of(output, grad)
        with settings.recorded(True), settings.default_dtype(output.dtype):
            start = grad if isinstance(grad, GraphNode) else Constant(seed, dtype=seed.dtype)
            nodes = derivatives.vjp(topological_sort(output), start, wrt)
        found = [_zeros(x) if node is None else node for x, node in zip(wrt, nodes, strict=True)]
    return tuple(found) if several else found[0]


def jvp(
    fn: Callable[..., GraphNode], inputs: Sequence[Any], tangents: Sequence[Any]
) -> tuple[Array, Array]:
    """The value of `fn(*inputs)` and its derivative along `tangents`: J · tangents, without J.

    `inputs` are arrays, numbers or nodes, one for each argument of `fn`, which gets them as
    variables and returns a node; `tangents` are as many arrays of the same shapes. Both results are
    arrays of the result's shape. Forward mode is reverse mode twice: the VJP is linear in its
    cotangent, and its gradient is the JVP (Townsend 2017, "A new trick for calculating Jacobian
    vector products"). Raises `ShapeError` or `DTypeError` where tangents do not fit the inputs.
    """
    xs, y = _called("jvp", fn, inputs)
    if len(tangents) != len(xs):
        raise ShapeError(
            f"jvp: {len(tangents)} tangents for {len(xs)} inputs; one for each was expected"
        )
    along = [array_like(x, t, "jvp: tangent") for x, t in zip(xs, tangents, strict=True)]
    push = _forward_mode(y, xs)
    total = np.zeros(y.shape, y.dtype)
    for i, tangent in enumerate(along):
        total += push(i, tangent)
    return y._data.copy(), total


def jacobian(
    fn: Callable[..., GraphNode], inputs: Any, mode: str = "reverse", *, return_passes: bool = False
) -> Any:
    """All derivatives of `fn(inputs)`: an array of shape (*result's shape, *input's shape).

    `mode="reverse"` computes it row by row, one pass for each entry of the result;
    `mode="forward"` column by column, one pass for each entry of the inputs. With
    `return_passes=True` the number of passes is returned too, `(jacobian, passes)`: reverse mode
    needs fewer where the result has fewer entries than the inputs, as a loss has. `inputs` is an
    array, a number or a node; a tuple or list holds one for each argument of `fn` and gives a
    tuple.
    """
    if mode not in ("reverse", "forward"):
        raise ValueError(f'jacobian: mode={mode!r}; "reverse" or "forward" was expected')
    several = isinstance(inputs, tuple | list)
    xs, y = _called("jacobian", fn, inputs if several else (inputs,))
    blocks = [np.zeros((y.size, x.size), x.dtype) for x in xs]
    if mode == "reverse":
        order = topological_sort(y)
        for k in range(y.size if y.requires_grad else 0):
            for block, row in zip(blocks, _arrays(order, _one_hot(y, k), xs), strict=True):
                block[k] = row.reshape(-1)
    else:
        push = _forward_mode(y, xs)
        for i, (block, x) in enumerate(zip(blocks, xs, strict=True)):
            for k in range(x.size):
                block[:, k] = push(i, _one_hot(x, k)).reshape(-1)
    passes = y.size if mode == "reverse" else sum(x.size for x in xs)
    pairs = zip(blocks, xs, strict=True)
    shaped = tuple(block.reshape(y.shape + x.shape) for block, x in pairs)
    result = shaped if several else shaped[0]
    return (result, passes) if return_passes else result


def _called(
    name: str, fn: Callable[..., GraphNode], inputs: Sequence[Any]
) -> tuple[list[Variable], GraphNode]:
    """Variables for the inputs, and the node that fn makes of them."""
    if not isinstance(inputs, tuple | list):
        raise TypeError(
            f"{name}: inputs is a {type(inputs).__name__}; a list or tuple was expected, one for "
            f"each argument"
        )
    for x in inputs:
        if isinstance(x, GraphNode):
            refuse_frozen(x)
    xs = [
        Variable(x._data, dtype=x.dtype) if isinstance(x, GraphNode) else Variable(x)
        for x in inputs
    ]
    with settings.recorded(True):
        y = fn(*xs)
    if not isinstance(y, GraphNode):
        raise GraphError(f"{name}: fn returned {type(y).__name__}, a node was expected")
    refuse_frozen(y)
    return xs, y


def _forward_mode(y: GraphNode, xs: Sequence[Variable]) -> Callable[[int, Array], Array]:
    """A function (i, tangent of the i-th input) -> tangent of y."""
    g = Variable(np.ones(y.shape), dtype=y.dtype if y.dtype.kind == "f" else None)
    with settings.recorded(True), settings.default_dtype(g.dtype):
        found = derivatives.vjp(topological_sort(y), g, xs) if y.requires_grad else [None] * len(xs)
    orders = [topological_sort(x) if x is not None and x.requires_grad else [] for x in found]

    def push(i: int, tangent: Array) -> Array:
        if not orders[i]:
            return np.zeros(y.shape, y.dtype)
        return _arrays(orders[i], tangent, [g])[0]

    return push


def _arrays(order: Sequence[GraphNode], seed: Any, wrt: Sequence[GraphNode]) -> list[Array]:
    """The gradients of the nodes in `wrt` by an ordinary backward pass, which leaves no trace in
    any node.
    """
    with without_gradients([*order, *wrt]):
        backward(order, seed)
        return [np.zeros(x.shape, x.dtype) if x._grad is None else x._grad for x in wrt]


@contextmanager
def without_gradients(nodes: Sequence[GraphNode]) -> Iterator[None]:
    """Within the block the nodes begin without gradients; after it they have theirs from before."""
    kept = [(node, node._grad, node._spare, node.grad_pass) for node in nodes]
    for node in nodes:
        node._grad = node._spare = None
    try:
        yield
    finally:
        for node, array, spare, number in kept:
            node._grad, node._spare, node.grad_pass = array, spare, number


def _one_hot(node: GraphNode, k: int) -> Array:
    array = np.zeros(node.shape, node.dtype)
    array.reshape(-1)[k] = 1
    return array


def _zeros(x: GraphNode) -> GraphNode:
    return Constant(np.zeros(x.shape), dtype=x.dtype)
