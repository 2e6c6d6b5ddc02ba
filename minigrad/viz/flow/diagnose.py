"""`diagnose`: the health of a network, judged by one forward and one backward pass."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ... import ops
from ...errors import GraphError, ShapeError
from ...graph import settings
from ...graph.autodiff import backward, topological_sort
from ...graph.conversion import Array
from ...graph.node import Constant, GraphNode, Variable
from ...graph.rule import Operator
from ..inspection import HasParameters, Loss, named, rule_of
from ..scene.alarms import first_bad
from ..scene.measure import Stats, measure
from ..scene.text import number, shorten
from .diagnosis import Diagnosis, Finding
from .naming import layers, node_names, norm, slope

#: The share of a layer's units that must be dead for a finding. ReLU networks are sparse by nature
#: (Glorot, Bordes and Bengio 2011); small ones with 98 % accuracy had up to two thirds of a layer
#: dead.
MOST_DEAD = 0.8
#: The share of a layer's outputs that must be saturated for a finding: then the median one is.
MOST_SATURATED = 0.5
#: A unit counts as dead only if it was 0 at so many places: by chance, at 1/2 each, 1 in 65,536 is.
LEAST_PLACES = 16
#: A saturated output has less than 4 % of the largest slope of its activation (σ: y(1-y) < 0.01, so
#: y beyond 0.01 and 0.99; tanh: 1-y² < 0.04, so |y| > 0.98). Saturation as the cause of slow
#: learning: Glorot and Bengio (2010).
LEAST_SLOPE = 0.04
#: The gradient norm at a layer's output may be so many times smaller or larger than at the last
#: layer's; Glorot and Bengio (2010) aim at 1. All layers share one learning rate, and a healthy
#: update is about 1e-3 of the weight (Karpathy, CS231n): with that for the last layer, a layer
#: beyond this limit moves by less than 1e-6 of its weights per step, or by more than all of them.
MOST_RATIO = 1e3


def diagnose(
    model: HasParameters, x: ArrayLike, y: ArrayLike, loss: Loss | None = None
) -> Diagnosis:
    """Run one batch forward and back through a copy of `model` and report what is wrong with it.

    `x` (N, …) and `y` (N, …) are arrays, best a batch of some dozens; floats are converted to the
    dtype of the parameters. The default of `loss(output, target)` matches the accuracy of
    `Trainer.evaluate`: `cross_entropy` for integer class ids (N,) with several outputs,
    `binary_cross_entropy` for targets of 0 and 1 with as many outputs of a sigmoid, else
    `mse_loss`.

    Findings: NaN and inf (the first node), dead ReLUs, saturated sigmoids and tanhs (of the output
    of the model only on the wrong side of the target), gradients that vanish or explode towards the
    first layer, unused and frozen parameters. The limits are constants of this module, with
    reasons. The model itself does not change, and its hooks are not called.

    Raises `TypeError` for a model without `named_parameters()` or outputs that are no node,
    `ShapeError` for no samples, and passes on errors of model and loss.

    >>> model = mg.nn.Sequential(mg.nn.Linear(2, 1, seed=0), mg.nn.Sigmoid())
    >>> data = mg.data.circle(50)
    >>> mg.viz.diagnose(model, data.x_train, data.y_train.reshape(-1, 1)).healthy
    True
    """
    if not callable(model) or not isinstance(model, HasParameters):
        raise TypeError(
            f"diagnose: a {type(model).__name__}; a model with named_parameters() was expected"
        )
    if not settings.recording():
        raise GraphError("diagnose: within no_grad() there is no graph to look at")
    copied = _copy(model)
    parameters = dict(copied.named_parameters())
    for parameter in parameters.values():
        parameter.zero_grad()
    with np.errstate(all="ignore"):  # overflows become findings
        run = _forward(copied, parameters, _array(x, "x"), _array(y, "y"), loss)
        order = topological_sort(run.head)
        with _set_aside(order, parameters):
            if run.head.requires_grad:
                backward(order)
            findings = tuple(_Case(order, run, parameters).findings())
    return Diagnosis(findings, float(run.head.item()), run.loss)


def _copy(model: Any) -> Any:
    """A deep copy without hooks of modules (hooks of nodes are never copied)."""
    ask = getattr(model, "named_modules", None)
    hooks = [getattr(module, "_hooks", None) for _, module in (ask() if callable(ask) else ())]
    return copy.deepcopy(model, {id(own): type(own)() for own in hooks if own is not None})


@contextmanager
def _set_aside(order: Sequence[GraphNode], parameters: Mapping[str, Variable]) -> Iterator[None]:
    """Within the block, other variables of the loss have neither gradient nor hooks.

    For example the model's original weights in a penalty.
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
    """The ends of a graph, and the name of its loss."""

    data: GraphNode
    output: GraphNode
    target: GraphNode
    head: GraphNode
    loss: str


