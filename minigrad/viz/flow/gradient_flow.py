"""`GradientFlow`: the sizes of gradients, weights and updates over a training run.

`_gradient(name, node, grad)` gets every gradient of a pass, from the loss to the leaves. `watch`
registers it as a backward hook. `on_batch` (for the Trainer) and `record` (for a hand-written loop)
run after the pass, since in eager mode there is no graph before it to register hooks on; they call
the same function, node by node in the order of hooks.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import checks
from ...errors import GraphError
from ...files import write_atomically
from ...graph.conversion import Array
from ...graph.hooks import Handle
from ...graph.node import GraphNode, Variable
from ..draw import Drawing, inked
from ..inspection import HasParameters
from ..scene.heads import GraphLike, order_of
from ..scene.measure import Stats, measure
from ..scene.readings import Reading
from ..scene.text import alarm, count, gradient_line
from ..scene.words import stats_words
from . import figures
from .naming import layer_kinds, models_of, node_names, parameters_in
from .record import COLUMNS, Record, json_number
from .scrubber import Scrubber

if TYPE_CHECKING:
    from ..figure import Figure

#: at most so many measured arrays are kept, whatever `keep` says; one takes about 300 bytes
MOST_STATS = 100_000


class Watch:
    """The handle that `GradientFlow.watch` returns; `remove()` removes all its hooks."""

    def __init__(self, flow: GradientFlow, handles: Sequence[Handle]) -> None:
        self._flow, self._handles = flow, handles

    def remove(self) -> None:
        """Remove the hooks, and measure the last update of the optimiser."""
        for handle in self._handles:
            handle.remove()
        self._flow.settle()


class GradientFlow:
    """Records gradients, weights and updates of one training run; there are three ways to use it.

        flow = mg.viz.GradientFlow()
        # as a callback:
        mg.Trainer(model, loss, optimizer, mode="replay", callbacks=[flow]).fit(…)
        # in every step of a hand-written loop:
        loss.backward(); flow.record(loss, model); optimizer.step()
        # with hooks, until handle.remove():
        handle = flow.watch(model)

    Steps are backward passes, counted from 0. Every `every`-th is recorded: for each parameter and
    each node of the graph the norm, root mean square, share of exact zeros and number of NaN and
    inf of its gradient, for each parameter the norm of its weights and ‖update‖ / ‖weights‖, where
    the update is the change up to the next step (or the end of the epoch). A step that is not
    recorded costs one check of the loss: the first loss that is not finite is recorded in any case.
    With more than `keep` records, every second one is dropped and `every` doubles. Recording takes
    a few passes over the arrays and a copy of the parameters, and changes nothing.

    Attributes: `records` (list of `Record`), `every` (the current interval), `steps` (passes so
    far), `first_bad` (the first node whose value or gradient was not finite, in words, or None). A
    Trainer stops at a loss that is not finite before it calls callbacks. Raises `ValueError` unless
    `every` ≥ 1 and `keep` ≥ 2.

    >>> w = mg.Variable([1.0, 2.0], name="w")
    >>> flow = mg.viz.GradientFlow(every=1)
    >>> loss = (w * w).sum()
    >>> loss.backward()
    >>> flow.record(loss)
    >>> flow.steps, flow.first_bad
    (1, None)
    """

    def __init__(self, every: int = 10, keep: int = 500) -> None:
        checks.positive("GradientFlow", every=every)
        checks.positive("GradientFlow", 2, keep=keep)
        self.every, self.keep = int(every), int(keep)
        self.steps = 0
        self._records: list[Record] = []
        self._kinds: dict[str, str] = {}
        self._parameters: dict[str, Variable] = {}
        self._names: dict[int, str] = {}
        self._latest = Record(0)
        self._head: GraphNode | None = None  # of the latest recorded graph
        #: the parameters at the latest record, until its update is known
        self._before: dict[str, Array] = {}
        self._open: Record | None = None  # the record of the current pass
        self._bad_step: int | None = None
        self._bad_value = self._bad_grad = ""

    # ---------------- three ways to observe a backward pass
    def on_batch(self, trainer: Any, graph: Any) -> None:
        """Called by the Trainer after each backward pass, before the step."""
        self._pass(graph.head, lambda: graph.order, trainer.model)

    def __call__(self, trainer: Any, history: Any) -> None:
        """Called by the Trainer after each epoch, when the last update is known."""
        self.settle()

    def record(self, loss: GraphLike, model: HasParameters | None = None) -> None:
        """Record one backward pass: call it in every step between `backward()` and the optimiser.

        `loss` is the head of the backward pass, or its `Graph`; parameters are those of `model`
        (anything with `named_parameters()`), by default those of the modules that made the graph,
        and its other variables. Raises `GraphError` without a backward pass, `TypeError` for
        anything but a graph.
        """
        head = getattr(loss, "head", loss)
        if not isinstance(head, GraphNode):
            raise TypeError(
                f"GradientFlow.record: a {type(loss).__name__}; a node or a Graph was expected"
            )
        if head.grad is None:
            raise GraphError(
                f"GradientFlow.record: {head.brief} has no gradient; call its backward() first"
            )
        self._pass(head, lambda: order_of(loss, "GradientFlow.record"), model)

    def watch(self, target: GraphLike | HasParameters) -> Watch:
        """Register backward hooks on a graph or a module; returns a handle with `remove()`.

        The nodes of a graph (given as its head or `Graph`) must run again (`Graph.forward`,
        `Graph.backward`). A module is watched in all graphs that it makes: the gradients of its own
        and its inner modules' outputs and of the parameters are recorded. Raises `TypeError` for
        anything else.
        """
        top: Any = target
        watched: list[tuple[str, Any]] = []
        if callable(getattr(top, "named_modules", None)) and hasattr(top, "register_backward_hook"):
            models, parameters = [top], dict(top.named_parameters())
            for name, module in top.named_modules():
                kind = type(module).__name__
                watched.append((f"{name} · {kind}" if name else kind, module))
            watched += parameters.items()
        else:
            order = order_of(top, "GradientFlow.watch")
            top, models, parameters = order[-1], models_of(order), parameters_in(order)
            watched = list(zip(node_names(order, parameters), order, strict=True))
        self._kinds.update(layer_kinds(models))
        pass_ = _Pass(self, parameters)
        handles = [top.register_forward_hook(pass_.forward)]
        handles += [each.register_backward_hook(pass_.hook(name)) for name, each in watched]
        return Watch(self, handles)

    def _pass(self, head: GraphNode, order: Callable[[], Sequence[GraphNode]], model: Any) -> None:
        """Record a finished pass, if it is due: what hooks would have recorded."""
        if not self._begin(head):
            return
        nodes = order()
        self._head = nodes[-1]
        self._take(parameters_in(nodes, model))
        self._kinds.update(layer_kinds([model] if model is not None else models_of(nodes)))
        names = node_names(nodes, self._parameters)
        for name, node in zip(reversed(names), reversed(nodes), strict=True):
            self._gradient(name, node, node.grad)
        self._close()

    # ---------------- recording
    def _begin(self, head: GraphNode) -> bool:
        """Begin a pass; returns whether to record it."""
        self.settle()
        step, self.steps = self.steps, self.steps + 1
        new = self._bad_step is None and head.size == 1 and not np.isfinite(head.value).all()
        loss = float(head.item()) if head.size == 1 else math.nan
        self._open = Record(step, loss) if new or step % self.every == 0 else None
        return self._open is not None

    def _take(self, parameters: dict[str, Variable]) -> None:
        """Record the norms of the weights and keep copies, to measure the update later."""
        assert self._open is not None
        self._parameters, self._latest = parameters, self._open
        self._names = {id(parameter): name for name, parameter in parameters.items()}
        self._before = {name: parameter.value.copy() for name, parameter in parameters.items()}
        self._open.weights = {
            name: _length(parameter.value) for name, parameter in parameters.items()
        }

    def _gradient(self, name: str, node: GraphNode, grad: Array | None) -> None:
        """Record one gradient of the current pass; they come from the loss to the leaves."""
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
        if node.dtype.kind == "f" and not np.isfinite(node.value).all():
            # overwritten until the end of the pass: the last one was computed first
            self._bad_step, self._bad_value = step, f"{name}, value {alarm(measure(node.value))}"
        if grad is not None and not self._bad_grad and not np.isfinite(grad).all():
            self._bad_step, self._bad_grad = step, f"{name}, gradient {alarm(measure(grad))}"

    def _close(self) -> None:
        """End the current pass: keep its record; of too many records drop every second one."""
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
        """Measure the update since the latest recorded step, unless that is done already."""
        self._close()
        before, self._before = self._before, {}
        for name, old in before.items():
            weight = self._latest.weights[name]
            with np.errstate(all="ignore"):  # NaN for weights that are not finite
                change = _length(self._parameters[name].value - old)
            self._latest.ratios[name] = change / weight if weight > 0 else np.nan

    # ---------------- results
    @property
    def records(self) -> list[Record]:
        """The records, oldest first."""
        self._close()  # hooks do not tell the end of a pass
        return self._records

    @property
    def first_bad(self) -> str | None:
        """The first node with NaN or inf in words: step, node, and whether value or gradient.

        Values come before gradients, those of inputs before those of their users. Hooks see only
        nodes with a gradient; the two other ways see data, too.
        """
        found = self._bad_value or self._bad_grad
        return f"step {self._bad_step}: {found}" if found else None

    def to_dict(self) -> dict[str, Any]:
        """All records, ready for JSON (NaN and inf become None)."""
        found: dict[str, Any] = {
            "every": self.every,
            "steps": self.steps,
            "first_bad": self.first_bad,
            "records": [],
        }
        for record in self.records:
            rows: dict[str, Any] = {"step": record.step, "parameters": {}, "nodes": {}}
            for kind, name, numbers in record.rows():
                rows[f"{kind}s"][name] = {key: json_number(x) for key, x in numbers.items()}
            found["records"].append(rows)
        return found

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Write a row for each parameter and node of each recorded step, atomically."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for record in self.records:
            for kind, name, numbers in record.rows():
                writer.writerow(
                    [record.step, kind, name, *("" if x is None else x for x in numbers.values())]
                )
        write_atomically(Path(path), text.getvalue().encode())

    def __repr__(self) -> str:
        return (
            f"<GradientFlow: {count(len(self.records), 'record')} of {count(self.steps, 'step')}>"
        )

    # ---------------- pictures
    def heat(self, *, theme: str | None = None) -> Figure:
        """Layer × step: the darker, the larger the gradient norm; below each layer its alarms.

        A layer is a module with parameters of its own (or a single parameter), its gradient that of
        all of them. Glyphs: ∅ exactly zero, ▽ vanished (rms below 1e-6), △ exploded (rms above
        100), ✖ NaN, ▲ inf. `theme` as in `draw`. Raises `GraphError` without records.
        """
        return figures.heat(self._shown("heat"), self._kinds, theme)

    def ratios(self, *, theme: str | None = None) -> Figure:
        """‖update‖ / ‖weights‖ of each parameter over the steps, on a log scale.

        Updates are those that the optimiser made. The band from 1e-4 to 1e-2 is the rule of thumb:
        "a rough heuristic is that this ratio should be somewhere around 1e-3" (Karpathy, CS231n
        course notes, "Neural Networks Part 3: Ratio of weights:updates"). Raises `GraphError`
        without records.
        """
        return figures.ratios(self._shown("ratios"), theme)

    def draw(self, graph: GraphLike, step: int | None = None) -> Drawing:
        """Draw `graph` with the gradients of a recorded step, by default the latest.

        The graph (a head or a `Graph`) must be built like the recorded one: nodes are identified by
        their index in the order and their label. Values above the lines are the current ones.
        Raises `ValueError` for a step that was not recorded, `GraphError` for another graph.
        """
        order = order_of(graph, "GradientFlow.draw")
        record = self._at(step)
        names = node_names(order, parameters_in(order) | self._parameters)
        unknown = [name for name in record.nodes if name not in names]
        if unknown:
            raise GraphError(
                f"GradientFlow.draw: step {record.step} has {unknown[0]}, which is no node of "
                f"this graph"
            )
        readings = {}
        for name, node in zip(names, order, strict=True):
            if (stats := record.nodes.get(name)) is not None:
                words = f"gradient {stats_words(stats)} at step {record.step}"
                readings[id(node)] = Reading(gradient_line(stats), stats.state, stats.step, words)
        return inked(graph, readings, title=f"Gradients at step {record.step}")

    def play(self, graph: GraphLike | None = None) -> Scrubber:
        """Draw `graph`, by default the latest that was recorded, with a slider over all records.

        Each step has its gradients as ink and below the lines; beside them is the loss. Raises
        `GraphError` without records, and where only hooks on modules recorded.
        """
        graph = self._head if graph is None else graph
        if graph is None or not self.records:
            raise GraphError(
                "GradientFlow.play: no graph was recorded; use record(loss) or the Trainer's "
                "callbacks, or give the graph"
            )
        order = order_of(graph, "GradientFlow.play")
        names = node_names(order, parameters_in(order) | self._parameters)
        return Scrubber(self.draw(graph), self.records, names)

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
    """The hooks of one graph or module, which detect where a backward pass begins.

    A new pass begins after a forward pass, or with a node that the current pass has seen already.
    """

    def __init__(self, flow: GradientFlow, parameters: dict[str, Variable]) -> None:
        self._flow, self._parameters = flow, parameters
        self._fresh, self._seen = True, set[tuple[str, int]]()

    def forward(self, node: GraphNode, value: Array) -> None:
        self._fresh = True

    def hook(self, name: str) -> Callable[[GraphNode, Array], None]:
        def gradient(node: GraphNode, grad: Array) -> None:
            key = name, id(node)  # a node may be the output of several nested modules
            if self._fresh or key in self._seen:
                self._fresh = False
                self._seen.clear()
                if self._flow._begin(node):
                    self._flow._take(self._parameters)
            self._seen.add(key)
            self._flow._gradient(name, node, grad)

        return gradient


def _length(array: Array) -> float:
    return float(np.linalg.norm(array.astype(np.float64).ravel()))


def _free(name: str, taken: dict[str, Stats]) -> str:
    """The name, numbered if a module was called several times in one pass."""
    number = 2
    free = name
    while free in taken:
        free, number = f"{name} ({number})", number + 1
    return free
