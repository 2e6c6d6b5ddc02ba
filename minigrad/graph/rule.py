"""Rules: everything minigrad knows about one operator, written once and read by everybody.

A rule says what an operator computes and how gradients come back through it. Calling it on nodes
(or arrays, or numbers) makes an `Operator`. There are two kinds:

* `Elementwise` (see `elementwise.py`): plain mathematics on arrays, one function forward and one
  per input backward;
* `Rule` itself, subclassed for everything heavier: it plans shapes, then writes into given arrays,
  so that a graph that runs again allocates nothing.

Rules are found by name, and by the NumPy function whose place they take: `np.tanh(node)` and
`mg.tanh(node)` are one path.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

import numpy as np

from .. import kernels
from ..errors import DTypeError, GraphError, ShapeError, tell_line
from . import settings
from .node import Array, BroadcastedOperator, Constant, GraphNode, Operator, ScalarOperator
from .reading import holds_nodes

F = TypeVar("F", bound=Callable[..., Any])

_axes = attrgetter("_data.ndim")
_by_name: dict[str, Rule] = {}
_by_numpy: dict[Any, Callable[..., Any]] = {}


def by_name(name: str) -> Rule:
    """The rule of that name."""
    return _by_name[name]


def register(rule: Rule) -> None:
    """Have a rule found by its name."""
    _by_name[rule.name] = rule


def all_rules() -> dict[str, Rule]:
    """Every registered rule by its name: what generated tests and documentation go through."""
    return dict(_by_name)


def by_numpy(function: Any) -> Callable[..., Any]:
    """The operator that stands for a NumPy function. Raises `GraphError` where there is none."""
    try:
        return _by_numpy[function]
    except KeyError:
        ways = "mg.operator makes one (outside of a model, .value is the array)"
        raise GraphError(f"{numpy_name(function)} has no minigrad operator; {ways}") from None


def numpy_name(function: Any) -> str:
    """How a user writes a function of NumPy's: np.sum, np.linalg.norm."""
    name: str = function.__name__
    module = getattr(function, "__module__", None) or (
        "numpy" if getattr(np, name, None) is function else ""
    )
    return ".".join(
        filter(None, ("np" + module[5:] if module.split(".")[0] == "numpy" else module, name))
    )


