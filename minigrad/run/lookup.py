"""A convolution over rows that were looked up in a table, forward and back, as two calls of kernels
that multiply each distinct row once (`kernels/lookup_conv.py`).

It serves any one-dimensional convolution of stride 1 over an embedding, as in models of text, where
batches repeat their words: a training step of the text-CNN takes 1.75 times as long without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import kernels
from .traced import Assign, Call, Statement, View

Touching = Callable[[Any], list[Statement]]
#: lookup, exchange of axes and convolution; gradient of the convolution, exchange, scatter
Pattern = tuple[Call, Assign, Call, Call, Assign, Call]


def looked_up(statements: Sequence[Statement], touching: Touching) -> list[Statement]:
    """The same program with each lookup and its convolution as one, where nothing else needs the
    arrays between them.

    `touching` gives the statements that read or write the buffer of a view, in their order.
    """
    instead: dict[int, Statement | None] = {}
    for following in zip(statements, statements[1:], statements[2:], strict=False):
        pattern = _pattern(following, touching)
        if pattern is not None:
            instead.update(dict.fromkeys(map(id, pattern)))
            instead[id(pattern[2])], instead[id(pattern[3])] = _as_one(*pattern)
    made = (instead.get(id(s), s) for s in statements)
    return [s for s in made if s is not None]


def _calls(s: Statement, kernel: Any) -> bool:
    return isinstance(s, Call) and s.kernel is kernel


def _pattern(following: tuple[Statement, ...], touching: Touching) -> Pattern | None:
    """The six statements, of which these three may be the last."""
    pull, turn_back, scatter = following
    if not (isinstance(pull, Call) and pull.kernel is kernels.conv.backward):
        return None
    x, gx, d = pull.args[1], pull.args[4], pull.args[-1]
    turn = touching(x)[0]
    if not (isinstance(turn, Assign) and isinstance(turn.value, View) and isinstance(gx, View)):
        return None
    if not (isinstance(turn_back, Assign) and kernels.lookup_conv.suits(d)):
        return None
    gather, convolve = touching(turn.value)[0], touching(x)[1]
    between = (
        (turn.value, [gather, turn]),
        (x, [turn, convolve, pull]),
        (gx, [pull, turn_back]),
        (turn_back.target, [turn_back, scatter]),
    )
    fits = (
        all([id(s) for s in touching(view)] == [id(s) for s in those] for view, those in between)
        and all(s.exchanges(1, 2) for s in (turn, turn_back))
        and turn.target.shape == (d.n, d.c, d.w)
        and turn_back.target.shape == (d.n, d.w, d.c)
        and _calls(gather, kernels.embedding.gather)
        and _calls(convolve, kernels.conv.forward)
        and _calls(scatter, kernels.embedding.scatter)
    )
    return (gather, turn, convolve, pull, turn_back, scatter) if fits else None  # type: ignore[return-value]  # as _calls says


def _as_one(
    gather: Call, turn: Assign, convolve: Call, pull: Call, turn_back: Assign, scatter: Call
) -> tuple[Call, Call]:
    """The two calls that stand for the six statements."""
    (table, ids, rows, _), (_, w, b, y, _, _, d, least) = gather.args, convolve.args
    g, gw, gb, grad = pull.args[0], pull.args[5], pull.args[6], scatter.args[2]
    label, index_dtype = rows.buffer.name.partition("_")[0], kernels.rows.index_dtype

    def buffer(name: str, size: int, dtype: Any) -> View:
        view: View = rows.program.buffer(f"{label}_{name}", (size,), dtype)
        return view

    kept = (
        buffer("words", ids.size, index_dtype(len(table))),
        buffer("places", d.n * (d.w + 2 * d.pw), np.int64),
        buffer("count", 1, np.int64),
        buffer("distinct", rows.size, rows.dtype),
    )
    slots, room = buffer("slots", len(table), index_dtype(ids.size)), kernels.lookup_conv.room(d)
    scratch, more = (buffer("scratch", sum(room), rows.dtype) for _ in range(2))
    forth, back = (
        "; ".join(dict.fromkeys(s.note for s in each))
        for each in ((gather, turn, convolve), (pull, turn_back, scatter))
    )
    one, other = kernels.lookup_conv.forward, kernels.lookup_conv.backward
    return (
        Call(one, (table, ids, w, b, y, slots, *kept, scratch, d, least), forth),
        Call(other, (g, w, gw, gb, *kept, more, d, ids, grad), back.replace("; back through", ";")),
    )
