"""`trace`: the evaluation trace of a graph, as in the literature on automatic differentiation.

Forward primal trace and reverse adjoint trace: Griewank & Walther, "Evaluating Derivatives" (2008),
section 1.3; Baydin, Pearlmutter, Radul & Siskind, "Automatic differentiation in machine learning: a
survey" (2018), table 3.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ...graph.conversion import Array
from ...graph.node import Constant, GraphNode
from ...graph.rule import Operator
from ..scene.flowed import Flowed
from ..scene.heads import GraphLike, heads_of, order_of
from ..scene.measure import measure
from ..scene.modules import parameter_names, paths_of
from ..scene.text import count, gradient_line, number, shorten, value_lines
from ..tables import aligned
from .formulas import adjoint, formula
from .symbols import Symbol, as_symbol, bar, named, variable, word

MOST_ROWS = 200  # of each half; of more, the first and the last are shown
_MOST_ENTRIES = 4  # larger arrays are not written out
_MOST_TERMS = 6  # of a sum of contributions
_WIDEST = 60  # longer cells of text do not widen their column
_HEADER = ("node", "formula", "value")
_TITLES = ("Forward primal trace", "Reverse adjoint trace")


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One row of a trace: the name of a node or of its adjoint, its formula and its value."""

    name: Symbol
    formula: Symbol
    number: str


class TraceRows:
    """Makes the rows of a graph one by one; nodes are given by their index in the order."""

    def __init__(self, order: Sequence[GraphNode], heads: Collection[GraphNode]) -> None:
        self.order, self.gradients = order, Flowed(order, heads).nodes
        self.index = {id(node): i for i, node in enumerate(order)}
        self.users: list[list[tuple[int, int]]] = [[] for _ in order]
        for i, node in enumerate(order):
            for slot, x in enumerate(node.inputs):
                self.users[self.index[id(x)]].append((i, slot))
        self._parameters = parameter_names(paths_of(order))
        self._shared = Counter(filter(None, map(self._own, order)))

    def name(self, i: int) -> Symbol:
        """vᵢ, or the node's own name, with its index if the name is not unique."""
        own = self._own(self.order[i])
        if own is None:
            return variable(i)
        return named(own, i if self._shared[own] > 1 or re.fullmatch("v[₀-₉]+", own) else None)

    def _own(self, node: GraphNode) -> str | None:
        return shorten(node.name or self._parameters.get(id(node), "")) or None

    def _as_input(self, x: GraphNode) -> Symbol:
        """The node's name; a constant number without a name is written out."""
        if isinstance(x, Constant) and not x.shape and self._own(x) is None:
            return as_symbol(x.item())
        return self.name(self.index[id(x)])

    def forward(self, i: int) -> TraceRow:
        """The row of node i."""
        node = self.order[i]
        if not isinstance(node, Operator):
            return TraceRow(
                self.name(i),
                word("constant" if isinstance(node, Constant) else "variable"),
                _value(node.value),
            )
        return TraceRow(
            self.name(i),
            formula(node, self.name(i), list(map(self._as_input, node.inputs))),
            _value(node.value),
        )

    def reverse(self, i: int) -> TraceRow | None:
        """The row of the adjoint of node i, the sum over its users; None without a gradient."""
        grad = self.gradients.get(id(self.order[i]))
        if grad is None:
            return None
        terms: list[Symbol] = []
        left = 0
        for j, slot in reversed(self.users[i]):
            if len(terms) == _MOST_TERMS:
                left += 1
                continue
            term = self.term(j, slot)
            terms += [] if term is None else [term]
        if left:
            terms.append(word(f"… {count(left, 'further use')}"))
        total = (
            sum(terms[1:], terms[0])
            if terms
            else as_symbol(1)
            if _value(grad) == "1"
            else word("seed")
        )
        return TraceRow(bar(self.name(i)), total, _gradient(grad))

    def term(self, j: int, slot: int) -> Symbol | None:
        """What node j gives to the adjoint of one of its inputs; None without a gradient."""
        user = self.order[j]
        if not isinstance(user, Operator) or id(user) not in self.gradients:
            return None
        xs = list(map(self._as_input, user.inputs))
        return adjoint(user, slot, bar(self.name(j)), self.name(j), xs)


