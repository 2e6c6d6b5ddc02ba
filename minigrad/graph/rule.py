"""Rules: what an operator computes, and how gradients come back through it.

A rule is a function on nodes (or arrays, or numbers); calling it makes an `Operator`. There are two
kinds:

* `Elementwise`: plain mathematics on arrays, one function forward and one per input backward;
* `Rule`, subclassed for everything heavier: it plans shapes, then writes into given arrays, so that
  a graph that runs again allocates nothing.

A rule may declare more beside its mathematics, such as how its cost is counted or how a batch can
be split. The package that wants to know (`run`, `viz`, `interop`) looks it up; nothing here does.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from operator import attrgetter
from typing import Any, ParamSpec, Protocol, Self, cast

import numpy as np
from numpy.typing import ArrayLike

from ..errors import DTypeError, ShapeError, tell_line
from . import registry, settings
from .conversion import Array, sum_to
from .copying import copy_graph, flatten_graph, rebuild_graph
from .node import Buffer, Constant, GraphNode
from .reading import holds_nodes

_VARIADIC = inspect.Parameter.VAR_POSITIONAL
_axes, _requires_grad = attrgetter("_data.ndim"), attrgetter("requires_grad")
P = ParamSpec("P")
#: An input of an operator: a node, or an array or number that becomes a constant.
Operand = GraphNode | ArrayLike
Grads = list[Array | None]
#: `(g, y, *xs) -> cotangent of one input`; None for an input that gets no gradient
Derivative = Callable[..., Any] | None


class Operator(GraphNode):
    """A computed node: a `rule` applied to `inputs`, with `attributes` (stride, axis, …).

    `plan` is what the rule worked out from the shapes; `work` holds the named arrays that its
    kernel fills on the way (the winners of a pooling window, the hidden states of an RNN).

    >>> y = mg.exp(mg.Variable(0.0)) * 3
    >>> y.rule.name, [x.shape for x in y.inputs]
    ('multiply', [(), ()])
    """

    __slots__ = ("attributes", "inputs", "plan", "requires_grad", "rule", "work")

    def __init__(
        self, rule: Rule, inputs: tuple[GraphNode, ...], attributes: dict[str, Any], plan: Any
    ) -> None:
        self.rule, self.inputs, self.attributes, self.plan = rule, inputs, attributes, plan
        self.work: dict[str, Array] = {}
        self.requires_grad = rule.differentiable and any(map(_requires_grad, inputs))
        super().__init__(rule.run(self, None))

    def _kind(self) -> str:
        return f"{type(self).__name__} {self.rule.name}"

    def buffer(self, name: str, shape: tuple[int, ...], dtype: Any) -> Array:
        """The named work array of the node's kernel, the same one in every run."""
        if name not in self.work:
            self.work[name] = np.empty(shape, dtype)
        return self.work[name]

    def buffers(self) -> dict[str, Buffer]:
        """The buffers among the attributes, by name."""
        return {name: x for name, x in self.attributes.items() if isinstance(x, Buffer)}

    def changes(self, leaves: Collection[Any]) -> bool:
        return any(isinstance(x, GraphNode) and x.changes(leaves) for x in self.attributes.values())

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return copy_graph(self, memo)

    def __reduce__(self) -> Any:
        return rebuild_graph, (flatten_graph(self),)


class ScalarOperator(Operator):
    """An operator between single numbers: operands and result have no axes.

    >>> mg.Variable(2.0) * 3
    <ScalarOperator multiply () float32>
    """

    __slots__ = ()


class BroadcastedOperator(Operator):
    """An operator with at least one array; gradients are summed over broadcast axes.

    >>> mg.Variable([1.0, 2.0]) * 3
    <BroadcastedOperator multiply (2,) float32>
    """

    __slots__ = ()


def _no_plan(*inputs: Operand) -> None:
    pass


