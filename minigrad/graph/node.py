"""Nodes: what a value is, where it came from, and the gradient that flows back to it.

A graph is made of three kinds of node. A `Constant` is given, a `Variable` is given and collects a
gradient, an `Operator` was computed from other nodes by a rule (see `rule.py`). Inside the package
every array of a node is C-contiguous and owned by the graph; outsiders see the values of computed
nodes read-only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import ArrayLike

from .. import kernels
from ..errors import DTypeError, GraphError
from . import settings
from .arrays import Array as Array
from .arrays import as_array, sum_to
from .hooks import Handle, Hook, Hooks, OwnHooks, read_only
from .reading import Readable, fit_gradient, holds_nodes, in_place, refill, refuse_frozen
from .stamps import COUNT

if TYPE_CHECKING:
    from .rule import Rule

    class _Operators:
        """The types of NumPy's mixin, which declares that its operators return anything."""

        def _binary(self, other: ArrayLike) -> GraphNode: ...
        def _unary(self) -> GraphNode: ...

        __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _binary
        __truediv__ = __rtruediv__ = __pow__ = __rpow__ = __matmul__ = __rmatmul__ = _binary
        __lt__ = __le__ = __gt__ = __ge__ = _binary
        __neg__ = __abs__ = _unary

else:
    _Operators = NDArrayOperatorsMixin

_wants_grad = attrgetter("requires_grad")


