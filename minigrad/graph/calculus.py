"""Gradients as values, forward mode, and whole Jacobians."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..errors import GraphError, ShapeError
from . import settings
from .derive import pulled, pushed
from .node import Array, Constant, GraphNode, Variable
from .order import array_like, backward, seed_of, topological_sort
from .reading import refuse_frozen


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
            nodes = pulled(topological_sort(output), start, wrt)
        found = [_zeros(x) if node is None else node for x, node in zip(wrt, nodes, strict=True)]
    return tuple(found) if several else found[0]


def jvp(
    fn: Callable[..., GraphNode], inputs: Sequence[Any], tangents: Sequence[Any]
) -> tuple[Array, Array]:
    """The value of `fn(*inputs)` and its derivative along `tangents`, in forward mode: J ·
    tangents, J never being made.

    `inputs` are arrays, numbers or nodes, one for each argument of `fn`, which gets them as
    variables and returns a node; `tangents` are as many arrays of the same shapes. One pass forward
    gives both results, arrays of the same shape. Raises `ShapeError` or `DTypeError` where tangents
    do not fit the inputs.
    """
    xs, y = _called("jvp", fn, inputs)
    if len(tangents) != len(xs):
        raise ShapeError(
            f"jvp: {len(tangents)} tangents for {len(xs)} inputs; one for each was expected"
        )
    pairs = zip(xs, tangents, strict=True)
    along: dict[GraphNode, Array] = {
        x: array_like(x, tangent, "jvp: tangent") for x, tangent in pairs
    }
    return y._data.copy(), _pushed(y, topological_sort(y), along)


def jacobian(
    fn: Callable[..., GraphNode], inputs: Any, mode: str = "reverse", *, return_passes: bool = False
) -> Any:
    """All derivatives of `fn(inputs)`: an array of shape (*result's shape, *input's shape).

    `mode="reverse"` makes it row by row, one backward pass for each entry of the result;
    `mode="forward"` column by column, one forward pass for each entry of the inputs. With
    `return_passes=True` the number of passes is returned too, `(jacobian, passes)`: reverse mode is
    the cheaper one where the result has fewer entries than the inputs, as a loss has. `inputs` is
    an array, a number or a node; a tuple or list holds one for each argument of `fn` and gives a
    tuple.
    """
    if mode not in ("reverse", "forward"):
        raise ValueError(f'jacobian: mode={mode!r}; "reverse" or "forward" was expected')
    several = isinstance(inputs, tuple | list)
    xs, y = _called("jacobian", fn, inputs if several else (inputs,))
    order, passes = topological_sort(y), 0
    blocks = [np.zeros((y.size, x.size), x.dtype) for x in xs]
    if mode == "reverse":
        for k in range(y.size):
            passes += 1
            for block, row in zip(
                blocks, _arrays(order, _one_hot(y, k), xs) if y.requires_grad else (), strict=False
            ):
                block[k] = row.reshape(-1)
    else:
        for block, x in zip(blocks, xs, strict=True):
            for k in range(x.size):
                passes += 1
                block[:, k] = _pushed(y, order, {x: _one_hot(x, k)}).reshape(-1)
    shaped = tuple(block.reshape(y.shape + x.shape) for block, x in zip(blocks, xs, strict=True))
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


def _pushed(y: GraphNode, order: Sequence[GraphNode], along: dict[GraphNode, Array]) -> Array:
    with settings.recorded(True), settings.default_dtype(y.dtype if y.dtype.kind == "f" else None):
        found = pushed(order, along)
    return np.zeros(y.shape, y.dtype) if found is None else found.copy()


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
