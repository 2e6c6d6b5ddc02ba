"""Errors in a notebook: a picture of what failed, then the user's own lines."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import combinations
from types import TracebackType
from typing import Any

import numpy as np

from ..errors import LINE, DTypeError, Located, of_user
from ..graph.autodiff import topological_sort
from ..graph.node import GraphNode
from ..graph.rule import BroadcastedOperator, Rule
from ..graph.settings import state_kept
from ..nn.module import Module
from .draw import Drawing, picture_of
from .scene.options import Options
from .scene.picture import Box
from .scene.text import shorten

_NODES = 40  # of a larger graph only what lies around the culprit is drawn
_AXES = 24  # which of these do not fit is looked for


def told(error: Located) -> list[str]:
    """What IPython shows of an error, in lines; a notebook shows the culprit before them.

    There frames of libraries are left out, except by `%xmode Verbose`. Whatever goes wrong here,
    the error itself is told.
    """
    from IPython import get_ipython  # it is what calls this

    shell: Any = get_ipython()
    if shell is None:
        return traceback.format_exception(error)
    book, trace = shell.InteractiveTB, error.__traceback__
    lines: list[str] = book.structured_traceback(type(error), error, trace)
    if "image/svg+xml" not in shell.display_formatter.active_types:
        return lines
    with suppress(Exception, KeyboardInterrupt):
        if book.mode != "Verbose" and (mine := _of_user(trace)) is not None:
            lines = book.structured_traceback(type(error), error, mine, tb_offset=0)
            lines.append("(frames of libraries are folded; %xmode Verbose shows them)")
    with suppress(Exception, KeyboardInterrupt):
        drawing = None if error.shown else drawn(error)
        error.shown = True  # IPython asks twice, to show and to store
        if drawing is not None:
            shell.display_pub.publish(drawing._repr_mimebundle_())
    return lines


def _of_user(trace: TracebackType | None) -> TracebackType | None:
    """The traceback with the frames of the user alone; None where there are none."""
    every, mine = [], None
    while trace is not None:
        every.append(trace)
        trace = trace.tb_next
    for each in reversed(every):
        if of_user(each.tb_frame) or "<ipython-" in each.tb_frame.f_code.co_filename:
            mine = TracebackType(mine, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return mine


def drawn(error: Located) -> Drawing | None:
    """The graph up to the node of which an error speaks, marked; None if it speaks of none."""
    head, culprit = _culprit(error.__traceback__)
    order = [] if head is None else topological_sort(head)
    if head is None or len(order) == 1:
        return None
    notes = [note for note in getattr(error, "__notes__", ()) if note.startswith(LINE)]
    title = ": ".join([type(error).__name__, *(note.split(": ", 1)[-1] for note in notes)])
    near: dict[str, Any] = {"bad": True}
    look, words = dict(near), ""
    if isinstance(head, _Failed):
        short, words = head.unfit(error)
        look |= {"lines": (shorten(head.rule.symbol), short), "flows": (), "head": False}

    def dress(box: Box, nodes: Sequence[GraphNode]) -> Box:
        if not any(node is culprit for node in nodes):
            return box
        return replace(box, title=f"{box.title}; {error}", **(look if len(nodes) == 1 else near))

    focus = culprit if len(order) > _NODES else None
    options = Options(title=title, focus=focus, radius=3, dress=dress)
    scene, picture = picture_of(head, None, options)
    return Drawing(scene, replace(picture, note=f"{error}.{words}"))


def _culprit(trace: TracebackType | None) -> tuple[GraphNode | None, GraphNode | None]:
    """The head of the graph to draw, and the node to mark in it, from the variables of frames.

    To record them beforehand would cost every operator time and memory. A graph that runs may hold
    NaN, which its drawing marks by itself.
    """
    frames = [frame for frame, _ in traceback.walk_tb(trace)]
    for frame in reversed(frames):
        if frame.f_code is Rule.apply.__code__:
            seen = frame.f_locals
            failed = _Failed(seen["self"], seen.get("nodes", seen["inputs"]), seen["attributes"])
            calls = [f.f_locals["self"] for f in frames if f.f_code is Module.__call__.__code__]
            failed.scope = tuple(calls)
            return failed, failed
    for seen in (frame.f_locals for frame in reversed(frames) if not of_user(frame)):
        nodes = {x: seen[x] for x in ("head", "node", "self") if isinstance(seen.get(x), GraphNode)}
        if nodes:
            head = next(iter(nodes.values()))
            return head, nodes.get("node", head)
        if "graph" in seen:
            return getattr(seen["graph"], "head", None), None
    return None, None


class _Failed(BroadcastedOperator):
    """Stands for an operator that could not be made: it has inputs, but no value."""

    __slots__ = ()

    def __init__(self, rule: Rule, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> None:
        GraphNode.__init__(self, np.empty(0))
        self.rule, self.attributes, self.plan, self.work = rule, attributes, None, {}
        self.inputs = tuple(x for x in inputs if isinstance(x, GraphNode))
        self.requires_grad = False

    def unfit(self, error: Located) -> tuple[str, str]:
        """What does not fit together in the inputs, for the box and as a sentence.

        Two axes do not fit if the operator would take its inputs where either had the size of the
        other.
        """
        if isinstance(error, DTypeError):
            return " ≠ ".join(dict.fromkeys(str(x.dtype) for x in self.inputs)), ""
        axes = [(i, axis, n) for i, x in enumerate(self.inputs) for axis, n in enumerate(x.shape)]
        for (i, a, m), (j, b, n) in combinations(axes[:_AXES], 2):
            if i != j and m != n and self._fits(i, a, n) and self._fits(j, b, m):
                return (
                    f"{m} ≠ {n}",
                    f" Axis {a} of input {i + 1} has {m} entries, axis {b} of input {j + 1} {n}.",
                )
        return "✖", ""

    def _fits(self, i: int, axis: int, size: int) -> bool:
        """Would the operator take its inputs if this axis of input i had another size?"""
        shapes = [[*x.shape] for x in self.inputs]
        shapes[i][axis] = size
        zeros = [np.zeros((), x.dtype) for x in self.inputs]
        with suppress(Exception), state_kept():
            twins = map(GraphNode, map(np.broadcast_to, zeros, shapes))
            self.rule.plan(*twins, **self.attributes)
            return True
        return False


Located._render_traceback_ = told
