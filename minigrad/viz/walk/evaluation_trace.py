"""`trace`: the evaluation of a graph as a table, as the literature on automatic differentiation
writes it.

Forward primal trace and reverse adjoint trace: Griewank & Walther, "Evaluating Derivatives" (2008),
section 1.3; Baydin, Pearlmutter, Radul & Siskind, "Automatic differentiation in machine learning: a
survey" (2018), table 3.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ...graph.node import Constant, GraphNode, Operator
from ..scene.flowed import flowed
from ..scene.heads import heads_of, order_of
from ..scene.measure import Stats, measure
from ..scene.modules import parameter_names, paths_of
from ..scene.steps import scopes
from ..scene.text import count, escape, gradient_line, number, shorten, value_lines
from .formulas import adjoint, formula
from .symbols import Symbol, as_symbol, bar, named, variable, word

MOST_ROWS = 200  # of each half; of more, the first and the last
_MOST_ENTRIES = 4  # of an array that is written out
_MOST_TERMS = 6  # of a sum of contributions
_WIDEST = 60  # columns of text that cells are aligned to; longer ones stick out
_HEADER = ("node", "formula", "value")
_TITLES = ("Forward primal trace", "Reverse adjoint trace")
_STYLE = (
    ".mg-trace{border-collapse:collapse;font-size:.92em;line-height:1.5}"
    ".mg-trace caption{text-align:left;font-weight:bold;padding:.3em 0}"
    ".mg-trace th,.mg-trace td{text-align:left;padding:.15em .9em .15em 0;border-bottom:1px solid "
    "#8886;font-weight:normal}"
    ".mg-trace thead th,.mg-trace th[scope=rowgroup]{font-weight:bold}.mg-trace "
    "td:last-child{white-space:nowrap}"
)


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One line of a trace: what it is about (a node, or its adjoint), how that is computed, and the
    number.
    """

    name: Symbol
    formula: Symbol
    number: str


class TraceRows:
    """Makes the rows of a graph, each when it is asked for; nodes are known by their number in the
    order.
    """

    def __init__(self, order: Sequence[GraphNode], heads: Collection[GraphNode]) -> None:
        self.order, self.gradients = order, flowed(order, heads)
        self.index = {id(node): i for i, node in enumerate(order)}
        self.users: list[list[tuple[int, int]]] = [[] for _ in order]
        for i, node in enumerate(order):
            for slot, x in enumerate(node.inputs):
                self.users[self.index[id(x)]].append((i, slot))
        self._parameters = parameter_names(paths_of(order, scopes(order)))
        self._shared = Counter(filter(None, map(self._own, order)))

    def name(self, i: int) -> Symbol:
        """vᵢ, or the node's own name, with its number where others have that name too."""
        own = self._own(self.order[i])
        if own is None:
            return variable(i)
        return named(own, i if self._shared[own] > 1 or re.fullmatch("v[₀-₉]+", own) else None)

    def _own(self, node: GraphNode) -> str | None:
        return shorten(node.name or self._parameters.get(id(node), "")) or None

    def _as_input(self, x: GraphNode) -> Symbol:
        """The node's name; a number without one is written as it is."""
        if isinstance(x, Constant) and not x.shape and self._own(x) is None:
            return as_symbol(x.item())
        return self.name(self.index[id(x)])

    def forward(self, i: int) -> TraceRow:
        """How node i was computed."""
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
        """How the adjoint of node i came about: the contributions of its users; None for a node
        without a gradient.
        """
        grad = self.gradients.get(id(self.order[i]))
        if grad is None:
            return None
        terms: list[Symbol] = []
        left = 0
        for j, slot in reversed(self.users[i]):
            if len(terms) == _MOST_TERMS:
                left += 1
                continue
            user = self.order[j]
            assert isinstance(user, Operator)
            xs = list(map(self._as_input, user.inputs))
            term = (
                None
                if id(user) not in self.gradients
                else adjoint(user, slot, bar(self.name(j)), self.name(j), xs)
            )
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


