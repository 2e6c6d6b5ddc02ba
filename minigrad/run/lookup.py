"""A lookup in a table, the turning of what was found and a convolution of that, forward and back:
as two calls of kernels that multiply each distinct row once (`kernels/lookup_conv.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import kernels
from .traced import Assign, Call, Statement, View

Touching = Callable[[Any], list[Statement]]


class _Found(NamedTuple):
    """Six statements, three of the way there and three of the way back."""

    gather: Call
    turn: Assign
    convolve: Call
    pull: Call
    turn_back: Assign
    scatter: Call


def looked_up(statements: Sequence[Statement], touching: Touching) -> list[Statement]:
    """The same program with each lookup and its convolution as one, where nothing else needs what
    lies between.

    `touching` gives the statements that read or write the buffer of a view, in their order.
    """
    made = list(statements)
    for found in _all(statements, touching):
        instead = dict.fromkeys(map(id, found))
        instead[id(found.convolve)], instead[id(found.pull)] = _as_one(found)
        made = [s for s in (instead.get(id(s), s) for s in made) if s is not None]
    return made


def _all(statements: Sequence[Statement], touching: Touching) -> Iterator[_Found]:
    for pull, *after in zip(statements, statements[1:], statements[2:], strict=False):
        if (
            isinstance(pull, Call)
            and pull.kernel is kernels.conv.backward
            and isinstance(pull.args[4], View)
        ):
            x, gx = pull.args[1], pull.args[4]
            before = touching(x)[:-1]
            if (
                len(before) == 2
                and isinstance(before[0], Assign)
                and isinstance(before[0].value, View)
            ):
                found = _Found(touching(before[0].value)[0], *before, pull, *after)  # type: ignore[arg-type]
                if _fits(found) and all(
                    [id(s) for s in touching(between)] == [id(s) for s in those]
                    for between, those in (
                        (found.gather.args[2], found[:2]),
                        (x, found[1:4]),
                        (gx, found[3:5]),
                        (after[0].target, found[4:]),
                    )
                ):
                    yield found


def _fits(found: _Found) -> bool:
    """Are these the statements that they are taken for?"""
    gather, turn, convolve, pull, turn_back, scatter = found
    calls = (
        (gather, kernels.embedding.gather),
        (convolve, kernels.conv.forward),
        (scatter, kernels.embedding.scatter),
    )
    if not all(isinstance(s, Call) and s.kernel is kernel for s, kernel in calls):
        return False
    d = pull.args[-1]
    there, back = (d.n, d.c, d.w), (d.n, d.w, d.c)
    turns = (turn, there), (turn_back, back)
    if not all(
        isinstance(s, Assign) and s.target.shape == shape and s.exchanges(1, 2)
        for s, shape in turns
    ):
        return False
    return kernels.lookup_conv.suits(d)


def _as_one(found: _Found) -> tuple[Call, Call]:
    """The two calls that stand for the six statements."""
    gather, turn, convolve, pull, turn_back, scatter = found
    (table, ids, rows, _), (_, w, b, y, _, _, d, least), (_, _, grad) = (
        gather.args,
        convolve.args,
        scatter.args,
    )
    g, _, _, _, _, gw, gb, *_ = pull.args
    label, program = rows.buffer.name.partition("_")[0], rows.program
    index_dtype = kernels.rows.index_dtype

    def buffer(name: str, size: int, dtype: Any) -> View:
        return program.buffer(f"{label}_{name}", (size,), dtype)

    room = sum(kernels.lookup_conv.room(d))
    kept = (
        buffer("words", ids.size, index_dtype(len(table))),
        buffer("places", d.n * (d.w + 2 * d.pw), np.int64),
        buffer("count", 1, np.int64),
        buffer("distinct", rows.size, rows.dtype),
    )
    slots = buffer("slots", len(table), index_dtype(ids.size))
    scratch, more = (buffer("scratch", room, rows.dtype) for _ in range(2))
    notes = (gather.note, turn.note, convolve.note), (pull.note, turn_back.note, scatter.note)
    forth, back = ("; ".join(dict.fromkeys(each)) for each in notes)
    return (
        Call(
            kernels.lookup_conv.forward,
            (table, ids, w, b, y, slots, *kept, scratch, d, least),
            forth,
        ),
        Call(
            kernels.lookup_conv.backward,
            (g, w, gw, gb, *kept, more, d, ids, grad),
            back.replace("; back through", ";"),
        ),
    )
