"""Rules of mathematics entry by entry: one function forward, and one per input backward."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import DTypeError
from .arrays import sum_to
from .node import Array, GraphNode, Operator
from .rule import MEAN, NotSeparable, Rule, dtypes, implements, register

#: `(g, y, *xs) -> cotangent of one input`, or None for an input through which no gradient passes
Derivative = Callable[..., Any] | None


class Elementwise(Rule):
    """Mathematics applied to each entry, with NumPy broadcasting.

    `function(*xs, **attributes) -> y` and, per input, `derivative(g, y, *xs, **attributes) -> ` its
    cotangent; all in terms that work on arrays, on single numbers and on nodes alike.
    """

    def __init__(
        self, function: Callable[..., Any], symbol: str, backward: tuple[Derivative, ...]
    ) -> None:
        self.name, self.symbol = function.__name__, symbol
        self.function, self.derivatives = function, backward
        self.differentiable = bool(backward)
        self.__doc__, self.__name__, self.__module__ = (
            function.__doc__,
            function.__name__,
            function.__module__,
        )
        self.__signature__ = inspect.signature(function)
        parameters = self.__signature__.parameters.values()
        self._defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
        self._names = [p.name for p in parameters]
        self._arity = len(self._names) - len(self._defaults)
        register(self)

    def __call__(self, *inputs: Any, **attributes: Any) -> GraphNode:
        if len(inputs) != self._arity or self._defaults or attributes:
            inputs, attributes = self._bind(inputs, attributes)
        return self.apply(inputs, attributes)

    def _bind(
        self, inputs: tuple[Any, ...], attributes: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Sort the arguments into operands and attributes, as Python would for the function
        itself.
        """
        try:
            bound = self.__signature__.bind(*inputs, **attributes)
        except TypeError as error:
            raise TypeError(f"{self.name}: {error}") from None
        values = {**self._defaults, **bound.arguments}
        operands = tuple(values.pop(name) for name in self._names[: self._arity])
        # as Python numbers, which take the dtype of the arrays they meet
        return operands, {
            k: v.item() if isinstance(v, np.generic) else v for k, v in values.items()
        }

    def plan(self, *inputs: GraphNode, **attributes: Any) -> None:
        shape, equal = inputs[0]._data.shape, True
        for i, x in enumerate(inputs):
            if x._data.dtype.kind != "f":
                self._check_kind(inputs, i)
            equal = equal and x._data.shape == shape
        for name, value in attributes.items():
            if not isinstance(value, int | float | None):
                raise self.error(inputs, f"{name}={value!r}; a number was expected", DTypeError)
        if not equal:
            try:
                np.broadcast_shapes(*(x.shape for x in inputs))
            except ValueError:
                raise self.error(inputs, "shapes that broadcast were expected") from None

    def _check_kind(self, inputs: Sequence[GraphNode], i: int) -> None:
        """Where a gradient passes there must be floats; a mask beside floats is fine, x * (x > 0);
        True + True is not.
        """
        mask = inputs[i]._data.dtype.kind == "b" and any(x._data.dtype.kind == "f" for x in inputs)
        if self.differentiable and self.derivatives[i] and not mask:
            raise self.error(
                inputs, f"{dtypes(inputs)}, floats were expected (dtype=…)", DTypeError
            )

    def run(self, node: Operator, out: Array | None) -> Array:
        xs = [x._data for x in node.inputs]
        y = self.function(*xs, **node.attributes)
        if out is not None:
            out[...] = y
            return out
        y = np.asarray(y, order="C")
        for x in xs:
            if y is x:
                return y.copy()  # a node's memory is its own
        return y if y.base is None else y.copy()

    def batch_axis(self, node: Operator, axes: Sequence[int | None]) -> int | None:
        if MEAN in axes:  # only what is linear in a mean keeps it one
            others = [axis for axis in axes if axis != MEAN]
            summed = self.name in ("add", "subtract", "negative")
            scaled = (self.name == "multiply" and len(others) == 1) or (
                self.name == "divide" and axes[0] == MEAN != axes[1]
            )
            if any(axis is not None for axis in others) or not (summed or scaled):
                raise NotSeparable
            return MEAN
        places = {
            x.ndim - axis for x, axis in zip(node.inputs, axes, strict=True) if axis is not None
        }
        if not places:
            return None
        place = places.pop()  # counted from the last axis, as broadcasting does
        for x, axis in zip(node.inputs, axes, strict=True):
            if places or (axis is None and x.ndim >= place and x.shape[-place] != 1):
                raise NotSeparable
        return node.ndim - place

    def vjp(self, node: Operator, g: Array) -> None:
        xs = [x._data for x in node.inputs]
        for i, (x, derivative) in enumerate(zip(node.inputs, self.derivatives, strict=True)):
            if x.requires_grad and derivative:
                cotangent = derivative(g, node._data, *xs, **node.attributes)
                # a rule may hand on g itself, or a view of it: that memory is not the input's to
                # keep
                owned = cotangent is not g and getattr(cotangent, "base", None) is None
                node.deliver(i, cotangent, owned)

    def vjp_nodes(
        self, node: Operator, g: GraphNode, wanted: Sequence[bool]
    ) -> Sequence[GraphNode | None]:
        xs = node.inputs
        return [
            sum_to(derivative(g, node, *xs, **node.attributes), x.shape)
            if derivative and want
            else None
            for x, derivative, want in zip(xs, self.derivatives, wanted, strict=True)
        ]

    def jvp(self, node: Operator, tangents: Sequence[Array | None]) -> Array:
        """What is multiplied by a slope entry by entry is so in both directions: the derivatives,
        of tangents.
        """
        y, xs, total = node._data, [x._data for x in node.inputs], np.zeros(node.shape, node.dtype)
        for derivative, tangent in zip(self.derivatives, tangents, strict=True):
            if derivative and tangent is not None:
                total += derivative(tangent, y, *xs, **node.attributes)
        return total


def elementwise(
    symbol: str, *numpy: Any, backward: tuple[Derivative, ...] = ()
) -> Callable[[Callable[..., Any]], Elementwise]:
    """Decorator that turns `function(*xs) -> y` into an operator; `numpy` are the functions it
    stands for.

    `backward` has one function `(g, y, *xs) -> cotangent` per input; none means that no gradient
    passes.
    """

    def define(function: Callable[..., Any]) -> Elementwise:
        rule = Elementwise(function, symbol, backward)
        implements(*numpy)(rule)
        return rule

    return define
