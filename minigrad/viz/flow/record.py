"""`GradientFlow`: how large gradients, weights and updates were in the course of a training.

There is one mechanism, the backward hook: `_gradient(name, node, grad)` is called with every
gradient of a pass, from the loss to the leaves. `watch` registers it as a hook. `on_batch` (for the
Trainer) and `record` (for a loop of one's own) are called when the pass is over, and in eager mode
there was no graph before it on which to register anything; so they call the same function
themselves, node by node in the order in which hooks would have been.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import GraphError
from ...files import write_atomically
from ...graph.conversion import Array
from ...graph.hooks import Handle
from ...graph.node import GraphNode, Variable
from ..draw import Drawing, inked
from ..scene.heads import order_of
from ..scene.measure import Stats, measure
from ..scene.readings import Reading
from ..scene.text import alarm, count, gradient_line
from ..scene.words import stats_words
from . import figures
from .layers import json_number, layer_kinds, models_of, node_names, norm, parameters_in

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: so many measured arrays are kept at most, whatever `keep` allows; one takes about 300 bytes
MOST_STATS = 100_000
_COLUMNS = (
    "step",
    "kind",
    "name",
    "size",
    "norm",
    "rms",
    "zeros",
    "nans",
    "infs",
    "weight_norm",
    "update_ratio",
)


@dataclass(slots=True)
class Record:
    """One backward pass in numbers: the gradients of `parameters` and of `nodes`, the norms of the
    `weights`.

    `ratios` holds ‖update‖ / ‖weight‖ for the step that the optimiser made next; it is filled in
    once that is known.
    """

    step: int
    parameters: dict[str, Stats] = field(default_factory=dict)
    nodes: dict[str, Stats] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)


class Watch:
    """What `GradientFlow.watch` returns: `remove()` takes all its hooks off again."""

    def __init__(self, flow: GradientFlow, handles: Sequence[Handle]) -> None:
        self._flow, self._handles = flow, handles

    def remove(self) -> None:
        """Take the hooks off; the optimiser's last update is compared now, if it was recorded."""
        for handle in self._handles:
            handle.remove()
        self._flow.settle()


