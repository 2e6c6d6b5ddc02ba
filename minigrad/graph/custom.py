"""Operators of the user's own, from two functions on arrays."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from ..errors import DTypeError, GraphError, ShapeError
from .arrays import sum_to
from .node import Array, GraphNode, Operator
from .rule import Rule


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

    def plan(self, *inputs: GraphNode, **attributes: Any) -> None:
        if attributes:
            raise TypeError(f"{self.name}: it takes arrays only, not {', '.join(attributes)}=")
        if not inputs:
            raise TypeError(f"{self.name}: at least one input was expected")
        self.need_floats(*inputs)

    def run(self, node: Operator, out: Array | None) -> Array:
        xs = [x._data for x in node.inputs]
        y = self._array(self._call("forward", self.function, *xs), "forward", xs[0].dtype)
        if out is None:
            return y
        if y.shape != out.shape:
            raise ShapeError(
                f"{self.name}: forward returned shape {y.shape}, and {out.shape} when the graph "
                f"was built"
            )
        out[...] = y
        return out

    def forward(self, node: Operator, out: Any, *xs: Any) -> None:
        """What a compiled run writes down: the user's formula, on arrays that only note what is
        done with them.
        """
        out[...] = self.function(*xs)

    def vjp_nodes(
        self, node: Operator, g: GraphNode, wanted: Sequence[bool]
    ) -> Sequence[GraphNode | None]:
        try:
            found = self._gradients(node, self.pullback(g, node, *node.inputs))
        except (
            Exception
        ) as error:  # the user's function may raise anything when it meets nodes in place of arrays
            raise GraphError(
                f"{self.name}: backward cannot be run on nodes, for derivatives of it: {error}"
            ) from error
        if not all(isinstance(grad, GraphNode | None) for grad in found):
            raise GraphError(
                f"{self.name}: backward, run on nodes, returned "
                f"{' and '.join(type(grad).__name__ for grad in found)}; "
                "written in operators and NumPy functions it returns nodes (None where there is no "
                "gradient)"
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
                f"inputs; "
                "one for each was expected, None where there is none"
            )
        return grads

    def vjp(self, node: Operator, g: Array) -> None:
        found = self._call(
            "backward", self.pullback, g, node._data, *(x._data for x in node.inputs)
        )
        grads = self._gradients(node, found)
        for i, (x, grad) in enumerate(zip(node.inputs, grads, strict=True)):
            if grad is None or not x.requires_grad:
                continue
            if not isinstance(g, np.ndarray):  # a compiled run: the formula is written down
                self._fit(getattr(grad, "shape", ()), x, i)
                node.deliver(i, grad, owned=False)
                continue
            array = self._array(grad, "backward", x.dtype)
            self._fit(array.shape, x, i)
            x.receive(array if array.shape == x.shape else sum_to(array, x.shape), owned=True)

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
        """A copy of what a function returned, in the dtype of the graph: the user's arrays stay the
        user's.
        """
        array = np.asarray(found)
        if array.dtype.kind not in "biuf":
            raise DTypeError(
                f"{self.name}: {function} returned {array.dtype} values; numbers were expected"
            )
        return np.array(array, dtype, order="C")

    def _fit(self, shape: tuple[int, ...], x: GraphNode, index: int) -> None:
        """Raise `ShapeError` unless a gradient of this shape becomes one of x when broadcasting is
        undone.
        """
        with suppress(ValueError):
            if np.broadcast_shapes(shape, x.shape) == shape:
                return
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
    """
    for what, function in (("forward", forward), ("backward", backward)):
        if not callable(function):
            raise TypeError(
                f"operator: {what} is a {type(function).__name__}, a function was expected"
            )
    own = getattr(forward, "__name__", "operator")
    name = name or ("operator" if own == "<lambda>" else own)
    return Custom(forward, backward, name, symbol or name)