def call_by_numpy(function: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
    """Call the operator that stands for a NumPy function. Raises `GraphError` for options that it
    does not have.
    """
    operator = by_numpy(function)
    try:
        return operator(*args, **options)
    except TypeError:
        signature = inspect.signature(operator)
        try:
            signature.bind(*args, **options)
        except TypeError as unfit:
            names = ", ".join(name for name in signature.parameters)
            raise GraphError(
                f"{numpy_name(function)}: {unfit}; of nodes it takes {names}"
            ) from None
        raise


def implements(*functions: Any) -> Callable[[F], F]:
    """Decorator: `np.f(node)` calls the decorated operator."""

    def note(operator: F) -> F:
        _by_numpy.update(dict.fromkeys(functions, operator))
        return operator

    return note


class Limit(NamedTuple):
    """An input that holds indices: integers ≥ `low` and < `high`; `what` they are stands in
    errors.
    """

    input: int
    low: int
    high: int
    what: str


class NotSeparable(Exception):
    """Raised by `Rule.batch_axis`: the result for a sample depends on other samples of the
    batch.
    """


#: in place of an axis: the result is a mean over the samples
MEAN = -1
#: in place of a number of inputs
ALL = sys.maxsize

BRIEF = 250_000  # numbers that one thread goes through before another would be awake


class Rule:
    """One operator. A subclass fills in the class attributes and the four methods below.

    `name` is unique, `symbol` is what a drawing writes into the node.
    """

    name: str
    symbol: str
    differentiable = True
    #: is the result a view of the first input's memory?
    is_view = False
    #: y, and what comes back to each input (the last entry for all further ones), in terms of g =
    #: ∂L/∂y, of y and of the arguments of `plan`; for trace tables (`viz/walk/formulas.py`). None:
    #: the symbol applied to the inputs
    formula: str | None = None
    vjp_formulas: tuple[str | None, ...] = ()
    #: what one step computes, of an operator that runs over the first axis of its first input;
    #: drawings open it by this. It takes a step of that input, the states (as many inputs as
    #: `states` says) and the other inputs, and gives the new state; of several states a tuple, in
    #: which the first is computed from the others. The operator's value is the states of all steps,
    #: several along an axis of their own, the first.
    cell: Callable[..., Any] | None = None
    states = 1
    #: is the result linear in each of the first so many inputs (their product), the other inputs
    #: being added to it? 0: no. Then forward and backward say all there is to know of its
    #: derivatives, of any order
    multilinear = 0

    def plan(self, *inputs: GraphNode, **attributes: Any) -> Any:
        """Check the inputs and work out what forward and backward need to know.

        Raises `ShapeError` or `DTypeError` with the operator's name and every shape.
        """
        return None

    def shape(self, node: Operator) -> tuple[int, ...]:
        """The shape of the result, from `node.plan` and the inputs."""
        raise NotImplementedError

    def dtype(self, node: Operator) -> np.dtype[Any]:
        """The dtype of the result: that of the first float input."""
        for x in node.inputs:
            if x._data.dtype.kind == "f":
                return x._data.dtype
        return node.inputs[0]._data.dtype

    def limits(self, node: Operator) -> Sequence[Limit]:
        """The inputs whose numbers, not only their shapes, can make the operation impossible:
        indices.
        """
        return ()

    def check(self, node: Operator, *xs: Array) -> None:
        """Raise `IndexError` where an index lies beyond its limits: NumPy would count negative ones
        from the end.
        """
        for i, low, high, what in self.limits(node):
            ids = xs[i]
            if ids.size and (ids.min() < low or ids.max() >= high):
                wrong = ids[(ids < low) | (ids >= high)].flat[0]
                expected = f"{what} {wrong} is out of range, {low} to {high - 1} were expected"
                raise self.error(node.inputs, expected, IndexError)

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        """Write the result into `out`."""
        raise NotImplementedError

    def backward(
        self, node: Operator, grads: list[Array | None], g: Array, y: Array, *xs: Array
    ) -> None:
        """Write ∂L/∂xs[i] into `grads[i]` for each i where it is not None; `g` is ∂L/∂y."""
        raise NotImplementedError

    def decompose(self, node: Operator, *xs: GraphNode) -> GraphNode | None:
        """The node's result from `xs` in other operators, perhaps less a constant: what is
        differentiated twice or forward.

        None, where `multilinear` or another definition of `adjoint` says how.
        """
        return None

    def vjp_nodes(
        self, node: Operator, g: GraphNode, wanted: Sequence[bool]
    ) -> Sequence[GraphNode | None]:
        """`backward` as a graph: the cotangents of the wanted inputs as nodes, from `g`, a node of
        the node's shape.

        Raises `GraphError` for a rule that does not say how.
        """
        from .derive import adjoint

        return adjoint(node, g, wanted)

    def jvp(self, node: Operator, tangents: Sequence[Array | None]) -> Array:
        """Forward mode: the derivative of the result when the inputs move along `tangents` (None:
        it stays).
        """
        from .derive import push

        return push(node, tangents)

    def batch_axis(self, node: Operator, axes: Sequence[int | None]) -> int | None:
        """Along which axis of the result the samples of a batch lie, from where they lie in each
        input (None: nowhere).

        `MEAN` says that the result is a mean over samples. Raises `NotSeparable` where samples meet in
        another way, or where the rule does not say; then a batch cannot be worked on in parts.
        """
        if any(axis is not None for axis in axes):
            raise NotSeparable
        return None

    def flops(self, node: Operator) -> int:
        """Floating-point operations of one forward pass, counted as in papers (a multiply-add is
        two).
        """
        return node.size

    def bytes(self, node: Operator) -> int:
        """Bytes that one forward pass reads and writes: each input once, and the result."""
        arrays = {id(x): x._data for x in node.inputs}
        return node._data.nbytes + sum(array.nbytes for array in arrays.values())

    def is_small(self, node: Operator) -> bool:
        """Is the operator done before another thread would be awake? That takes about 0.1 ms, in
        which one thread computes 10 Mflop or goes through `BRIEF` numbers. Asked before there is a
        result, so `flops` of a rule whose kernel has threads does without.
        """
        return self.flops(node) < 10_000_000 and sum([x._data.size for x in node.inputs]) < BRIEF

    def shards(self, node: Operator, items: int) -> int:
        """Into how many shards to cut the work on `items` pieces."""
        return 1 if self.is_small(node) else kernels.jit.threads(items)

    def kernel_info(self, node: Operator) -> dict[str, Any]:
        """What is known of the node's last pass, by name: `flops` and `bytes`; rules whose kernels
        know more add it.
        """
        return {"flops": self.flops(node), "bytes": self.bytes(node)}

    # ---------------- how the graph uses a rule
    def __reduce__(self) -> Any:
        return by_name, (
            self.name,
        )  # there is one of each, also in a graph that comes from a pickle

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "name" in vars(cls):
            register(cls())

    def __call__(self, *inputs: Any, **attributes: Any) -> GraphNode:
        return self.apply(inputs, attributes)

    def apply(self, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> GraphNode:
        """Make the node: operands that are not nodes yet become constants in the dtype of those
        that are.
        """
        nodes = self.operands(inputs)
        plan = self.plan(*nodes, **attributes)
        kind = BroadcastedOperator if any(map(_axes, nodes)) else ScalarOperator
        node = kind(self, nodes, attributes, plan)
        if not settings.recording():
            if (
                settings.changing() is not None
            ):  # without a gradient, but computed when the graph runs again
                node.requires_grad = False
                return node
            result = Constant.__new__(Constant)
            GraphNode.__init__(result, node._data if node._data.base is None else node._data.copy())
            return result
        return node

    def operands(self, inputs: tuple[Any, ...]) -> tuple[GraphNode, ...]:
        """The inputs as nodes, floats among them of one dtype. Raises `DTypeError` where two nodes
        disagree.
        """
        dtype, all_nodes = None, True
        for x in inputs:
            if not isinstance(x, GraphNode):
                if holds_nodes(x):
                    return self.operands(tuple(map(stacked, inputs)))
                all_nodes = False
            elif x._data.dtype.kind == "f":
                if dtype is not None and x._data.dtype != dtype:
                    nodes = tuple(x for x in inputs if isinstance(x, GraphNode))
                    expected = "make them one (dtype=…), for minigrad never changes it silently"
                    raise self.error(nodes, f"{dtypes(nodes)}; {expected}", DTypeError)
                dtype = x._data.dtype
        if all_nodes:
            return inputs
        try:
            return tuple(
                x if isinstance(x, GraphNode) else _constant(x, dtype, inputs) for x in inputs
            )
        except (DTypeError, ShapeError) as error:  # something that is no array of numbers
            shapes = " and ".join(
                str(x.shape) if hasattr(x, "shape") else type(x).__name__ for x in inputs
            )
            raise type(error)(f"{self.name}: shapes {shapes}; {error}") from None

    def run(self, node: Operator, out: Array | None) -> Array:
        """Compute the node's value, into `out` if it is given."""
        if out is None:
            out = np.empty(self.shape(node), self.dtype(node))
        xs = [x._data for x in node.inputs]
        self.check(node, *xs)
        self.forward(node, out, *xs)
        return out

    def vjp(self, node: Operator, g: Array) -> None:
        """Take the node's gradient `g` back to its inputs.

        A gradient that nobody has written yet is written in place; otherwise the kernel writes into
        a buffer that belongs to the node, and the contribution is added.
        """
        grads: list[Array | None] = [None] * len(node.inputs)
        added: list[tuple[GraphNode, Array]] = []
        for i, x in enumerate(node.inputs):
            if x.requires_grad:
                grads[i] = target = x.target()
                if target is not None:
                    # claimed: where x is an input twice, the second contribution is added
                    x._grad = target
                else:
                    grads[i] = extra = node.buffer(f"grad {i}", x._data.shape, x._data.dtype)
                    added.append((x, extra))
        try:
            self.backward(node, grads, g, node._data, *[x._data for x in node.inputs])
        except BaseException:  # Ctrl-C, too: what was claimed is not written
            for x, grad in zip(node.inputs, grads, strict=True):
                if x._grad is grad:
                    x._grad = None
            raise
        for x, extra in added:
            x.receive(extra, owned=False)

    def error(
        self, inputs: Sequence[GraphNode], expected: str, kind: type[Exception] = ShapeError
    ) -> Exception:
        """An error in the one voice of all operators: name, every shape, what was expected."""
        shapes = " and ".join(str(x.shape) for x in inputs)
        error = kind(f"{self.name}: shapes {shapes}; {expected}")
        return (
            error if kind in (ShapeError, DTypeError) else tell_line(error)
        )  # those tell it by themselves

    def need_floats(self, *inputs: GraphNode) -> None:
        """Raise `DTypeError` where one of the inputs holds integers or booleans."""
        for x in inputs:
            if x._data.dtype.kind != "f":
                raise self.error(
                    inputs, f"{dtypes(inputs)}, floats were expected (dtype=…)", DTypeError
                )


def stacked(value: Any) -> Any:
    """A list (or tuple) with nodes in it as a node, so that gradients reach them; anything else as
    it is.
    """
    if not holds_nodes(value):
        return value
    return by_name("stack")(*map(stacked, value), axis=0)


def _constant(x: Any, dtype: Any, inputs: tuple[Any, ...]) -> Constant:
    """An operand that is no node: in the floats of the others, as an integer beside integers
    only.
    """
    if dtype is not None:
        return Constant(float(x) if type(x) is int and abs(x) < 2**63 else x, dtype=dtype)
    own = np.asarray(x).dtype if any(isinstance(node, GraphNode) for node in inputs) else None
    return Constant(x, dtype=own if own is not None and own.kind in "iu" else None)


def dtypes(inputs: Sequence[GraphNode]) -> str:
    """The dtypes of inputs, as messages name them."""
    return "dtypes " + " and ".join(str(x.dtype) for x in inputs)
