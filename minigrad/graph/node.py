"""Nodes: a value, the nodes it was computed from, and the gradient that flows back to it.

A graph has three kinds of nodes. A `Constant` is given, a `Variable` is given and collects a
gradient, an `Operator` (see `rule.py`) is computed from other nodes. Every array of a node is
C-contiguous and owned by the graph; the values of computed nodes are read-only for users.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import ArrayLike, DTypeLike

from ..errors import DTypeError, GraphError
from ..names import OF_NODES, Elsewhere
from . import registry, settings
from .autodiff import Versions, backward, topological_sort
from .conversion import Array, as_array, assignable
from .hooks import Handle, Hook, Hooks, OwnHooks, read_only
from .reading import Readable, holds_nodes, refuse_frozen

if TYPE_CHECKING:

    class _Operators:
        """The types of NumPy's mixin, which declares that its operators return anything."""

        def _binary(self, other: ArrayLike) -> GraphNode: ...
        def _unary(self) -> GraphNode: ...

        __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _binary
        __truediv__ = __rtruediv__ = __pow__ = __rpow__ = __matmul__ = __rmatmul__ = _binary
        __lt__ = __le__ = __gt__ = __ge__ = _binary
        __mod__ = __rmod__ = __floordiv__ = __rfloordiv__ = _binary
        __neg__ = __abs__ = _unary

else:
    _Operators = NDArrayOperatorsMixin


