"""`mg.compile`: a user's own function of arrays to a loss as one compiled step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .. import kernels, optim
from ..errors import GraphError, ShapeError
from ..graph.autodiff import topological_sort
from ..graph.conversion import Array
from ..graph.node import Constant, GraphNode, Variable
from ..graph.settings import float_dtype, rerun, state_kept
from ..ops.kernel import without_threads
from ..optim import Optimizer
from .batch import divided
from .compiled import CompiledStep
from .rebuild import changed, first_difference, python_state, refuse, written_alike
from .samples import named

KEPT = 8  # steps for different shapes

Function = Callable[..., Any]


class _Built(NamedTuple):
    """The graph of one call: the nodes of the inputs, and what the function returned."""

    fed: list[GraphNode]
    loss: GraphNode
    others: list[GraphNode]

    @property
    def order(self) -> list[GraphNode]:
        """All nodes, the loss at the end."""
        every = dict.fromkeys(node for one in self.others for node in topological_sort(one))
        return [*every, *(node for node in topological_sort(self.loss) if node not in every)]


class _Kept(NamedTuple):
    """A step for some shapes, and what must be as it was when the function was read."""

    step: CompiledStep
    trained: dict[Variable, bool]
    training: dict[Any, bool]

    def holds(self) -> bool:
        return all(p.requires_grad is was for p, was in self.trained.items()) and all(
            module.training is was for module, was in self.training.items()
        )


class _Leaves(set[Any]):
    """The inputs, and every variable: none of their numbers may be read by Python code."""

    def __contains__(self, x: Any) -> bool:
        return isinstance(x, Variable) or super().__contains__(x)


class CompiledFunction:
    """What `compile` returns. `source` is the generated code of the last call."""

    def __init__(self, function: Function, optimizer: Optimizer | None) -> None:
        self.function, self.optimizer = function, optimizer
        self.name = f"compile: {getattr(function, '__name__', type(function).__name__)}"
        self._kept: dict[Any, _Kept] = {}
        self._last: CompiledStep | None = None

    @property
    def source(self) -> str:
        """The generated code of the last call. Raises `GraphError` before the first."""
        if self._last is None:
            raise GraphError(f"{self.name}: there is no source before the first call")
        return self._last.source

    def __call__(self, *arrays: ArrayLike) -> Any:
        """The loss as a float; a tuple with it and arrays if the function returns a tuple.

        Raises `GraphError` where the loss is not finite (no update is made then), and what the
        operators raise for wrong arrays.
        """
        xs = [self._array(i, x) for i, x in enumerate(arrays)]
        key = tuple((x.shape, x.dtype) for x in xs)
        kept = self._kept.pop(key, None)
        if kept is None or not kept.holds():
            kept = self._compiled(xs)
        if len(self._kept) == KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = kept
        step = self._last = kept.step
        step.check(tuple(xs), ())
        loss = np.zeros(1, step.arena.dtype)
        results = [np.empty(x.shape, x.dtype) for x in step.results]
        if not step.run(tuple(xs), (), np.arange(step.batch), loss, results=results):
            raise GraphError(f"{self.name}: the loss is {loss[0]}; nothing is updated")
        if self.optimizer is None:
            step.give_gradients()
        return (float(loss[0]), *results) if results else float(loss[0])

    def _array(self, i: int, x: ArrayLike) -> Array:
        dtype = float_dtype() if self.optimizer is None else self.optimizer.params[0].dtype
        try:
            array = x._data if isinstance(x, GraphNode) else np.asarray(x)
        except ValueError:
            raise ShapeError(f"{self.name}: argument {i} has rows of different lengths") from None
        if array.dtype.kind not in "biuf":
            raise TypeError(f"{self.name}: argument {i} is a {type(x).__name__}, not numbers")
        return array.astype(dtype, copy=False) if array.dtype.kind == "f" else array

    def _built(self, xs: Sequence[Array]) -> _Built:
        inputs: list[GraphNode] = [
            (Variable if x.dtype.kind == "f" else Constant)(x, name=f"x{i}", dtype=x.dtype)
            for i, x in enumerate(xs)
        ]
        with rerun(_Leaves(inputs)):
            made = self.function(*inputs)
        loss, *others = made if isinstance(made, tuple) and made else (made,)
        for node in (loss, *others):
            if not isinstance(node, GraphNode):
                raise GraphError(
                    f"{self.name} returned a {type(node).__name__}; a node, the loss, was "
                    "expected, or a tuple of nodes that begins with it"
                )
        if loss.size != 1:
            raise ShapeError(
                f"{self.name}: the loss has shape {loss.shape}; a single number was expected"
            )
        loss = loss.reshape(()) if loss.shape else loss
        return _Built(inputs, loss * 1.0, others)  # a node that nothing else uses

    def _compiled(self, xs: Sequence[Array]) -> _Kept:
        batch = len(xs[0]) if xs and xs[0].ndim else 0
        alike = batch > 1 and all(x.ndim and len(x) == batch for x in xs)
        with state_kept(), without_threads(), kernels.blas.blas_threads(1):
            built = self._built(xs)
            self._verify(built, xs)
            parts = 1
            if alike and not built.others:
                built, parts = divided(built, batch, lambda n: self._built([x[:n] for x in xs]))
        order = built.order
        given = {*built.fed}
        trained = [x for x in order if isinstance(x, Variable) and x not in given]
        optimizer = self.optimizer or optim.SGD(trained or [Variable(0.0)], 1.0)

        def step() -> CompiledStep:
            fed, updates = named(x=tuple(built.fed)), self.optimizer is not None
            # arrays that have no samples are given as a whole
            return CompiledStep(order, fed, optimizer, parts, updates, built.others, not alike)

        made = written_alike(step, order, self.name)
        modules = {module for node in order for module in node.scope}
        training = {m: m.training for m in modules if hasattr(m, "training")}
        return _Kept(made, {p: p.requires_grad for p in trained}, training)

    def _verify(self, built: _Built, xs: Sequence[Array]) -> None:
        """Call the function again, on the numbers in another order, and compare the graphs."""
        before = python_state([])
        again = self._built([x[::-1] if x.ndim else x for x in xs])
        fed = [*zip(built.fed, again.fed, strict=True)]
        refuse(self.name, first_difference(built.order, again.order, fed))
        refuse(self.name, changed(before, python_state([])))


def compile(function: Function, optimizer: Optimizer | None = None) -> CompiledFunction:
    """A function of arrays to a loss as machine code: value, gradients, and an update.

    `function(*inputs)` gets nodes and returns the loss, a single number, or a tuple that begins
    with it. `step = compile(function, optimizer)` is called with arrays: `step(x, y)` computes the
    loss, updates the optimiser's parameters and returns a float, or a tuple of the loss and of
    arrays. Without an optimiser the gradients replace the `.grad` of the variables that the loss
    depends on. Floats become the dtype of the parameters. Inputs of
    floats are variables: `mg.grad(u, x, create_graph=True)` differentiates by them within the
    function. Where the loss is a mean over samples along the first axis of all inputs, threads
    share them.

    The function is called once for each set of shapes, and again when a module in it changes
    between training and evaluation; numbers of plain Python are those of that call. Raises
    `GraphError` for what cannot be compiled, and for a loss that depends on no parameter.

    >>> import minigrad as mg
    >>> w = mg.Variable([1.0, 2.0])
    >>> step = mg.compile(lambda x: mg.mean((x - w) ** 2), mg.optim.SGD([w], lr=0.5))
    >>> [round(step([3.0, 3.0]), 3) for _ in range(3)]
    [2.5, 0.625, 0.156]
    """
    if not callable(function):
        raise TypeError(f"compile: a {type(function).__name__}; a function was expected")
    return CompiledFunction(function, optimizer)