class EvaluationTrace:
    """The trace of a graph as of the call of `trace`; `forward` and `reverse` are its rows.

    A notebook shows Markdown with LaTeX, `print` plain text. Of more than 200 nodes the first and
    the last are shown.

    >>> w = mg.Variable(2.0, name="w")
    >>> trace = mg.viz.trace(w * w)
    >>> trace
    <Trace of v₁: 2 rows, 0 back>
    """

    def __init__(self, order: Sequence[GraphNode], heads: Collection[GraphNode]) -> None:
        tracer = TraceRows(order, heads)
        reached = [i for i in reversed(range(len(order))) if id(order[i]) in tracer.gradients]
        self.forward = _rows(range(len(order)), tracer.forward)
        self.reverse = _rows(reached, tracer.reverse)
        #: a remark below the rows
        self.note = ""
        if not reached and any(node.requires_grad for node in order):
            self.note = "There are no gradients yet: backward() makes the reverse adjoint trace."
        elif not reached:
            self.note = "There is no reverse adjoint trace: no node depends on a Variable."

    @property
    def _halves(self) -> list[tuple[str, tuple[TraceRow, ...]]]:
        halves = zip(_TITLES, (self.forward, self.reverse), strict=True)
        return [(title, rows) for title, rows in halves if rows]

    @cached_property
    def markdown(self) -> str:
        """Tables for GitHub and Jupyter, formulas in LaTeX."""
        parts = []
        for title, rows in self._halves:
            lines = [" | ".join(_HEADER), "--- | --- | ---"]
            lines += [f"${row.name.latex}$ | ${row.formula.latex}$ | {row.number}" for row in rows]
            parts.append("\n".join([f"**{title}**", "", *(f"| {line} |" for line in lines)]))
        return "\n\n".join([*parts, *filter(None, [self.note])])

    @cached_property
    def text(self) -> str:
        """Aligned plain text."""
        halves = [
            [_HEADER, *((row.name.text, row.formula.text, row.number) for row in rows)]
            for _, rows in self._halves
        ]
        table = iter(aligned([row for half in halves for row in half], left=3, most=_WIDEST))
        parts = [
            "\n".join([title, *(f"  {next(table)}" for _ in half)])
            for (title, _), half in zip(self._halves, halves, strict=True)
        ]
        return "\n\n".join([*parts, *filter(None, [self.note])])

    def _repr_markdown_(self) -> str:
        return self.markdown

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": self.text, "text/markdown": self.markdown}

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return (
            f"<Trace of {self.forward[-1].name.text}: {count(len(self.forward), 'row')}, "
            f"{len(self.reverse)} back>"
        )


def trace(graph: GraphLike | Sequence[GraphNode]) -> EvaluationTrace:
    """The forward primal trace of a node or a `Graph`, after `backward()` also the reverse trace.

    Nodes are v₀, v₁, … in the order of computation (the numbers in drawings), or have their own
    names. A bar marks the adjoint, ∂L/∂vᵢ: the sum of the contributions of the users of vᵢ.
    Formulas are those of the rules; Σ( ) sums over axes, in an adjoint over broadcast axes.
    Adjoints are those of the last backward pass of the graph, even of a variable whose `grad` is
    the sum over several passes. Raises `TypeError` for anything else.

    >>> x = mg.Variable(2.0, name="x")
    >>> y = x * x
    >>> y.backward()
    >>> print(mg.viz.trace(y))
    Forward primal trace
      node  formula      value
      x     variable     2
      v₁    x²           4
    <BLANKLINE>
    Reverse adjoint trace
      node  formula      value
      v̄₁    1            1
      x̄     v̄₁·x + v̄₁·x  4
    """
    return EvaluationTrace(
        order_of(graph, "trace", several=True), heads_of(graph, "trace", several=True)
    )


def _rows(numbers: Sequence[int], row: Callable[[int], TraceRow | None]) -> tuple[TraceRow, ...]:
    left = len(numbers) - MOST_ROWS
    if left <= 0:
        return tuple(made for made in map(row, numbers) if made is not None)
    half = MOST_ROWS // 2
    gap = TraceRow(Symbol("⋮", r"\vdots"), word(f"{count(left, 'row')} left out"), "")
    return (*_rows(numbers[:half], row), gap, *_rows(numbers[-half:], row))


def _value(array: Array) -> str:
    return _written_out(array) or " ".join(value_lines(measure(array)))


def _gradient(array: Array) -> str:
    stats = measure(array)
    shape = f"{stats.shape} " if stats.shape else ""
    return _written_out(array) or f"{shape}{gradient_line(stats)}"


def _written_out(array: Array) -> str:
    """The entries of a small array in brackets; empty for numbers and large arrays."""
    return _entries(array) if array.shape and 0 < array.size <= _MOST_ENTRIES else ""


def _entries(array: Array) -> str:
    if not array.shape:
        return number(float(array))
    return f"[{', '.join(map(_entries, array))}]"