class Rule:
    """One operator; the instance is what users call.

    A subclass sets `name` (unique) and `symbol` (for drawings) and defines `plan`, `shape`,
    `forward` and `backward`. The parameters of `plan` are those of the operator: parameters
    annotated with `Operand` are its inputs, all others its attributes.
    """

    name: str
    symbol: str
    differentiable = True
    #: The result is linear in each of the first so many inputs (multilinear); further inputs are
    #: added to it. Forward and backward then give derivatives of any order. 0: it is not.
    multilinear = 0

    #: Check the inputs, and work out what forward and backward need to know of their shapes. Raises
    #: `ShapeError` or `DTypeError` with the operator's name and every shape.
    plan: Callable[..., Any] = staticmethod(_no_plan)

    def shape(self, node: Operator) -> tuple[int, ...]:
        """The shape of the result, from `node.plan` and the inputs.

        By default the plan's own `shape`, or the plan itself.
        """
        shape: tuple[int, ...] = getattr(node.plan, "shape", node.plan)
        return shape

    def dtype(self, node: Operator) -> np.dtype[Any]:
        """The dtype of the result; that of the first float input by default."""
        for x in node.inputs:
            if x._data.dtype.kind == "f":
                return x._data.dtype
        return node.inputs[0]._data.dtype

    def check(self, node: Operator, *xs: Array) -> None:
        """Raise an error for numbers that the operator cannot take: indices out of range."""

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        """Write the result into `out`."""
        raise NotImplementedError

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        """Write ∂L/∂xs[i] into `grads[i]` for each i where it is not None; `g` is ∂L/∂y."""
        raise NotImplementedError

    def decompose(self, node: Operator, *xs: GraphNode) -> GraphNode | None:
        """The result from other operators, for higher derivatives.

        It may differ from the result by a constant. None by default: see `derivatives.py`.
        """
        return None

    # ---------------- building a graph
    def __get__(self, instance: object, owner: Any = None) -> Self:
        return self  # what has this, `help` shows as a function, with its signature

    @property
    def __name__(self) -> str:
        return self.name

    @cached_property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self.plan)

    @cached_property
    def _inputs(self) -> dict[str, inspect.Parameter]:
        parameters = self.__signature__.parameters
        return {name: p for name, p in parameters.items() if "Operand" in str(p.annotation)}

    def __reduce__(self) -> Any:
        return registry.by_name, (self.name,)  # copies and pickles share the one instance

    @cached_property
    def _defaults(self) -> dict[str, Any] | None:
        """The attributes of a call with inputs alone; None where its arguments must be bound."""
        rest = list(self.__signature__.parameters.values())[len(self._inputs) :]
        leading = not any(p.name in self._inputs for p in rest)
        variadic = any(p.kind is _VARIADIC for p in self._inputs.values())
        if variadic or not leading or any(p.default is p.empty for p in rest):
            return None
        return {p.name: p.default for p in rest}

    def __call__(self, *arguments: Any, **options: Any) -> GraphNode:
        alone = not options and len(arguments) == len(self._inputs)
        if alone and self._defaults is not None and arguments[-1] is not None:  # fast
            return self.apply(arguments, dict(self._defaults))
        try:
            bound = self.__signature__.bind(*arguments, **options)
        except TypeError as error:
            raise TypeError(f"{self.name}: {error}") from None
        bound.apply_defaults()
        inputs: list[Any] = []
        attributes: dict[str, Any] = {}
        for name, value in bound.arguments.items():
            if name in self._inputs:
                inputs += value if self._inputs[name].kind is _VARIADIC else [value]
            else:  # a Python number takes the dtype of the arrays that it meets
                attributes[name] = value.item() if isinstance(value, np.generic) else value
        for p in reversed(self._inputs.values()):
            if p.default is None and inputs[-1] is None:
                inputs.pop()
        return self.apply(tuple(inputs), attributes)

    def apply(self, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> GraphNode:
        """Make the node of these operands; without recording, a constant."""
        nodes = self.operands(inputs)
        plan = self.plan(*nodes, **attributes)
        kind = BroadcastedOperator if any(map(_axes, nodes)) else ScalarOperator
        node = kind(self, nodes, attributes, plan)
        if settings.recording():
            return node
        if settings.changing() is not None:  # no gradient, but recomputed when the graph runs again
            node.requires_grad = False
            return node
        result = Constant.__new__(Constant)
        GraphNode.__init__(result, node._data if node._data.base is None else node._data.copy())
        return result

    def operands(self, inputs: tuple[Any, ...]) -> tuple[GraphNode, ...]:
        """The inputs as nodes; what is no node yet becomes a constant in the dtype of the others.

        Raises `DTypeError` where the floats of two nodes differ.
        """
        dtype, all_nodes = None, True
        for x in inputs:
            if not isinstance(x, GraphNode):
                if holds_nodes(x):
                    return self.operands(tuple(map(stacked, inputs)))
                all_nodes = False
            elif x._data.dtype.kind == "f":
                if dtype is not None and x._data.dtype != dtype:
                    nodes = [x for x in inputs if isinstance(x, GraphNode)]
                    expected = "make them one (dtype=…), for minigrad never changes it silently"
                    raise self.error(nodes, f"{dtypes(nodes)}; {expected}", DTypeError)
                dtype = x._data.dtype
        if all_nodes:
            return inputs
        try:
            return tuple(
                x if isinstance(x, GraphNode) else _constant(x, dtype, inputs) for x in inputs
            )
        except (DTypeError, ShapeError) as error:
            raise type(error)(f"{self.name}: {_shapes(inputs)}; {error}") from None

    # ---------------- running it
    def run(self, node: Operator, out: Array | None) -> Array:
        """Compute the node's value, into `out` if it is given."""
        if out is None:
            out = np.empty(self.shape(node), self.dtype(node))
        xs = [x._data for x in node.inputs]
        self.check(node, *xs)
        self.forward(node, out, *xs)
        return out

    def vjp(self, node: Operator, g: Array) -> None:
        """Add the vector–Jacobian product with the node's gradient `g` to the inputs' gradients.

        The first contribution to a gradient is written in place; further ones go through a work
        array of the node.
        """
        grads: list[Array | None] = [None] * len(node.inputs)
        added: list[tuple[GraphNode, Array]] = []
        for i, x in enumerate(node.inputs):
            if x.requires_grad:
                grads[i] = target = x.target()
                if target is not None:
                    x._grad = target  # where x is an input twice, the second one is added
                else:
                    grads[i] = extra = node.buffer(f"grad {i}", x._data.shape, x._data.dtype)
                    added.append((x, extra))
        try:
            self.backward(node, grads, g, node._data, *[x._data for x in node.inputs])
        except BaseException:  # Ctrl-C, too: what was to be written is not
            for x, grad in zip(node.inputs, grads, strict=True):
                if x._grad is grad:
                    x._grad = None
            raise
        for x, extra in added:
            x.receive(extra, owned=False)

    # ---------------- errors
    def error(
        self, inputs: Sequence[Any], expected: str, kind: type[Exception] = ShapeError
    ) -> Exception:
        """An error that names the operator, the shape of every input and the expectation."""
        error = kind(f"{self.name}: {_shapes(inputs)}; {expected}")
        return error if kind in (ShapeError, DTypeError) else tell_line(error)

    def given(self, *inputs: Operand | None) -> tuple[GraphNode, ...]:
        """The inputs of a plan without None; `apply` has made nodes of them."""
        return cast(tuple[GraphNode, ...], tuple([x for x in inputs if x is not None]))

    def floats(self, *inputs: Operand | None) -> tuple[GraphNode, ...]:
        """`given` for floats only. Raises `DTypeError` where one holds integers or booleans."""
        given = self.given(*inputs)
        for x in given:
            if x._data.dtype.kind != "f":
                expected = f"{dtypes(given)}, floats were expected (dtype=…)"
                raise self.error(given, expected, DTypeError)
        return given


class Elementwise(Rule):
    """Mathematics applied to each entry, with NumPy broadcasting.

    `function(*xs, **attributes) -> y` and per input `derivative(g, y, *xs, **attributes) ->
    cotangent` are written so that they work on arrays, on numbers and on nodes. Parameters with a
    default are attributes.
    """

    def __init__(
        self, function: Callable[..., Any], symbol: str, derivatives: tuple[Derivative, ...]
    ) -> None:
        self.name, self.symbol = function.__name__, symbol
        self.function, self.derivatives = function, derivatives
        self.differentiable = bool(derivatives)
        self.__doc__, self.__module__ = function.__doc__, function.__module__
        self.__signature__ = inspect.signature(function)

        parameters = self.__signature__.parameters
        self._inputs = {name: p for name, p in parameters.items() if p.default is p.empty}

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
        """An input with a gradient must hold floats. A mask beside floats is fine: x * (x > 0)."""
        mask = inputs[i]._data.dtype.kind == "b" and any(x._data.dtype.kind == "f" for x in inputs)
        if self.differentiable and self.derivatives[i] and not mask:
            self.floats(*inputs)

    def run(self, node: Operator, out: Array | None) -> Array:
        xs = [x._data for x in node.inputs]
        y = self.function(*xs, **node.attributes)
        if out is not None:
            out[...] = y
            return out
        y = np.asarray(y, order="C")
        own = y.base is None and all(y is not x for x in xs)  # a node's memory is its own
        return y if own else y.copy()

    def vjp(self, node: Operator, g: Array) -> None:
        xs = [x._data for x in node.inputs]
        for x, derivative in zip(node.inputs, self.derivatives, strict=True):
            if x.requires_grad and derivative:
                cotangent = derivative(g, node._data, *xs, **node.attributes)
                # a derivative may return g itself or a view, which the input must not keep
                fresh = cotangent is not g and getattr(cotangent, "base", None) is None
                if cotangent.shape != x._data.shape:
                    cotangent, fresh = sum_to(cotangent, x._data.shape), True
                x.receive(cotangent, owned=fresh)

    def vjp_nodes(
        self, node: Operator, g: GraphNode, wanted: Sequence[bool]
    ) -> Sequence[GraphNode | None]:
        """The cotangents of the wanted inputs as nodes."""
        return [
            sum_to(derivative(g, node, *node.inputs, **node.attributes), x.shape)
            if derivative and want
            else None
            for x, derivative, want in zip(node.inputs, self.derivatives, wanted, strict=True)
        ]


class Planned(Protocol[P]):
    """What `register` needs to know of a rule's type: the parameters of its plan."""

    @property
    def plan(self) -> Callable[P, Any]: ...


def register(rule: Planned[P], *numpy: Any) -> Callable[P, GraphNode]:
    """Make a rule known by its name and as the implementation of `numpy` functions.

    Returns the rule itself, typed as a function with the parameters of its plan.
    """
    rule.__doc__ = f"{rule.__doc__ or ''}\n"  # `help` leaves out what is said of the class, too
    registry.register(cast(Rule, rule).name, rule)
    registry.implements(*numpy)(cast(Callable[..., Any], rule))
    return cast(Callable[P, GraphNode], rule)


def elementwise(
    symbol: str, *numpy: Any, backward: tuple[Derivative, ...] = ()
) -> Callable[[Callable[P, Any]], Callable[P, GraphNode]]:
    """Decorator that turns `function(*xs) -> y` into an operator that implements `numpy` functions.

    `backward` has one function `(g, y, *xs) -> cotangent` per input; none means that no gradient
    passes.
    """

    def define(function: Callable[P, Any]) -> Callable[P, GraphNode]:
        rule = Elementwise(function, symbol, backward)
        return cast(Callable[P, GraphNode], register(rule, *numpy))

    return define


def stacked(value: Any) -> Any:
    """A list (or tuple) with nodes in it as one node; anything else as it is."""
    if not holds_nodes(value):
        return value
    return registry.by_name("stack")(*map(stacked, value))


def _constant(x: Any, dtype: Any, inputs: tuple[Any, ...]) -> Constant:
    """An operand that is no node: in the floats of the others; beside integers only, as integer."""
    if dtype is not None:
        return Constant(float(x) if type(x) is int and abs(x) < 2**63 else x, dtype=dtype)
    own = np.asarray(x).dtype if any(isinstance(node, GraphNode) for node in inputs) else None
    return Constant(x, dtype=own if own is not None and own.kind in "iu" else None)


def dtypes(inputs: Sequence[GraphNode]) -> str:
    """The dtypes of inputs, for messages."""
    return "dtypes " + " and ".join(str(x.dtype) for x in inputs)


def _shapes(inputs: Sequence[Any]) -> str:
    shapes = [str(x.shape) if hasattr(x, "shape") else type(x).__name__ for x in inputs]
    return f"shapes {' and '.join(shapes)}"