class GraphNode(Readable, _Operators):
    """A value in a computation graph.

    Attributes: `value` (ndarray), `grad` (ndarray of the same shape and dtype, or None), `inputs`
    (tuple of nodes), `shape`, `dtype`, `ndim`, `size`, `name` (str or None).
    """

    __slots__ = (
        "__weakref__",
        "_data",
        "_grad",
        "_spare",
        "grad_pass",
        "hooks",
        "name",
        "scope",
        "stamp",
    )
    __hash__ = object.__hash__  # == compares values, as in NumPy; as a key a node is itself

    if not TYPE_CHECKING:  # x += y makes a new node and rebinds x; a Variable changes in place
        __iadd__ = NDArrayOperatorsMixin.__add__
        __isub__ = NDArrayOperatorsMixin.__sub__
        __imul__ = NDArrayOperatorsMixin.__mul__
        __itruediv__ = NDArrayOperatorsMixin.__truediv__
        __ipow__ = NDArrayOperatorsMixin.__pow__
        __imatmul__ = NDArrayOperatorsMixin.__matmul__

    inputs: tuple[GraphNode, ...] = ()
    requires_grad = False
    #: who draws a node for a notebook, if anyone does: drawings stand above the graph and put
    #: themselves here
    pictured_by: ClassVar[Callable[[GraphNode], dict[str, str]] | None] = None

    def __init__(self, data: Array, name: str | None = None) -> None:
        self._data = data
        self._grad: Array | None = None
        self.grad_pass = 0  # the backward pass that all of `grad` comes from; 0: none, or several
        self._spare: Array | None = None  # a gradient buffer that waits for its next use
        self.name = name
        self.hooks: list[Hooks] | None = None
        self.scope = settings.scope()
        self.stamp = COUNT[0]

    # ---------------- what it holds
    @property
    def value(self) -> Array:
        """The array. Read-only here: a graph still needs it for its backward pass."""
        if settings.changing() is not None:
            refuse_frozen(self)
        return read_only(self._data)

    @value.setter
    def value(self, new: Any) -> None:
        raise GraphError(
            f"{self!r} is computed; set the value of a Constant or Variable and run forward again"
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

    @property
    def T(self) -> GraphNode:
        """The node with its axes in reverse order."""
        return _operator("transpose", self)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError(f"len() of {self!r}, which has no axes")
        return self.shape[0]

    def __iter__(self) -> Iterator[GraphNode]:
        if not self.shape:  # indexing would raise IndexError, which Python takes for the end
            raise TypeError(f"iteration over {self!r}, which has no axes")
        return (self[i] for i in range(self.shape[0]))

    def __repr__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        return f"<{type(self).__name__}{name} {_shape(self.shape)} {self.dtype}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What a notebook shows: for a computed node its graph, for a leaf the line that `repr`
        gives.
        """
        draw = GraphNode.pictured_by
        picture = draw(self) if draw is not None and self.inputs else {}
        return {"text/plain": repr(self), **picture}

    def __getstate__(self) -> Any:
        state: Any = super().__getstate__()
        return None, {**state[1], "_spare": None, "hooks": None, "scope": (), "stamp": 0}

    # ---------------- gradients
    @property
    def grad(self) -> Array | None:
        """The gradient, of the node's shape and dtype; None where there is none."""
        if settings.changing() is not None:
            refuse_frozen(self)
        return self._grad

    @grad.setter
    def grad(self, new: Any) -> None:
        self._grad, self.grad_pass = fit_gradient(self, new), 0

    def changes(self, leaves: Collection[Any]) -> bool:
        """Will the node, of itself, hold other numbers when its graph runs again and these leaves
        have changed?
        """
        return self in leaves

    def backward(self, grad: Any = None) -> None:
        """Pull gradients back from this node to every `Variable` that it was computed from.

        `grad` is ∂L/∂(this node), of this node's shape; it may be left out for a single number,
        where it is 1. Gradients of variables add up over calls until cleared; those of operators
        belong to the last call. Raises `GraphError` where there is nothing to pull or `grad` is
        missing, `ShapeError` for a wrong shape.
        """
        from .order import backward, topological_sort

        backward(topological_sort(self), grad)

    def zero_grad(self) -> None:
        """Forget the gradient. Who has kept the array keeps it: the next gradient is a new one."""
        self._grad = self._spare = None

    def recycle_grad(self) -> None:
        """Forget the gradient, but keep its memory for the next one: what runs again and again
        does.
        """
        if self._grad is not None:
            self._spare, self._grad = self._grad, None

    def receive(self, cotangent: Array, owned: bool) -> None:
        """Add a contribution to the gradient. `owned` arrays are kept as they are, others are
        copied.
        """
        if self._grad is not None:
            np.add(self._grad, cotangent, out=self._grad)
        elif self._spare is not None:
            self._grad = self._spare
            self._grad[...] = cotangent
        else:
            self._grad = cotangent if owned else cotangent.copy()

    def growing(self) -> Array | None:
        """The gradient so far, to add to in place; None if there is none."""
        return self._grad

    def target(self) -> Array | None:
        """An array into which a kernel may write the whole gradient, or None if there is one to add
        to.
        """
        if self._grad is not None:
            return None
        if self._spare is None:
            self._spare = np.empty(self._data.shape, self._data.dtype)
        return self._spare

    # ---------------- hooks
    def register_forward_hook(self, hook: Hook) -> Handle:
        """Call `hook(node, value)` each time the node's value has been computed anew."""
        return Handle(self._own_hooks().forward, hook)

    def register_backward_hook(self, hook: Hook) -> Handle:
        """Call `hook(node, grad)` once per backward pass, when the node's gradient is complete."""
        return Handle(self._own_hooks().backward, hook)

    def _own_hooks(self) -> Hooks:
        own = next((hooks for hooks in self.hooks or () if isinstance(hooks, OwnHooks)), None)
        return own if own is not None else self.watched_by(OwnHooks())

    def watched_by(self, hooks: Hooks) -> Hooks:
        """Tell these hooks, too, whatever happens to the node; once, however often this is asked.
        Returns them.
        """
        if self.hooks is None:
            self.hooks = [hooks]
        elif hooks not in self.hooks:
            self.hooks = [*self.hooks, hooks]
        return hooks

    # ---------------- the way to the operators
    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        from .rule import by_numpy, numpy_name

        if method != "__call__" or options:
            extra = f".{method}" if method != "__call__" else f" with {', '.join(options)}="
            raise GraphError(
                f"{numpy_name(ufunc)}{extra} has no place in a graph; nodes never change in place"
            )
        return by_numpy(ufunc)(*inputs)

    def __array_function__(
        self, function: Any, types: Any, args: Any, options: dict[str, Any]
    ) -> Any:
        from .rule import call_by_numpy

        return call_by_numpy(function, args, options)

    def __getitem__(self, key: Any) -> GraphNode:
        return _operator("getitem", self, key=key)

    def sum(self, axis: Any = None, keepdims: bool = False) -> GraphNode:
        """Sum over `axis` (all axes by default)."""
        return _operator("sum", self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> GraphNode:
        """Mean over `axis` (all axes by default)."""
        return _operator("mean", self, axis=axis, keepdims=keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> GraphNode:
        """Largest entry along `axis` (all axes by default); ties share the gradient."""
        return _operator("max", self, axis=axis, keepdims=keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> GraphNode:
        """Smallest entry along `axis` (all axes by default); ties share the gradient."""
        return _operator("min", self, axis=axis, keepdims=keepdims)

    def reshape(self, *shape: Any) -> GraphNode:
        """The same numbers in another shape; one entry may be -1."""
        return _operator("reshape", self, shape=shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> GraphNode:
        """The axes in another order, reversed by default."""
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else (axes or None)
        return _operator("transpose", self, axes=order)

    def flatten(self) -> GraphNode:
        """All numbers in one axis."""
        return _operator("reshape", self, shape=-1)


class Constant(GraphNode):
    """A fixed value: data, a target, a number in a formula. It has no gradient.

    `value` is copied and becomes the default dtype unless `dtype` says otherwise; integer and
    boolean dtypes are allowed too (token ids, class ids, masks). Raises `DTypeError` for complex,
    text or object values.
    """

    __slots__ = ()

    def __init__(self, value: Any, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(as_array("Constant", _raw(value), dtype, integers=True), name)

    #: The array, read-only; assign a new one of the same shape to feed a graph that is built
    #: already.
    value = GraphNode.value.setter(lambda self, new: refill(self, new))  # type: ignore[attr-defined]


class Variable(GraphNode):
    """A leaf that collects a gradient: a parameter, or an input whose influence is asked for.

    `value` is copied and becomes float32 or float64 (`dtype`, or the default one). It stays
    writable: `w.value -= lr * w.grad` is a training step, and so is `w -= lr * w.grad` within
    `no_grad`; outside of it, where w would become another node, that is a `GraphError`.
    `requires_grad = False` freezes the variable in graphs built from then on: it gets no gradient.
    """

    __slots__ = ("requires_grad",)

    def __init__(self, value: Any, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(as_array("Variable", _raw(value), dtype), name)
        self.requires_grad = True

    __iadd__ = in_place("+=", np.add)
    __isub__ = in_place("-=", np.subtract)
    __imul__ = in_place("*=", np.multiply)
    __itruediv__ = in_place("/=", np.divide)
    __ipow__ = in_place("**=", np.power)
    __imatmul__ = in_place("@=", np.matmul)

    @property
    def value(self) -> Array:
        """The array itself; writing to it changes the variable."""
        if settings.changing() is not None:
            refuse_frozen(self)
        return self._data

    @value.setter
    def value(self, new: Any) -> None:
        refill(self, new)


class Operator(GraphNode):
    """A computed node: a `rule` applied to `inputs`, with `attributes` (stride, axis, …).

    `plan` is what the rule worked out from the shapes, `work` the named buffers that its kernel
    fills on the way (which element a pooling window chose, the hidden states of an RNN); both are
    there for drawings to read.
    """

    __slots__ = ("attributes", "inputs", "plan", "requires_grad", "rule", "work")

    def __init__(
        self, rule: Rule, inputs: tuple[GraphNode, ...], attributes: dict[str, Any], plan: Any
    ) -> None:
        self.rule, self.inputs, self.attributes, self.plan = rule, inputs, attributes, plan
        self.work: dict[str, Array] = {}
        self.requires_grad = rule.differentiable and any(map(_wants_grad, inputs))
        super().__init__(rule.run(self, None))

    def __repr__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        return f"<{type(self).__name__} {self.rule.name}{name} {_shape(self.shape)} {self.dtype}>"

    def buffer(self, name: str, shape: tuple[int, ...], dtype: Any) -> Array:
        """The named work buffer of the node's kernel; made at the first call, the same one
        afterwards.
        """
        if name not in self.work:
            self.work[name] = np.empty(shape, dtype)
        return self.work[name]

    def constant(self, name: str, values: Array, each: int = 0) -> Array:
        """Numbers that a kernel is given and that never change, so that a compiled run can note
        them once; where it works on a batch in parts, in part k with k · `each` more.
        """
        return values

    def call(self, kernel: Callable[..., Any], *args: Any) -> None:
        """Call a kernel, without its threads where they are not worth waking up. Every rule calls
        its kernels through here, so that a compiled run can write the call down.
        """
        version = settings.version()
        if version is None and getattr(kernel, "threaded", False) and self.rule.is_small(self):
            version = kernels.jit.serial
        (version(kernel) if version else kernel)(*args)

    def kernel_info(self) -> dict[str, Any]:
        """What the operator's kernel knows about its last pass, worked out when asked; see
        `Rule.kernel_info`.

        Arrays are read-only. Some are the kernel's own, which the next pass overwrites: copy what
        is to last.
        """
        found = self.rule.kernel_info(self)
        return {
            name: read_only(fact) if isinstance(fact, np.ndarray) else fact
            for name, fact in found.items()
        }

    def changes(self, leaves: Collection[Any]) -> bool:
        return any(isinstance(x, GraphNode) and x.changes(leaves) for x in self.attributes.values())

    def deliver(self, index: int, cotangent: Array, owned: bool) -> None:
        """Hand a cotangent of this node's shape on to an input."""
        raise NotImplementedError

    def __deepcopy__(self, memo: dict[int, Any]) -> Operator:
        from .copying import copy_graph

        return copy_graph(self, memo)

    def __reduce__(self) -> Any:
        from .copying import flatten_graph, rebuild_graph

        return rebuild_graph, (flatten_graph(self),)


class ScalarOperator(Operator):
    """An operator between single numbers: operands and result have no axes, so cotangents pass as
    they are.
    """

    __slots__ = ()

    def deliver(self, index: int, cotangent: Array, owned: bool) -> None:
        self.inputs[index].receive(np.asarray(cotangent), owned)


class BroadcastedOperator(Operator):
    """An operator with at least one array. What NumPy broadcast on the way forward is summed on the
    way back.
    """

    __slots__ = ()

    def deliver(self, index: int, cotangent: Array, owned: bool) -> None:
        x = self.inputs[index]
        if cotangent.shape != x._data.shape:
            cotangent, owned = sum_to(cotangent, x._data.shape), True
        x.receive(cotangent, owned)


def _raw(value: Any) -> Any:
    """What a leaf is to hold. Raises `DTypeError` for a node, or nodes in a list."""
    if isinstance(value, GraphNode):
        raise DTypeError(f"{value!r} is a node already; use it as it is, or its .value")
    if holds_nodes(value):
        raise DTypeError(
            "a list with nodes in it has gradients that would be lost; mg.stack makes a node of it"
        )
    return value


def _operator(name: str, *inputs: Any, **attributes: Any) -> GraphNode:
    from .rule import by_name

    return by_name(name)(*inputs, **attributes)


def _shape(shape: tuple[int, ...]) -> str:
    return str(tuple(shape))
