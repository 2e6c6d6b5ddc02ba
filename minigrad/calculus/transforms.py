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
    """The gradient of `output` with respect to one node, or a tuple for several, as nodes.

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

    >>> x = mg.Variable(2.0)
    >>> slope = mg.grad(x**3, x, create_graph=True)
    >>> slope.item(), mg.grad(slope, x).item()
    (12.0, 12.0)
    """
    several = isinstance(inputs, tuple | list)
    wrt = list(inputs) if several else [inputs]
    for node in (output, *wrt):
        if not isinstance(node, GraphNode):
            raise TypeError(f"grad: got a {type(node).__name__} where a node was expected")
    for x in wrt:
        if not x.requires_grad:
            raise GraphError(
                f"grad with respect to {x.brief}: no gradient is recorded for it; a Variable was "
                f"expected"
            )
    if not output.requires_grad and not settings.recording():
        raise GraphError(
            f"grad of {output.brief}: within no_grad nothing is recorded, so there is no gradient "
            f"to find"
        )
    if create_graph:
        found = _node_gradients(output, grad, wrt)
    else:
        refuse_frozen(output)
        arrays = array_gradients(topological_sort(output), grad, wrt)
        found = [Constant(array, dtype=array.dtype) for array in arrays]
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

    >>> y, dy = mg.jvp(lambda x: x * x, [np.array([1.0, 3.0])], [np.array([1.0, 0.0])])
    >>> y, dy
    (array([1., 9.], dtype=float32), array([2., 0.], dtype=float32))
    """
    xs, y = called("jvp", fn, inputs)
    if len(tangents) != len(xs):
        raise ShapeError(
            f"jvp: {len(tangents)} tangents for {len(xs)} inputs; one for each was expected"
        )
    along = [array_like(x, t, "jvp: tangent") for x, t in zip(xs, tangents, strict=True)]
    push = forward_mode(y, xs)
    total = sum(map(push, xs, along), np.zeros(y.shape, y.dtype))
    return y._data.copy(), np.asarray(total)


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

    >>> mg.jacobian(lambda x: x * x, np.array([1.0, 3.0]))
    array([[2., 0.],
           [0., 6.]], dtype=float32)
    """
    if mode not in ("reverse", "forward"):
        raise ValueError(f'jacobian: mode={mode!r}; "reverse" or "forward" was expected')
    several = isinstance(inputs, tuple | list)
    xs, y = called("jacobian", fn, inputs if several else (inputs,))
    if mode == "reverse":
        order, passes = topological_sort(y), y.size
        rows = [array_gradients(order, seed, xs) for seed in _basis(y)]
        found = [np.array([row[i] for row in rows], x.dtype) for i, x in enumerate(xs)]
    else:
        push, passes = forward_mode(y, xs), sum(x.size for x in xs)
        columns = (np.array([push(x, tangent) for tangent in _basis(x)], x.dtype) for x in xs)
        found = [block.reshape(x.size, y.size).T for block, x in zip(columns, xs, strict=True)]
    pairs = zip(found, xs, strict=True)
    shaped = tuple(block.reshape(y.shape + x.shape) for block, x in pairs)
    result = shaped if several else shaped[0]
    return (result, passes) if return_passes else result


def called(
    name: str, fn: Callable[..., GraphNode], inputs: Sequence[Any], dtype: Any = None
) -> tuple[list[Variable], GraphNode]:
    """Variables for the inputs, and the node that fn makes of them; `name` is for errors.

    Nodes keep their dtype, and other inputs get the default one, where none is given.
    """
    if not callable(fn):
        raise TypeError(f"{name}: fn is a {type(fn).__name__}; a function of nodes was expected")
    if not isinstance(inputs, tuple | list):
        raise TypeError(
            f"{name}: inputs is a {type(inputs).__name__}; a list or tuple was expected, one for "
            f"each argument"
        )
    xs = []
    for x in inputs:
        if isinstance(x, GraphNode):
            refuse_frozen(x)
            xs.append(Variable(x._data, dtype=dtype or x.dtype))
        else:
            xs.append(Variable(x, dtype=dtype))
    with settings.recorded(True):
        y = fn(*xs)
    if not isinstance(y, GraphNode):
        raise GraphError(f"{name}: fn returned a {type(y).__name__}; a node was expected")
    refuse_frozen(y)
    return xs, y


def forward_mode(y: GraphNode, xs: Sequence[Variable]) -> Callable[[Variable, Array], Array]:
    """A function (x, tangent of x) -> tangent of y, for each x of `xs`."""
    g = Variable(np.ones(y.shape), dtype=y.dtype if y.requires_grad else None)
    back = _node_gradients(y, g, xs)
    orders = {x: topological_sort(node) for x, node in zip(xs, back, strict=True)}

    def push(x: Variable, tangent: Array) -> Array:
        return array_gradients(orders[x], tangent, [g])[0].astype(y.dtype, copy=False)

    return push


def _node_gradients(y: GraphNode, grad: Any, wrt: Sequence[GraphNode]) -> list[GraphNode]:
    """The gradients of the nodes in `wrt`, as graphs."""
    found: dict[GraphNode, GraphNode] = {}
    if y.requires_grad:
        seed = seed_of(y, grad)
        with settings.recorded(True), settings.default_dtype(y.dtype):
            start = grad if isinstance(grad, GraphNode) else Constant(seed, dtype=seed.dtype)
            found = derivatives.vjp(topological_sort(y), start, wrt)
    return [found[x] if x in found else derivatives.zeros_like(x) for x in wrt]


def array_gradients(order: Sequence[GraphNode], seed: Any, wrt: Sequence[GraphNode]) -> list[Array]:
    """The gradients of the nodes in `wrt` by an ordinary backward pass.

    It leaves no trace in any node.
    """
    with without_gradients([*order, *wrt]):
        if order[-1].requires_grad:
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


def _basis(node: GraphNode) -> Iterator[Array]:
    """For each entry of a node an array with 1 in its place and 0 elsewhere."""
    for k in range(node.size):
        array = np.zeros(node.size, node.dtype)
        array[k] = 1
        yield array.reshape(node.shape)
