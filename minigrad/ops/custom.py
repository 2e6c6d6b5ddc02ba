"""Operators of the user's own, from two functions on arrays."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import DTypeError, GraphError, ShapeError
from ..graph.conversion import Array, sum_to
from ..graph.node import GraphNode
from ..graph.rule import Operand, Operator, Rule


class Custom(Rule):
    """What `operator` returns: call it on nodes, arrays and numbers like any other operator."""

    def __init__(
        self, forward: Callable[..., Any], backward: Callable[..., Any], name: str, symbol: str
    ) -> None:
        self.name, self.symbol = name, symbol
        self.function, self.pullback = forward, backward
        self.__doc__ = forward.__doc__

    def __reduce__(self) -> Any:
        return Custom, (self.function, self.pullback, self.name, self.symbol)

    def plan(self, *inputs: Operand) -> None:
        if not inputs:
            raise TypeError(f"{self.name}: at least one input was expected")
        self.floats(*inputs)

    def run(self, node: Operator, out: Array | None) -> Array:
        xs = [x._data for x in node.inputs]
        y = self._array(self._call("forward", self.function, *xs), "forward", xs[0].dtype)
        if out is None:
            return y
        if y.shape != out.shape:
            before = f"and {out.shape} when the graph was built"
            raise ShapeError(f"{self.name}: forward returned shape {y.shape}, {before}")
        out[...] = y
        return out

    def forward(self, node: Operator, out: Any, *xs: Any) -> None:
        out[...] = self.function(*xs)  # on symbolic arrays, which record the user's formula

    def vjp(self, node: Operator, g: Array) -> None:
        xs = [x._data for x in node.inputs]
        found = self._call("backward", self.pullback, g, node._data, *xs)
        numbers = isinstance(g, np.ndarray)  # not a symbolic array, which records the formula
        for i, (x, grad) in enumerate(zip(node.inputs, self._gradients(node, found), strict=True)):
            if grad is not None and x.requires_grad:
                grad = self._array(grad, "backward", x.dtype) if numbers else grad
                self._check_shape(getattr(grad, "shape", ()), x, i)
                x.receive(sum_to(grad, x.shape), owned=numbers)

    def vjp_nodes(
        self, node: Operator, g: GraphNode, wanted: Sequence[bool]
    ) -> Sequence[GraphNode | None]:
        try:
            found = self._gradients(node, self.pullback(g, node, *node.inputs))
        except Exception as error:  # the user's function may raise anything when it gets nodes
            raise GraphError(
                f"{self.name}: backward cannot be run on nodes, for derivatives of it: {error}"
            ) from error
        if not all(isinstance(grad, GraphNode | None) for grad in found):
            raise GraphError(
                f"{self.name}: backward, run on nodes, returned "
                f"{' and '.join(type(grad).__name__ for grad in found)}; written in operators and "
                "NumPy functions it returns nodes (None where there is no gradient)"
            )
        return [
            sum_to(grad, x.shape) if grad is not None and want else None
            for grad, x, want in zip(found, node.inputs, wanted, strict=True)
        ]

    def _gradients(self, node: Operator, found: Any) -> Sequence[Any]:
        """What backward returned, as one gradient (or None) for each input."""
        grads = found if isinstance(found, tuple | list) else (found,)
        if len(grads) != len(node.inputs):
            raise GraphError(
                f"{self.name}: backward returned {len(grads)} gradients for {len(node.inputs)} "
                "inputs; one for each was expected, None where there is none"
            )
        return grads

    def _call(self, which: str, function: Callable[..., Any], *arrays: Any) -> Any:
        try:
            return function(*arrays)
        except TypeError:
            try:
                inspect.signature(function).bind(*arrays)
            except TypeError as unfit:
                given = "(g, y, *inputs)" if which == "backward" else "(*inputs)"
                raise TypeError(
                    f"{self.name}: {which} is called with {given}, {len(arrays)} arrays: {unfit}"
                ) from None
            raise

    def _array(self, found: Any, function: str, dtype: Any) -> Array:
        """A copy in the graph's dtype of what a function returned, which stays the user's."""
        array = np.asarray(found)
        if array.dtype.kind not in "biuf":
            raise DTypeError(
                f"{self.name}: {function} returned {array.dtype} values; numbers were expected"
            )
        return np.array(array, dtype, order="C")

    def _check_shape(self, shape: tuple[int, ...], x: GraphNode, index: int) -> None:
        """Raise `ShapeError` for a gradient that is not x, broadcast."""
        try:
            fits = np.broadcast_shapes(shape, x.shape) == shape
        except ValueError:
            fits = False
        if not fits:
            raise ShapeError(
                f"{self.name}: backward returned shape {shape} for input {index}; "
                f"{x.shape} was expected, or a shape to which that broadcasts"
            )


def operator(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    *,
    name: str | None = None,
    symbol: str | None = None,
) -> Custom:
    """An operator from `forward(*xs) -> y` and `backward(g, y, *xs) -> gradients`, both on arrays.

    `backward` returns one gradient for a single input, or a tuple with one (or None) per input;
    where forward broadcast an input, its gradient may have the shape of y and is summed. `name` is
    used in messages (the function's own by default), `symbol` in drawings. Raises `GraphError`,
    `ShapeError` or `DTypeError`, with the name, for what does not fit. Forward mode and higher
    derivatives run `backward` on nodes, so for these it must be written in operators and in NumPy
    functions that have one.

        cube = mg.operator(lambda x: x**3, lambda g, y, x: g * 3 * x**2, name="cube", symbol="x³")
        mg.gradcheck(cube, [np.array([1.0, -2.0])])

    >>> cube = mg.operator(lambda x: x**3, lambda g, y, x: 3 * g * x**2, name="cube")
    >>> x = mg.Variable(2.0)
    >>> cube(x).backward()
    >>> x.grad
    array(12., dtype=float32)
    """
    for what, function in (("forward", forward), ("backward", backward)):
        if not callable(function):
            got = type(function).__name__
            raise TypeError(f"operator: {what} is a {got}, a function was expected")
    own = getattr(forward, "__name__", "operator")
    name = name or ("operator" if own == "<lambda>" else own)
    return Custom(forward, backward, name, symbol or name)