class GradientFlow:
    """Records gradients, weights and updates over a training; use one of three ways, for one
    training at a time.

        flow = mg.viz.GradientFlow()
        mg.Trainer(model, loss, optimizer, mode="replay", callbacks=[flow]).fit(…)  # a callback
        loss.backward(); flow.record(loss, model); optimizer.step()    # a loop of one's own, in every step
        handle = flow.watch(model)                                     # hooks, until handle.remove()

    Steps are backward passes, counted from 0. Every `every`-th is recorded: for each parameter and
    each node of the graph the norm, root mean square, share of exact zeros and number of NaN and
    inf of its gradient, for each parameter the norm of its weights and ‖update‖ / ‖weights‖, the
    update being the change that is found at the next step (or at the end of the epoch). A step that
    is not recorded costs a look at the loss: if that is not finite, the step is recorded all the
    same, once. When more than `keep` records exist, every second is dropped and `every` doubles.
    Recording takes a few passes over the arrays and a copy of the parameters, and changes nothing.

    Attributes: `records` (list of `Record`), `every` (the present interval), `steps` (passes seen),
    `first_bad` (the first node with a value or gradient that was not finite, in words, or None). A
    Trainer stops by itself where a loss is not finite, before callbacks are told. Raises
    `ValueError` unless `every` ≥ 1 and `keep` ≥ 2.
    """

    def __init__(self, every: int = 10, keep: int = 500) -> None:
        for name, value, least in (("every", every, 1), ("keep", keep, 2)):
            if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
                raise ValueError(
                    f"GradientFlow: {name}={value!r}; an integer ≥ {least} was expected"
                )
        self.every, self.keep = int(every), int(keep)
        self.steps = 0
        self._records: list[Record] = []
        self._kinds: dict[str, str] = {}
        self._parameters: dict[str, Variable] = {}
        self._names: dict[int, str] = {}
        self._latest = Record(0)
        self._before: dict[
            str, Array
        ] = {}  # the parameters at the latest record, until its update is known
        self._open: Record | None = None  # the record of the pass that is going on
        self._bad_step: int | None = None
        self._bad_value = self._bad_grad = ""

    # ---------------- three ways to be told of a backward pass
    def on_batch(self, trainer: Any, graph: Any) -> None:
        """What the Trainer calls after each backward pass, before the step."""
        self._pass(graph.head, lambda: graph.order, trainer.model)

    def __call__(self, trainer: Any, history: Any) -> None:
        """What the Trainer calls after each epoch: the last update is known now."""
        self.settle()

    def record(self, loss: Any, model: Any = None) -> None:
        """Note one backward pass, to be called after `loss.backward()` and before the optimiser's
        step, in every step.

        `loss` is the head that was pulled back from, or its `Graph`; parameters are those of
        `model` (anything with `named_parameters()`), by default those of the modules that made the
        graph, and its other variables. Raises `GraphError` where there was no backward pass,
        `TypeError` for what is no graph.
        """
        head = getattr(loss, "head", loss)
        if not isinstance(head, GraphNode):
            raise TypeError(
                f"GradientFlow.record: a {type(loss).__name__}; a node or a Graph was expected"
            )
        if head.grad is None:
            raise GraphError(
                f"GradientFlow.record: {head!r} has no gradient; call its backward() first"
            )
        self._pass(head, lambda: order_of(loss, "GradientFlow.record"), model)

    def watch(self, target: Any) -> Watch:
        """Register backward hooks on all nodes of a graph (given as its head or `Graph`), or on a
        module, all modules inside it and their parameters; returns a handle with `remove()`.

        A graph's nodes must be run again (`Graph.forward`, `Graph.backward`), while a module is
        watched in whatever graphs it makes; of those, the gradients of the modules' outputs and of
        the parameters are seen. Raises `TypeError` for anything else.
        """
        if callable(getattr(target, "named_modules", None)) and hasattr(
            target, "register_backward_hook"
        ):
            return self._watch_module(target)
        order = order_of(target, "GradientFlow.watch")
        head, parameters = order[-1], parameters_in(order)
        self._kinds.update(layer_kinds(models_of(order)))
        pass_ = _Pass(self, parameters)
        handles = [head.register_forward_hook(pass_.forward)]
        for name, node in zip(node_names(order, parameters), order, strict=True):
            handles.append(node.register_backward_hook(pass_.hook(name)))
        return Watch(self, handles)

    def _watch_module(self, model: Any) -> Watch:
        parameters = dict(model.named_parameters())
        self._kinds.update(layer_kinds([model]))
        pass_ = _Pass(self, parameters)
        handles = [model.register_forward_hook(pass_.forward)]
        for name, module in model.named_modules():
            kind = type(module).__name__
            handles.append(
                module.register_backward_hook(pass_.hook(f"{name} · {kind}" if name else kind))
            )
        handles += [p.register_backward_hook(pass_.hook(name)) for name, p in parameters.items()]
        return Watch(self, handles)

    def _pass(self, head: GraphNode, order: Callable[[], Sequence[GraphNode]], model: Any) -> None:
        """One pass that is over: what its hooks would have been told, if it is to be recorded."""
        if not self._begin(head):
            return
        nodes = order()
        self._take(parameters_in(nodes, model))
        self._kinds.update(layer_kinds([model] if model is not None else models_of(nodes)))
        names = node_names(nodes, self._parameters)
        for name, node in zip(reversed(names), reversed(nodes), strict=True):
            self._gradient(name, node, node.grad)
        self._close()

    # ---------------- what is noted
    def _begin(self, head: GraphNode) -> bool:
        """A pass begins: is it to be recorded?"""
        self.settle()
        step, self.steps = self.steps, self.steps + 1
        new = self._bad_step is None and head.size == 1 and not np.isfinite(head.value).all()
        self._open = Record(step) if new or step % self.every == 0 else None
        return self._open is not None

    def _take(self, parameters: dict[str, Variable]) -> None:
        """Note the weights as they are now, and what they were, for the next step to compare."""
        assert self._open is not None
        self._parameters, self._latest = parameters, self._open
        self._names = {id(parameter): name for name, parameter in parameters.items()}
        self._before = {name: parameter.value.copy() for name, parameter in parameters.items()}
        self._open.weights = {
            name: _length(parameter.value) for name, parameter in parameters.items()
        }

    def _gradient(self, name: str, node: GraphNode, grad: Array | None) -> None:
        """Note one gradient of the open pass; they come from the loss to the leaves."""
        record = self._open
        if record is None:
            return
        self._look_for_bad(record.step, name, node, grad)
        if grad is None:
            return
        stats = record.nodes[_free(name, record.nodes)] = measure(grad)
        own = self._names.get(id(node))
        if own is not None:
            record.parameters[own] = stats

    def _look_for_bad(self, step: int, name: str, node: GraphNode, grad: Array | None) -> None:
        if self._bad_step not in (None, step):
            return
        if (
            node.dtype.kind == "f" and not np.isfinite(node.value).all()
        ):  # the last one said is the first one computed
            self._bad_step, self._bad_value = step, f"{name}, value {alarm(measure(node.value))}"
        if grad is not None and not self._bad_grad and not np.isfinite(grad).all():
            self._bad_step, self._bad_grad = step, f"{name}, gradient {alarm(measure(grad))}"

    def _close(self) -> None:
        """The open pass is over: keep its record, and thin the records where they have become too
        many.
        """
        record, self._open = self._open, None
        if record is None or not record.nodes:
            return
        order = {name: i for i, name in enumerate(self._parameters)}
        record.parameters = dict(sorted(record.parameters.items(), key=lambda pair: order[pair[0]]))
        record.nodes = dict(reversed(record.nodes.items()))
        self._records.append(record)
        while len(self._records) > 2 and (
            len(self._records) > self.keep or self._held() > MOST_STATS
        ):
            self.every *= 2
            self._records = [
                r for r in self._records if r.step % self.every == 0 or r.step == self._bad_step
            ]

    def _held(self) -> int:
        return sum(len(record.nodes) for record in self._records)

    def settle(self) -> None:
        """Compare the parameters with what they were at the latest recorded step, unless that was
        done before.
        """
        self._close()
        before, self._before = self._before, {}
        for name, old in before.items():
            weight = self._latest.weights[name]
            with np.errstate(all="ignore"):  # where weights are not finite, the ratio is NaN
                change = _length(self._parameters[name].value - old)
            self._latest.ratios[name] = change / weight if weight > 0 else np.nan

    # ---------------- what was found
    @property
    def records(self) -> list[Record]:
        """What was recorded, oldest first."""
        self._close()  # hooks do not say when a pass is over; who asks for its numbers does
        return self._records

    @property
    def first_bad(self) -> str | None:
        """In words, the first node that held NaN or inf: the step, the node, and whether its value
        or its gradient.

        Values go wrong before gradients do, those of inputs before those of their users. Hooks see
        only nodes that have a gradient; the two other ways see data, too.
        """
        found = self._bad_value or self._bad_grad
        return f"step {self._bad_step}: {found}" if found else None

    def to_dict(self) -> dict[str, Any]:
        """Everything recorded, ready for JSON (NaN and inf become None)."""
        found: dict[str, Any] = {
            "every": self.every,
            "steps": self.steps,
            "first_bad": self.first_bad,
            "records": [],
        }
        for record in self.records:
            rows: dict[str, Any] = {"step": record.step, "parameters": {}, "nodes": {}}
            for kind, name, numbers in _rows(record):
                rows[f"{kind}s"][name] = {key: json_number(x) for key, x in numbers.items()}
            found["records"].append(rows)
        return found

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Write a row for each parameter and node of each recorded step; whole or not at all."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for record in self.records:
            for kind, name, numbers in _rows(record):
                writer.writerow(
                    [record.step, kind, name, *("" if x is None else x for x in numbers.values())]
                )
        write_atomically(Path(path), text.getvalue().encode())

    def __repr__(self) -> str:
        return (
            f"<GradientFlow: {count(len(self.records), 'record')} of {count(self.steps, 'step')}>"
        )

    # ---------------- pictures
    def heat(self) -> Figure:
        """Layer × step: the darker, the larger the norm of the layer's gradient; below each layer a
        lane of alarms.

        A layer is a module with parameters of its own (or a lone parameter), its gradient all of
        theirs together. Glyphs: ∅ exactly zero, ▽ vanished (rms below 1e-6), △ exploded (rms above
        100), ✖ NaN, ▲ inf. Raises `GraphError` where nothing was recorded.
        """
        return figures.heat(self._shown("heat"), self._kinds)

    def ratios(self) -> Figure:
        """‖update‖ / ‖weights‖ of each parameter over the steps, on a log scale, as the optimiser
        really made them.

        The band from 1e-4 to 1e-2 is the rule of thumb: "a rough heuristic is that this ratio
        should be somewhere around 1e-3" (Karpathy, CS231n course notes, "Neural Networks Part 3:
        Ratio of weights:updates"). Raises `GraphError` where nothing was recorded.
        """
        return figures.ratios(self._shown("ratios"))

    def draw(self, graph: Any, step: int | None = None) -> Drawing:
        """The drawing of `graph` (a head or a `Graph`) with the gradients of a recorded step, by
        default the latest.

        The graph must be built as the recorded one was: nodes are told by their place in the order
        and their label. Values above the lines are those that the graph has now. Raises
        `ValueError` for a step that was not recorded, `GraphError` for another graph.
        """
        order = order_of(graph, "GradientFlow.draw")
        record = self._at(step)
        names = node_names(order, parameters_in(order) | self._parameters)
        strangers = [name for name in record.nodes if name not in names]
        if strangers:
            raise GraphError(
                f"GradientFlow.draw: step {record.step} has {strangers[0]}, which is no node of "
                f"this graph"
            )
        readings = {}
        for name, node in zip(names, order, strict=True):
            if (stats := record.nodes.get(name)) is not None:
                words = f"gradient {stats_words(stats)} at step {record.step}"
                readings[id(node)] = Reading(gradient_line(stats), stats.state, stats.step, words)
        return inked(graph, readings, title=f"Gradients at step {record.step}")

    def _at(self, step: int | None) -> Record:
        if not self.records:
            raise GraphError("GradientFlow.draw: nothing was recorded yet")
        if step is None:
            return self.records[-1]
        known = {record.step: record for record in self.records}
        if step not in known:
            nearest = min(known, key=lambda s: abs(s - step))
            raise ValueError(
                f"GradientFlow.draw: step={step} was not recorded; the nearest one is {nearest}"
            )
        return known[step]

    def _shown(self, method: str) -> list[Record]:
        records = [record for record in self.records if record.parameters]
        if not records:
            raise GraphError(f"GradientFlow.{method}: no gradients of parameters were recorded yet")
        return records