def _forward(
    model: Any, parameters: Mapping[str, Variable], x: Array, y: Array, loss: Loss | None
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


def _usual_loss(output: GraphNode, y: Array) -> Loss:
    if output.ndim == 2 and output.shape[1] > 1 and y.ndim == 1 and y.dtype.kind in "iu":
        return ops.cross_entropy
    if rule_of(output) == "sigmoid" and output.size == y.size and np.isin(y, (0, 1)).all():
        return ops.binary_cross_entropy
    return ops.mse_loss


class _Case:
    """A graph after its backward pass, with a method for each kind of finding."""

    def __init__(self, order: list[GraphNode], run: _Run, parameters: dict[str, Variable]) -> None:
        self.order, self.run, self.parameters = order, run, parameters
        self.names = node_names(order, parameters)
        self.index = {id(node): i for i, node in enumerate(order)}
        self.grads = [None if node.grad is None else measure(node.grad) for node in order]

    def findings(self) -> Iterator[Finding]:
        bad = list(self.not_finite())
        yield from bad
        if not bad:  # NaN spreads, so that other sizes mean nothing
            blocked = [*self.dead(), *self.saturated()]
            yield from blocked
            yield from self.exploding()
            yield from self.vanishing(bool(blocked))
        yield from self.unused()
        yield from self.frozen()

    def _where(self, i: int) -> str:
        """`fc1 · Linear, node n3 (relu)`, or only the node if no named module made it."""
        scope = self.order[i].scope
        modules = named(scope[0], "named_modules") if scope else []
        way = next((f"{name} · " for name, module in modules if module is scope[-1] and name), "")
        return (
            f"{way}{type(scope[-1]).__name__}, node {self.names[i]}"
            if way
            else (f"node {self.names[i]}")
        )

    # ---------------- values
    def not_finite(self) -> Iterator[Finding]:
        """NaN and inf: the first node in the order of computation."""
        values = [measure(node.value) for node in self.order]
        i, what = first_bad(self.order, values, self.grads)
        if i is not None:
            evidence = [f"First bad node: {self.names[i]}, {what}."]
            for x in self.order[i].inputs:
                given = values[self.index[id(x)]]
                if given.size:
                    evidence.append(
                        f"Input {self.names[self.index[id(x)]]}: {number(given.low)} to "
                        f"{number(given.high)}."
                    )
            yield Finding("NaN or inf", self._where(i), " ".join(evidence))

    def dead(self) -> Iterator[Finding]:
        """ReLU layers most of whose units give 0 for every sample."""
        for i, y, kind in activations(self.order):
            if kind == "relu" and (evidence := silent(self.order[i], y)):
                yield Finding("dead ReLU", self._where(i), evidence)

    def saturated(self) -> Iterator[Finding]:
        """Sigmoids and tanhs with most outputs near their limits, where the slope is small."""
        for i, y, kind in activations(self.order):
            steepness = slopes(y, kind)
            stuck = steepness < LEAST_SLOPE
            if self.order[i] is self.run.output and self.run.target.shape == y.shape:
                stuck = stuck & (np.abs(y - self.run.target.value) > 0.5)
            if stuck.mean() > MOST_SATURATED:
                share, middle = (
                    number(100 * float(f)) for f in (stuck.mean(), np.median(steepness))
                )
                evidence = (
                    f"{share} % of the outputs of {kind} are near its limits, where its slope "
                    f"is below "
                    f"{100 * LEAST_SLOPE:g} % of the largest; the median is {middle} %."
                )
                yield Finding("saturation", self._where(i), evidence)

    # ---------------- gradients
    def depth(self) -> dict[str, Stats]:
        """Layer -> gradient of its output (where it is last used), from the first layer on."""
        met = meeting(self.order)
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

    def exploding(self) -> Iterator[Finding]:
        """Gradients that grow towards the input."""
        profile = self.depth()
        if len(profile) > 1 and (found := _ratio(profile)) and found[1] > MOST_RATIO:
            yield Finding("exploding gradient", f"layer {found[0]}", _course(profile, found))

    def vanishing(self, blocked: bool) -> Iterator[Finding]:
        """Gradients that shrink towards the input, or are exactly 0 though no layer is blocked."""
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
        """Parameters that are not in the graph, or that no gradient reaches."""
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
                evidence = (
                    "It is in the graph, but gets no gradient: there are operators without a "
                    "derivative between it and the loss."
                )
                yield Finding("unused parameter", ", ".join(cut), evidence)

    def _cut_off(self, parameter: Variable) -> bool:
        return parameter.requires_grad and parameter.grad is None

    def frozen(self) -> Iterator[Finding]:
        """Parameters with `requires_grad = False`."""
        for members in layers(self.parameters).values():
            found = [name for name in members if not self.parameters[name].requires_grad]
            if found:
                yield Finding(
                    "frozen parameter",
                    ", ".join(found),
                    "requires_grad is False: it gets no gradient.",
                )


def meeting(order: Sequence[GraphNode]) -> dict[int, int]:
    """id(variable) -> the last node that combines it, or a function of it alone (Wᵀ, 2 W), with
    anything else.
    """
    met: dict[int, int] = {}
    owner: dict[int, int] = {}
    for i, node in enumerate(order):
        if isinstance(node, Variable):
            owner[id(node)] = id(node)
        given = [x for x in node.inputs if x.ndim or x.inputs or isinstance(x, Variable)]
        mine = {owner[id(x)] for x in given if id(x) in owner}
        if len(mine) == 1 and all(id(x) in owner for x in given):
            owner[id(node)] = mine.pop()
        met.update(dict.fromkeys(mine, i))
    return met


def activations(order: Sequence[GraphNode]) -> Iterator[tuple[int, Array, str]]:
    """(index, output, kind) of every node that limits; of an RNN the kind is its activation's."""
    for i, node in enumerate(order):
        kind = rule_of(node)
        if isinstance(node, Operator) and kind == "rnn":
            kind = node.attributes.get("nonlinearity", "tanh")
        if kind in ("relu", "sigmoid", "tanh") and node.size:
            yield i, node.value, kind


def slopes(y: Array, kind: str) -> Array:
    """The slope of an activation at each output, 1 being its largest; of a relu 1."""
    return 4 * y * (1 - y) if kind == "sigmoid" else 1 - y * y if kind == "tanh" else np.ones(1)


def silent(node: GraphNode, y: Array) -> str:
    """How many units of a dead layer give 0 everywhere, in words; empty for a layer that lives.

    Units are channels of (N, C, …), features of (N, features) and (T, N, features).
    """
    if not node.ndim:
        return ""
    axis = node.ndim - 1 if node.ndim < 3 or rule_of(node) == "rnn" else 1
    units = np.moveaxis(y, axis, 0).reshape(y.shape[axis], -1)
    dead = int((~units.any(axis=1)).sum())
    if units.shape[1] < LEAST_PLACES or dead < MOST_DEAD * len(units):
        return ""
    return f"{dead} of {len(units)} units give 0 at all {units.shape[1]} places of the batch."


def _ratio(profile: Mapping[str, Stats], smallest: bool = False) -> tuple[str, float] | None:
    """(layer, ratio): the largest (or smallest) gradient norm relative to the last layer's."""
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