class GraphNode(Readable, _Operators):
    """A value in a computation graph.

    Attributes: `value` (ndarray), `grad` (ndarray of the same shape and dtype, or None), `inputs`
    (tuple of nodes), `shape`, `dtype`, `ndim`, `size`, `name` (str or None).

    >>> x = mg.Variable([1.0, 2.0], name="x")
    >>> y = (x * x).sum()
    >>> y.backward()
    >>> y.item(), x.grad, isinstance(y, mg.GraphNode)
    (5.0, array([2., 4.], dtype=float32), True)
    """

    __slots__ = (
        *("__weakref__", "_data", "_grad", "_spare"),
        *("grad_pass", "hooks", "name", "scope", "version"),
    )
    __hash__ = object.__hash__  # == compares values, as in NumPy; as a dict key a node is itself

    if not TYPE_CHECKING:  # x += y makes a new node and rebinds x; a Variable changes in place
        __iadd__ = NDArrayOperatorsMixin.__add__
        __isub__ = NDArrayOperatorsMixin.__sub__
        __imul__ = NDArrayOperatorsMixin.__mul__
        __itruediv__ = NDArrayOperatorsMixin.__truediv__
        __ipow__ = NDArrayOperatorsMixin.__pow__
        __imatmul__ = NDArrayOperatorsMixin.__matmul__

    inputs: tuple[GraphNode, ...] = ()
    requires_grad = False
    #: draws a node for a notebook; set by the drawings, which this package does not import
    pictured_by: ClassVar[Callable[[GraphNode], dict[str, str]] | None] = None

    def __init__(self, data: Array, name: str | None = None) -> None:
        self._data = data
        self._grad: Array | None = None
        self.grad_pass = 0  # the backward pass that all of `grad` comes from; 0: none, or several
        self._spare: Array | None = None  # memory of an earlier gradient, to be used again
        self.name = name
        self.hooks: list[Hooks] | None = None
        self.scope = settings.scope()
        self.version = Versions.changes

    # ---------------- value
    @property
    def value(self) -> Array:
        """The array, read-only: the backward pass still needs it."""
        refuse_frozen(self)
        return read_only(self._data)

    @value.setter
    def value(self, new: ArrayLike) -> None:
        raise GraphError(
            f"{self.brief} is computed; set the value of a Constant or Variable and run forward "
            "again"
        )

    @property
    def shape(self) -> tuple[int, ...]:
        return self._data.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._data.dtype

    @property
    def ndim(self) -> int:
        return self._data.ndim

    @property
    def size(self) -> int:
        return self._data.size

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError(f"len() of {self.brief}, which has no axes")
        return self.shape[0]

    def __iter__(self) -> Iterator[GraphNode]:
        if not self.shape:  # indexing would raise IndexError, which Python takes for the end
            raise TypeError(f"iteration over {self.brief}, which has no axes")
        return (self[i] for i in range(self.shape[0]))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """A notebook shows the graph of a computed node, and the `repr` of a leaf."""
        draw = GraphNode.pictured_by
        picture = draw(self) if draw is not None and self.inputs else {}
        return {"text/plain": repr(self), **picture}

    def __getstate__(self) -> Any:
        state: Any = super().__getstate__()
        return None, {**state[1], "_spare": None, "hooks": None, "scope": (), "version": 0}

    def changes(self, leaves: Collection[Any]) -> bool:
        """Does this node itself (not its inputs) change when a graph runs with other `leaves`?"""
        return self in leaves

    # ---------------- gradient
    @property
    def grad(self) -> Array | None:
        """The gradient, of the node's shape and dtype; None where there is none."""
        refuse_frozen(self)
        return self._grad

    @grad.setter
    def grad(self, new: ArrayLike | None) -> None:
        if new is not None:
            new = np.require(assignable(self, new, "a gradient"), self.dtype, ("C", "W"))
        self._grad, self.grad_pass = new, 0

    def backward(self, grad: ArrayLike | None = None) -> None:
        """Propagate gradients from this node to every `Variable` that it was computed from.

        `grad` is ∂L/∂(this node), of this node's shape; for a single number it may be left out and
        is 1. Gradients of variables add up over calls until cleared; those of operators belong to
        the last call. Raises `GraphError` where no Variable is reached or `grad` is missing,
        `ShapeError` for a wrong shape.
        """
        backward(topological_sort(self), grad)

    def zero_grad(self) -> None:
        """Clear the gradient. Arrays you hold stay valid; the next gradient is a new array."""
        self._grad = self._spare = None

    def recycle_grad(self) -> None:
        """Clear the gradient and use its memory for the next one, as graphs that run again do."""
        if self._grad is not None:
            self._spare, self._grad = self._grad, None

    def receive(self, cotangent: Array, owned: bool) -> None:
        """Add to the gradient. An `owned` array may be kept, others are copied."""
        if self._grad is not None:
            np.add(self._grad, cotangent, out=self._grad)
        elif self._spare is not None:
            self._grad = self._spare
            self._grad[...] = cotangent
        else:
            self._grad = np.asarray(cotangent) if owned else np.array(cotangent)

    def growing(self) -> Array | None:
        """The gradient so far, to add to in place; None if there is none."""
        return self._grad

    def target(self) -> Array | None:
        """An array into which to write the whole gradient, or None if there is one to add to."""
        if self._grad is not None:
            return None
        if self._spare is None:
            self._spare = np.empty(self._data.shape, self._data.dtype)
        return self._spare

    # ---------------- hooks
    def register_forward_hook(self, hook: Hook) -> Handle:
        """Call `hook(node, value)` each time the node's value has been recomputed."""
        return Handle(self._own_hooks().forward, hook)

    def register_backward_hook(self, hook: Hook) -> Handle:
        """Call `hook(node, grad)` once per backward pass, when the node's gradient is complete."""
        return Handle(self._own_hooks().backward, hook)

    def _own_hooks(self) -> Hooks:
        own = next((hooks for hooks in self.hooks or () if isinstance(hooks, OwnHooks)), None)
        return own if own is not None else self.attach(OwnHooks())

    def attach(self, hooks: Hooks) -> Hooks:
        """Attach hooks and return them; attaching twice has no effect."""
        if self.hooks is None:
            self.hooks = [hooks]
        elif hooks not in self.hooks:
            self.hooks = [*self.hooks, hooks]
        return hooks

    # ---------------- operators
    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any
    ) -> GraphNode:
        if method != "__call__" or options:
            name = registry.numpy_name(ufunc)
            extra = f".{method}" if method != "__call__" else f" with {', '.join(options)}="
            raise GraphError(f"{name}{extra} has no place in a graph; nodes never change in place")
        return self.__array_function__(ufunc, (), inputs, {})  # type: ignore[no-any-return]

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        operator, name = registry.by_numpy(function), registry.numpy_name
        if operator is None:
            ways = "mg.operator makes one (outside of a model, .value is the array)"
            raise GraphError(f"{name(function)} has no minigrad operator; {ways}")
        try:
            return operator(*args, **options)
        except TypeError:
            signature = inspect.signature(operator)
            try:
                signature.bind(*args, **options)
            except TypeError as unfit:
                names = ", ".join(signature.parameters)
                raise GraphError(f"{name(function)}: {unfit}; of nodes it takes {names}") from None
            raise

    def __getitem__(self, key: Any) -> GraphNode:
        found: GraphNode = registry.by_name("getitem")(self, key)
        return found

    @property
    def T(self) -> GraphNode:
        """The node with its axes in reverse order."""
        return _operator("transpose", self)

    def sum(self, axis: Any = None, keepdims: bool = False) -> GraphNode:
        """Sum over `axis` (all axes by default)."""
        return _operator("sum", self, axis, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> GraphNode:
        """Mean over `axis` (all axes by default)."""
        return _operator("mean", self, axis, keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> GraphNode:
        """Largest entry along `axis` (all axes by default); ties share the gradient."""
        return _operator("max", self, axis, keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> GraphNode:
        """Smallest entry along `axis` (all axes by default); ties share the gradient."""
        return _operator("min", self, axis, keepdims)

    def var(self, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> GraphNode:
        """Variance over `axis` (all axes by default), with n - `ddof` as divisor."""
        return _operator("var", self, axis, ddof, keepdims)

    def std(self, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> GraphNode:
        """Standard deviation over `axis`, the root of `var`."""
        return _operator("std", self, axis, ddof, keepdims)

    def exp(self) -> GraphNode:
        """e to the power of each entry."""
        return _operator("exp", self)

    def log(self) -> GraphNode:
        """Natural logarithm of each entry."""
        return _operator("log", self)

    def tanh(self) -> GraphNode:
        """Hyperbolic tangent of each entry."""
        return _operator("tanh", self)

    def abs(self) -> GraphNode:
        """Absolute value of each entry."""
        return _operator("abs", self)

    def detach(self) -> GraphNode:
        """The node without a way back: it is recomputed with its graph, and passes no gradient."""
        return _operator("detach", self)

    def astype(self, dtype: DTypeLike) -> GraphNode:
        """The node in float32 or float64; itself if that is its dtype."""
        if settings.float_dtype(dtype) == self.dtype:
            return self
        return _operator("astype", self, dtype)

    def reshape(self, *shape: Any) -> GraphNode:
        """The same numbers in another shape; one entry may be -1."""
        return _operator("reshape", self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> GraphNode:
        """The axes in another order, reversed by default."""
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else (axes or None)
        return _operator("transpose", self, order)

    def flatten(self) -> GraphNode:
        """All numbers in one axis."""
        return _operator("reshape", self, -1)


for _name in OF_NODES:
    setattr(GraphNode, _name, Elsewhere(_name))


def _operator(name: str, *arguments: Any) -> GraphNode:
    node: GraphNode = registry.operators[name](*arguments)
    return node


class Leaf(GraphNode):
    """A node that is given: its value can be assigned."""

    __slots__ = ()

    def __repr__(self) -> str:
        array = self._data if self.ndim < 3 or self.size <= 16 else self._data.ravel()
        edge = 3 if array.ndim < 2 else 1
        options: Any = {"precision": 4, "separator": ", ", "threshold": 16, "edgeitems": edge}
        value = " ".join(np.array2string(array, **options).split()).replace("[ ", "[")
        return f"{self.brief[:-1]}: {value}>"

    def _give(self, value: Any, dtype: DTypeLike | None, integers: bool) -> Array:
        if isinstance(value, GraphNode):
            raise DTypeError(f"{value.brief} is a node already; use it as it is, or its .value")
        if holds_nodes(value):
            raise DTypeError(
                "a list with nodes in it has gradients that would be lost; "
                "mg.stack makes a node of it"
            )
        return as_array(type(self).__name__, value, dtype, integers)

    def refill(self, new: ArrayLike) -> None:
        """Copy a new value of the same shape into the leaf's memory, which graphs share."""
        if new is not self._data:  # it is at the end of `x.value -= step`
            np.copyto(self._data, assignable(self, new), casting="unsafe")
        self.version = Versions.next_change()


class Constant(Leaf):
    """A fixed value: data, a target, a number in a formula. It has no gradient.

    `value` is copied and becomes the default dtype unless `dtype` says otherwise; integer and
    boolean dtypes are allowed too (token ids, class ids, masks). Raises `DTypeError` for complex,
    text or object values.

    >>> mg.Constant([1, 2])
    <Constant (2,) float32: [1., 2.]>
    >>> mg.Constant([1, 2], dtype=np.int64)
    <Constant (2,) int64: [1, 2]>
    """

    __slots__ = ()

    def __init__(
        self, value: ArrayLike, name: str | None = None, dtype: DTypeLike | None = None
    ) -> None:
        super().__init__(self._give(value, dtype, integers=True), name)

    #: The array, read-only; assign a new one of the same shape to feed a graph that is built.
    value = GraphNode.value.setter(Leaf.refill)  # type: ignore[attr-defined]


class Buffer(Constant):
    """Numbers without a gradient that are part of a model's state: running statistics, a mask.

    It is used and fed like a `Constant`. A `Module` finds it among its attributes and saves it; a
    rule that has it among its attributes may change it whenever it runs (but not within
    `settings.state_kept`). `persistent=False` leaves it out of `state_dict()`, as in PyTorch.

    >>> class Scale(mg.nn.Module):
    ...     def __init__(self):
    ...         self.mean = mg.nn.Buffer([1.0, 2.0])
    ...
    ...     def forward(self, x):
    ...         return x - self.mean
    >>> list(Scale().state_dict()), Scale().parameters()
    (['mean'], [])
    """

    __slots__ = ("persistent",)

    def __init__(
        self,
        value: ArrayLike,
        name: str | None = None,
        dtype: DTypeLike | None = None,
        *,
        persistent: bool = True,
    ) -> None:
        super().__init__(value, name, dtype)
        self.persistent = persistent

    def changes(self, leaves: Collection[Any]) -> bool:
        return True  # any operator may change it


def _in_place(symbol: str, function: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """The method of `Variable` for `w += x`, which changes the array of w within `no_grad`."""

    def update(self: Variable, other: Any) -> Variable:
        if settings.recording():
            raise GraphError(
                f"{self.brief} {symbol} …: a Variable changes in place only within "
                f"`with mg.no_grad():`; w = w {symbol[:-1]} … makes a new node"
            )
        refuse_frozen(self)
        self.refill(function(self._data, getattr(other, "_data", other)))
        return self

    return update


class Variable(Leaf):
    """A leaf that collects a gradient: a parameter, or an input whose influence is of interest.

    `value` is copied and becomes float32 or float64 (`dtype`, or the default one). It stays
    writable: `w.value -= lr * w.grad` is a training step, and so is `w -= lr * w.grad` within
    `no_grad`; outside of it that is a `GraphError`. `requires_grad = False` freezes the variable in
    graphs built from then on: it gets no gradient.

    >>> w = mg.Variable([1.0, 2.0])
    >>> (w * w).sum().backward()
    >>> with mg.no_grad():
    ...     w -= 0.25 * w.grad
    >>> w
    <Variable (2,) float32: [0.5, 1. ]>
    """

    __slots__ = ("requires_grad",)

    def __init__(
        self, value: ArrayLike, name: str | None = None, dtype: DTypeLike | None = None
    ) -> None:
        super().__init__(self._give(value, dtype, integers=False), name)
        self.requires_grad = True

    __iadd__ = _in_place("+=", np.add)
    __isub__ = _in_place("-=", np.subtract)
    __imul__ = _in_place("*=", np.multiply)
    __itruediv__ = _in_place("/=", np.divide)
    __ipow__ = _in_place("**=", np.power)
    __imatmul__ = _in_place("@=", np.matmul)

    @property
    def value(self) -> Array:
        """The array itself; writing to it changes the variable."""
        refuse_frozen(self)
        return self._data

    @value.setter
    def value(self, new: ArrayLike) -> None:
        self.refill(new)