class _Pass:
    """Hooks that belong together: they find out where one backward pass ends and the next begins.

    A pass is a new one if a forward pass came between, or if a node is told of that was told of
    before.
    """

    def __init__(self, flow: GradientFlow, parameters: dict[str, Variable]) -> None:
        self._flow, self._parameters = flow, parameters
        self._fresh, self._told = True, set[tuple[str, int]]()

    def forward(self, node: GraphNode, value: Array) -> None:
        self._fresh = True

    def hook(self, name: str) -> Callable[[GraphNode, Array], None]:
        def gradient(node: GraphNode, grad: Array) -> None:
            told = (
                name,
                id(node),
            )  # a node may be the output of several modules, one inside the other
            if self._fresh or told in self._told:
                self._fresh = False
                self._told.clear()
                if self._flow._begin(node):
                    self._flow._take(self._parameters)
            self._told.add(told)
            self._flow._gradient(name, node, grad)

        return gradient


def _length(array: Array) -> float:
    return float(np.linalg.norm(array.astype(np.float64).ravel()))


def _free(name: str, taken: dict[str, Stats]) -> str:
    """The name, numbered where a module was called several times in one pass."""
    number = 2
    free = name
    while free in taken:
        free, number = f"{name} ({number})", number + 1
    return free


def _rows(record: Record) -> list[tuple[str, str, dict[str, float | None]]]:
    """(kind, name, numbers) of everything in the record; a parameter that got no gradient has only
    a weight.
    """
    rows: list[tuple[str, str, dict[str, float | None]]] = []
    for name, weight in record.weights.items():
        more = {"weight_norm": weight, "update_ratio": record.ratios.get(name)}
        rows.append(("parameter", name, _numbers(record.parameters.get(name)) | more))
    rows += [
        ("node", name, _numbers(stats) | dict.fromkeys(_COLUMNS[-2:]))
        for name, stats in record.nodes.items()
    ]
    return rows


def _numbers(stats: Stats | None) -> dict[str, float | None]:
    if stats is None:
        return dict.fromkeys(_COLUMNS[3:9])
    found = (stats.size, norm(stats), stats.rms, stats.zeros, stats.nans, stats.infs)
    return dict(zip(_COLUMNS[3:9], found, strict=True))