class EvaluationTrace:
    """The trace of a graph as it was when `trace` was called; `forward` and `reverse` are its rows.

    In a notebook it shows itself as Markdown with LaTeX, printed as plain text; `html` is a table
    for any page. Above 200 nodes the first and the last are shown.
    """

    def __init__(self, order: Sequence[GraphNode], heads: Collection[GraphNode]) -> None:
        tracer = TraceRows(order, heads)
        pulled = [i for i in reversed(range(len(order))) if id(order[i]) in tracer.gradients]
        self.forward = _rows(range(len(order)), tracer.forward)
        self.reverse = _rows(pulled, tracer.reverse)
        #: what is to be said beside the rows
        self.note = ""
        if not pulled and any(node.requires_grad for node in order):
            self.note = "There are no gradients yet: backward() makes the reverse adjoint trace."
        elif not pulled:
            self.note = "There is no reverse adjoint trace: nothing here depends on a Variable."

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
        halves = self._halves
        cells = [
            (row.name.text, row.formula.text, row.number) for _, rows in halves for row in rows
        ]
        widths = [
            max(min(_columns(cell), _WIDEST) for cell in column)
            for column in zip(_HEADER, *cells, strict=True)
        ]
        lines: list[str] = []
        for title, rows in halves:
            lines += ["", title] if lines else [title]
            for row in (_HEADER, *((row.name.text, row.formula.text, row.number) for row in rows)):
                padded = (
                    cell + " " * (wide - _columns(cell))
                    for cell, wide in zip(row, widths, strict=True)
                )
                lines.append(("  " + "  ".join(padded)).rstrip())
        return "\n".join([*lines, *(["", self.note] if self.note else [])])

    @cached_property
    def html(self) -> str:
        """One table in HTML, with the formulas as plain text; it needs nothing from the page around
        it.
        """
        head = "".join(f'<th scope="col">{title}</th>' for title in _HEADER)
        parts = [
            f"<style>{_STYLE}</style>\n<table "
            f'class="mg-trace">\n<caption>{escape(self._caption)}</caption>'
        ]
        parts.append(f"<thead><tr>{head}</tr></thead>")
        for title, rows in self._halves:
            parts.append(f'<tbody>\n<tr><th scope="rowgroup" colspan="3">{title}</th></tr>')
            for row in rows:
                cells = "".join(
                    f"<td>{escape(cell)}</td>" for cell in (row.formula.text, row.number)
                )
                parts.append(f'<tr><th scope="row">{escape(row.name.text)}</th>{cells}</tr>')
            parts.append("</tbody>")
        return "\n".join([*parts, "</table>\n"])

    @property
    def _caption(self) -> str:
        return ". ".join(filter(None, [f"Trace of {self.forward[-1].name.text}", self.note]))

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


def trace(graph: Any) -> EvaluationTrace:
    """The forward primal trace of a node (or a `Graph`) and, after `backward()`, its reverse
    adjoint trace.

    Nodes are v₀, v₁, … in the order of computation (the numbers that drawings use), or go by their
    own names. A bar marks the adjoint, ∂L/∂vᵢ: the sum of what the users of vᵢ send back. Formulas
    are those of the rules that ran; Σ( ) sums over axes, in an adjoint over those that were
    broadcast. Adjoints are those of the graph's last backward pass, also of a variable whose `grad`
    is the sum over several passes. Raises `TypeError` for anything else.
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


def _value(array: np.ndarray[Any, Any]) -> str:
    return _told(array, lambda stats: " ".join(value_lines(stats)))


def _gradient(array: np.ndarray[Any, Any]) -> str:
    return _told(
        array,
        lambda stats: (
            f"{stats.shape} {gradient_line(stats)}" if stats.shape else gradient_line(stats)
        ),
    )


def _told(array: np.ndarray[Any, Any], brief: Callable[[Stats], str]) -> str:
    if array.shape and 0 < array.size <= _MOST_ENTRIES:
        return _written_out(array)
    return brief(measure(array))


def _written_out(array: np.ndarray[Any, Any]) -> str:
    if not array.shape:
        return number(float(array))
    return f"[{', '.join(map(_written_out, array))}]"


def _columns(text: str) -> int:
    """How many columns of a terminal the text takes."""
    wide = (
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
    return sum(wide)
