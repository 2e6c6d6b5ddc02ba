"""`diagnose`: one forward and one backward pass, and what they say about the health of a
network.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import ops
from ...errors import GraphError, ShapeError
from ...graph import settings
from ...graph.node import Array, Constant, GraphNode, Operator, Variable
from ...graph.order import backward, topological_sort
from ..scene.alarms import Alarms
from ..scene.measure import EXPLODED, Stats, measure
from ..scene.text import number, shorten
from .diagnosis import Diagnosis, Finding
from .naming import layers, node_names, norm, slope

#: The share of a layer's units that must be dead to be a disease. ReLU networks are sparse by
#: nature (Glorot, Bordes and Bengio 2011), and small ones of ours with 98 % right answers had up to
#: two thirds of a layer's units dead.
MOST_DEAD = 0.8
#: The share of a layer's outputs that must be saturated to be a disease: then the typical one
#: passes next to nothing on.
MOST_SATURATED = 0.5
#: A unit is called dead only if it was silent in so many places: at a coin's toss each, 1 in 65,536
#: are by chance.
LEAST_PLACES = 16
#: A saturated output passes on less than 4 % of the most that its activation can (σ: y(1-y) < 0.01,
#: so y beyond 0.01 and 0.99; tanh: 1-y² < 0.04, so |y| > 0.98). Saturation as the cause of slow
#: learning: Glorot and Bengio (2010).
LEAST_SLOPE = 0.04
#: The norm of the gradient at a layer's output may be so many times smaller or larger than at the
#: last layer's; what Glorot and Bengio (2010) ask for is that it stays the same. All layers share
#: one learning rate, and a healthy update is about 1e-3 of the weight (Karpathy, CS231n): with that
#: for the last layer, a layer beyond this limit moves by less than 1e-6 of its weights per step, or
#: by more than all of them.
MOST_RATIO = 1e3


def diagnose(model: Any, x: Any, y: Any, loss: Callable[..., GraphNode] | None = None) -> Diagnosis:
    """Run one batch forward and back through a copy of `model` and report what is wrong with the
    network.

    `x` (N, …) and `y` (N, …) are arrays, a batch of some dozens is best; floats enter in the dtype
    of the parameters. `loss(output, target)` is by default what suits the way in which
    `Trainer.evaluate` counts a prediction as right: `cross_entropy` for integer class ids (N,)
    beside several outputs (the largest must be at the id), `binary_cross_entropy` for targets of 0
    and 1 beside as many outputs of a sigmoid, `mse_loss` for all others.

    Looked for: NaN and inf (the first node), dead ReLUs, saturated sigmoids and tanhs (of the
    model's own output only those on the wrong side of the target: a right and certain answer is no
    disease), gradients that vanish or explode on their way to the first layer, unused and frozen
    parameters. The limits are constants of this module, with reasons. A copy is looked at:
    parameters, gradients, hooks and the mode of the model stay as they are, and hooks are not
    called.

    Raises `TypeError` for a model without `named_parameters()` or outputs that are no node,
    `ShapeError` for no samples, and whatever model and loss raise for data that does not fit.
    """
    if not callable(model) or not callable(getattr(model, "named_parameters", None)):
        raise TypeError(
            f"diagnose: a {type(model).__name__}; a model with named_parameters() was expected"
        )
    if not settings.recording():
        raise GraphError("diagnose: within no_grad() there is no graph to look at")
    twin = _copy(model)
    parameters = dict(twin.named_parameters())
    for parameter in parameters.values():
        parameter.zero_grad()
    with np.errstate(all="ignore"):  # that numbers go wrong is what is looked for
        run = _forward(twin, parameters, _array(x, "x"), _array(y, "y"), loss)
        order = topological_sort(run.head)
        with _set_aside(order, parameters):
            if run.head.requires_grad:
                backward(order)
            findings = tuple(_Case(order, run, parameters).findings())
    return Diagnosis(findings, float(run.head.item()), run.loss)


def _copy(model: Any) -> Any:
    """A deep copy that has no hooks of modules (those of nodes stay behind by themselves)."""
    ask = getattr(model, "named_modules", None)
    hooks = [getattr(module, "_hooks", None) for _, module in (ask() if callable(ask) else ())]
    return copy.deepcopy(model, {id(own): type(own)() for own in hooks if own is not None})


@contextmanager
def _set_aside(order: Sequence[GraphNode], parameters: Mapping[str, Variable]) -> Iterator[None]:
    """Within the block, variables that a loss brought along (a penalty on the weights, say) have no
    gradient, no hooks.
    """
    own = {id(parameter) for parameter in parameters.values()}
    others = [node for node in order if isinstance(node, Variable) and id(node) not in own]
    kept = [(node, node.grad, node.grad_pass, node.hooks) for node in others]
    for node in others:
        node.zero_grad()
        node.hooks = None
    try:
        yield
    finally:
        for node, grad, number, hooks in kept:
            node.zero_grad()
            node.grad, node.grad_pass, node.hooks = grad, number, hooks


def _array(data: Any, name: str) -> Array:
    array = data.value if isinstance(data, GraphNode) else np.asarray(data)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"diagnose: {name} holds {array.dtype}; numbers were expected")
    if array.ndim < 1 or not len(array):
        raise ShapeError(
            f"diagnose: {name} has shape {array.shape}; at least one sample was expected"
        )
    return array


@dataclass(frozen=True)
class _Run:
    """The ends of a graph, and what its loss is called."""

    data: GraphNode
    output: GraphNode
    target: GraphNode
    head: GraphNode
    loss: str


def _forward(
    model: Any,
    parameters: Mapping[str, Variable],
    x: Array,
    y: Array,
    loss: Callable[..., GraphNode] | None,
) -> _Run:
    dtype = next((p.dtype for p in parameters.values()), None)
    data = Constant(x, name="x", dtype=dtype if x.dtype.kind == "f" else x.dtype)
    output = model(data)
    if not isinstance(output, GraphNode):
        raise TypeError(
            f"diagnose: the model returned a {type(output).__name__}; one node was expected"
        )
    chosen = loss if loss is not None else _usual_loss(output, y)
    floats = y.dtype.kind == "f" or (loss is None and chosen is not ops.cross_entropy)
    column = floats and output.shape == (*y.shape, 1)
    target = Constant(
        y.reshape(output.shape) if column else y,
        name="target",
        dtype=output.dtype if floats else y.dtype,
    )
    head = chosen(output, target)
    if not isinstance(head, GraphNode):
        raise TypeError(
            f"diagnose: the loss returned a {type(head).__name__}; one node was expected"
        )
    if head.shape != ():
        raise ShapeError(f"diagnose: the loss has shape {head.shape}; a single number was expected")
    return _Run(
        data, output, target, head, shorten(getattr(chosen, "__name__", type(chosen).__name__))
    )


def _usual_loss(output: GraphNode, y: Array) -> Callable[..., GraphNode]:
    if output.ndim == 2 and output.shape[1] > 1 and y.ndim == 1 and y.dtype.kind in "iu":
        return ops.cross_entropy
    if _rule(output) == "sigmoid" and output.size == y.size and np.isin(y, (0, 1)).all():
        return ops.binary_cross_entropy
    return ops.mse_loss


def _rule(node: GraphNode) -> str:
    return node.rule.name if isinstance(node, Operator) else ""


class _Case:
    """A graph after its backward pass, and the questions that are asked of it."""

    def __init__(self, order: list[GraphNode], run: _Run, parameters: dict[str, Variable]) -> None:
        self.order, self.run, self.parameters = order, run, parameters
        self.names = node_names(order, parameters)
        self.index = {id(node): i for i, node in enumerate(order)}
        self.grads = [None if node.grad is None else measure(node.grad) for node in order]

    def findings(self) -> Iterator[Finding]:
        bad = list(self.not_finite())
        yield from bad
        if not bad:  # with NaN about, sizes say nothing
            blocked = [*self.dead(), *self.saturated()]
            yield from blocked
            yield from self.exploding()
            yield from self.vanishing(bool(blocked))
        yield from self.unused()
        yield from self.frozen()

    def _where(self, i: int) -> str:
        """`relu, node n3 (relu)`, with the module that made the node where it is known."""
        scope = self.order[i].scope
        ask = getattr(scope[0], "named_modules", None) if scope else None
        way = (
            next((name for name, module in ask() if module is scope[-1]), "")
            if callable(ask)
            else ""
        )
        return (
            f"{way} · {type(scope[-1]).__name__}, node {self.names[i]}"
            if way
            else f"node {self.names[i]}"
        )

    # ---------------- values
    def not_finite(self) -> Iterator[Finding]:
        """NaN and inf: the first node in the order of computation."""
        values: list[Stats | None] = [measure(node.value) for node in self.order]
        alarms = Alarms(self.order, [_if_bad(s) for s in values], [_if_bad(s) for s in self.grads])
        if alarms.bad is not None:
            i = alarms.bad
            told = [alarms.note(self.names.__getitem__)]
            for x in self.order[i].inputs:
                given = values[self.index[id(x)]]
                if given is not None and given.size:
                    told.append(
                        f"Input {self.names[self.index[id(x)]]}: {number(given.low)} to "
                        f"{number(given.high)}."
                    )
            yield Finding("NaN or inf", self._where(i), " ".join(told))

    def dead(self) -> Iterator[Finding]:
        """ReLUs of which most units put out 0 for every sample."""
        for i, y, kind in self._activations():
            if kind != "relu":
                continue
            axis = _unit_axis(self.order[i])
            units = np.moveaxis(y, axis, 0).reshape(y.shape[axis], -1)
            silent = int((~units.any(axis=1)).sum())
            if units.shape[1] >= LEAST_PLACES and silent >= MOST_DEAD * len(units):
                told = (
                    f"{silent} of {len(units)} units put out 0 at all {units.shape[1]} places "
                    f"of the batch."
                )
                yield Finding("dead ReLU", self._where(i), told)

    def saturated(self) -> Iterator[Finding]:
        """Sigmoids and tanhs most of whose outputs lie near their ends, where the slope is next to
        nothing.
        """
        for i, y, kind in self._activations():
            if kind not in ("sigmoid", "tanh"):
                continue
            slopes = 4 * y * (1 - y) if kind == "sigmoid" else 1 - y * y
            stuck = slopes < LEAST_SLOPE
            if self.order[i] is self.run.output and self.run.target.shape == y.shape:
                stuck = stuck & (np.abs(y - self.run.target.value) > 0.5)
            if stuck.mean() > MOST_SATURATED:
                share, middle = (number(100 * float(f)) for f in (stuck.mean(), np.median(slopes)))
                told = (
                    f"{share} % of the outputs of {kind} are near its ends, where its slope "
                    f"is below "
                    f"{100 * LEAST_SLOPE:g} % of the largest; the median is {middle} %."
                )
                yield Finding("saturation", self._where(i), told)

    def _activations(self) -> Iterator[tuple[int, Array, str]]:
        """(number, output, kind) of every activation, those inside of recurrent layers too."""
        for i, node in enumerate(self.order):
            kind = _rule(node)
            if kind == "rnn":
                kind = node.attributes.get("nonlinearity", "tanh")  # type: ignore[attr-defined]
            if node.size and node.ndim >= 1:
                yield i, np.asarray(node.value), kind

    # ---------------- gradients
    def depth(self) -> dict[str, Stats]:
        """Layer -> gradient of what the layer puts out (where it is last used), from the first
        layer to the last.
        """
        met = self._meeting()
        places = {
            layer: max(
                (
                    met[id(self.parameters[name])]
                    for name in members
                    if id(self.parameters[name]) in met
                ),
                default=-1,
            )
            for layer, members in layers(self.parameters).items()
        }
        rows = sorted((i, layer) for layer, i in places.items() if i >= 0)
        return {layer: stats for i, layer in rows if (stats := self.grads[i]) is not None}

    def _meeting(self) -> dict[int, int]:
        """id(parameter) -> the last node where it, or what is computed from parameters alone (Wᵀ),
        meets the data.
        """
        met: dict[int, int] = {}
        fed = {id(self.run.data)}
        owners = {id(parameter): {id(parameter)} for parameter in self.parameters.values()}
        for i, node in enumerate(self.order):
            brought = set().union(*(owners.get(id(x), set()) for x in node.inputs))
            if any(id(x) in fed for x in node.inputs):
                fed.add(id(node))
                met.update(dict.fromkeys(brought, i))
            elif node.inputs:
                owners[id(node)] = brought
        return met

    def exploding(self) -> Iterator[Finding]:
        """Gradients that grow towards the input, or are huge anyway."""
        profile = self.depth()
        if len(profile) > 1 and (found := _ratio(profile)) and found[1] > MOST_RATIO:
            yield Finding("exploding gradient", f"layer {found[0]}", _course(profile, found))
        sizes = {
            name: measure(p.grad).rms for name, p in self.parameters.items() if p.grad is not None
        }
        huge = {name: rms for name, rms in sizes.items() if rms > EXPLODED}
        if huge:
            name = max(huge, key=lambda key: huge[key])
            told = (
                f"the rms of its gradient is {number(huge[name])}; above {EXPLODED:g} counts as "
                f"exploded."
            )
            yield Finding("exploding gradient", ", ".join(huge), f"In {name} {told}")

    def vanishing(self, blocked: bool) -> Iterator[Finding]:
        """Gradients that shrink towards the input, to exactly 0 even; that alone is no news where a
        layer is blocked.
        """
        profile = self.depth()
        zero = [layer for layer, stats in profile.items() if stats.size and stats.rms == 0]
        sized = {layer: stats for layer, stats in profile.items() if layer not in zero}
        if len(sized) > 1 and (found := _ratio(sized, smallest=True)) and found[1] < 1 / MOST_RATIO:
            yield Finding("vanishing gradient", f"layer {found[0]}", _course(sized, found))
        if zero and not blocked and float(self.order[-1].item()) != 0:
            yield Finding(
                "vanishing gradient",
                ", ".join(zero),
                "The gradient is exactly 0, though the loss is not.",
            )

    # ---------------- parameters
    def unused(self) -> Iterator[Finding]:
        """Parameters that the graph does not reach, or that no gradient reaches."""
        for members in layers(self.parameters).values():
            out = [name for name in members if id(self.parameters[name]) not in self.index]
            if out:
                yield Finding(
                    "unused parameter",
                    ", ".join(out),
                    "The loss does not depend on it: it is not in the graph.",
                )
            cut = [
                name for name in members if name not in out and self._cut_off(self.parameters[name])
            ]
            if cut:
                told = (
                    "It is in the graph, but no gradient comes back: operators without a "
                    "derivative lie between."
                )
                yield Finding("unused parameter", ", ".join(cut), told)

    def _cut_off(self, parameter: Variable) -> bool:
        return parameter.requires_grad and parameter.grad is None

    def frozen(self) -> Iterator[Finding]:
        """Parameters that were told to collect no gradient."""
        for members in layers(self.parameters).values():
            found = [name for name in members if not self.parameters[name].requires_grad]
            if found:
                yield Finding(
                    "frozen parameter",
                    ", ".join(found),
                    "requires_grad is False: it gets no gradient.",
                )


def _if_bad(stats: Stats | None) -> Stats | None:
    return stats if stats is not None and stats.state in ("nan", "inf") else None


def _unit_axis(node: GraphNode) -> int:
    """Which axis counts units: channels of (N, C, …), features of (N, features), hidden ones of (T,
    N, hidden).
    """
    return node.ndim - 1 if node.ndim < 3 or _rule(node) == "rnn" else 1


def _ratio(profile: Mapping[str, Stats], smallest: bool = False) -> tuple[str, float] | None:
    """(layer, its gradient / the last layer's) of the layer where that is largest (or smallest)."""
    sizes = {layer: norm(stats) for layer, stats in profile.items()}
    last = list(sizes.values())[-1]
    if not last > 0:
        return None
    worst = (min if smallest else max)(sizes, key=lambda layer: sizes[layer])
    return worst, sizes[worst] / last


def _course(profile: Mapping[str, Stats], found: tuple[str, float]) -> str:
    layer, ratio = found
    sizes = {name: norm(stats) for name, stats in profile.items()}
    last = list(sizes)[-1]
    steepness = slope(range(len(sizes)), sizes.values())
    return (
        f"The gradient at its output has norm {number(sizes[layer])}, at the last layer's ({last}) "
        f"{number(sizes[last])}: "
        f"{number(ratio)} times; {round(steepness, 2) + 0.0:+.2f} decades per layer."
    )
