"""`pooling_winners`: the entry of each window that a max pooling chose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...graph.conversion import Array
from ...graph.node import GraphNode
from ...graph.rule import Operator
from ..inspection import need_index, need_rule
from ..plots import INK, figure
from ..scene.text import count, number
from .maps import NOTE, Scale, cells, fill, mark_negative, outline

if TYPE_CHECKING:
    from ..figure import Figure

_PICTURE = 3.6  # inches


def pooling_winners(
    node: GraphNode, sample: int = 0, channel: int = 0, *, theme: str | None = None
) -> Figure:
    """Draw the input of a max pooling with its windows and their winners, and the result.

    `node` is a max_pool2d or max_pool1d node. A ring (in 1-D a triangle) marks the largest entry of
    a window, which gets its gradient; a dot marks the first of several equal ones, as in a window
    of zeros. `.numbers` has the channel of the input, `"input"`, the places `"rows"` and
    `"columns"` of the winners in it, `"tied"` and the result, `"pooled"`. `theme` as in `draw`.
    Raises `TypeError` or `ValueError` for another node, `ValueError` for a sample or channel out of
    range.

    >>> y = mg.max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)
    >>> mg.viz.pooling_winners(y).numbers["rows"].tolist()
    [[1, 1], [3, 3]]
    """
    node = need_rule("pooling_winners", node, ("max_pool1d", "max_pool2d"))
    n = need_index("pooling_winners", "sample", sample, node.shape[0])
    c = need_index("pooling_winners", "channel", channel, node.shape[1])
    d = node.plan
    given = node.inputs[0].value.reshape(-1, d.h, d.w)[n * node.shape[1] + c]
    pooled = node.value.reshape(-1, d.oh, d.ow)[n * node.shape[1] + c]
    rows, columns = np.divmod(node.work["winners"][n * node.shape[1] + c], d.w)
    tied = _tied(given, pooled, d)
    made = (_strip if node.ndim == 3 else _planes)(
        node, given, pooled, (rows, columns, tied), theme
    )
    windows = f"{d.kh} × {d.kw}" if node.ndim == 4 else str(d.kw)
    made.description = (
        f"Max pooling of sample {n}, channel {c}: {' × '.join(map(str, node.inputs[0].shape[2:]))} "
        f"numbers, "
        f"{count(pooled.size, 'window')} of {windows}. The winner of each is marked; "
        f"in {count(int(tied.sum()), 'window')} it is only the first of equals. Largest "
        f"{number(float(pooled.max()))}."
    )
    made.numbers = {
        "input": given.copy(),
        "pooled": pooled.copy(),
        "rows": rows,
        "columns": columns,
        "tied": tied,
    }
    return made


def _windows(d: Any) -> list[tuple[int, int, int, int]]:
    """Top, bottom, left and right of each window, without padding, row by row."""
    tops, lefts = np.arange(d.oh) * d.sh - d.ph, np.arange(d.ow) * d.sw - d.pw
    return [
        (max(0, int(t)), min(d.h, int(t) + d.kh), max(0, int(left)), min(d.w, int(left) + d.kw))
        for t in tops
        for left in lefts
    ]


def _tied(given: Array, pooled: Array, d: Any) -> Array:
    """Whether several entries of a window share the largest value."""
    shared = [
        (given[top:bottom, left:right] == best).sum() > 1
        for (top, bottom, left, right), best in zip(_windows(d), pooled.ravel(), strict=True)
    ]
    return np.array(shared).reshape(pooled.shape)


def _planes(
    node: Operator,
    given: Array,
    pooled: Array,
    winners: tuple[Array, Array, Array],
    theme: str | None,
) -> Figure:
    d, scale, (rows, columns, tied) = node.plan, Scale.of(given), winners
    side = _PICTURE / max(given.shape)
    small = min(_PICTURE / max(pooled.shape), side * max(d.sh, d.sw))
    widths = given.shape[1] * side + 0.3, max(pooled.shape[1] * small, 1.6) + 0.8
    tall = max(given.shape[0] * side, pooled.shape[0] * small) + 0.9
    with figure(sum(widths), max(tall, 1.8), theme=theme) as made:
        left, right = made.subplots(1, 2, width_ratios=widths)
        cells(left, given, scale, "input, its windows and their winners")
        image = cells(right, pooled, scale, "pooled")
        mark_negative(left, given, 0, 0, scale, (1, 1), (side, side))
        fill(right, pooled, 0, 0, scale, (1, 1), (small, small))
        for ax in (left, right):
            ax.set(aspect="equal", anchor="NW")
            ax.axis("off")
        for a, b, l, r in _windows(d):
            outline(left, l, a, r - l, b - a, color=INK["line"], linewidth=0.5)
        size = min(7.0, side * 72 * 0.75)
        first: dict[str, Any] = {"marker": ".", "markersize": size * 0.45, "color": INK["muted"]}
        ring = {"marker": "o", "markersize": size, "fillstyle": "none", "color": INK["gradient"]}
        ring |= {"markeredgewidth": min(1.6, size / 4)}
        for chosen, look in ((tied, first), (~tied, ring)):
            left.plot(columns[chosen] + 0.5, rows[chosen] + 0.5, linestyle="none", **look)
        made.colorbar(image, ax=right, shrink=0.6, anchor=(0, 1), panchor=False).ax.grid(False)
        note = "○ winner of its window; · the first of equals, as in a window of zeros"
        made.supxlabel(note, fontsize=NOTE, color=INK["muted"], x=0.01, ha="left")
    return made


def _strip(
    node: Operator,
    given: Array,
    pooled: Array,
    winners: tuple[Array, Array, Array],
    theme: str | None,
) -> Figure:
    """A sequence as bars with windows as stripes, winners under triangles; the result below."""
    _, columns, tied = (a[0] for a in winners)
    values, largest = given[0], pooled[0]
    span = float(np.ptp(values)) or 1.0
    with figure(9.4, 4.2, theme=theme) as made:
        upper, lower = made.subplots(2, 1, height_ratios=(2, 1))
        for i, (_, _, left, right) in enumerate(_windows(node.plan)):
            upper.axvspan(
                left - 0.5,
                right - 0.5,
                color=INK["frame"],
                alpha=0.35 if i % 2 else 0.1,
                linewidth=0,
            )
        upper.bar(np.arange(values.size), values, width=0.8, color=INK["line"])
        upper.bar(columns[~tied], values[columns[~tied]], width=0.8, color=INK["variable"])
        over = values[columns] + 0.06 * span
        dots: dict[str, Any] = {"linestyle": "none"}
        upper.plot(
            columns[~tied],
            over[~tied],
            marker="v",
            color=INK["variable"],
            label="winner of its window",
            **dots,
        )
        if tied.any():
            upper.plot(
                columns[tied],
                over[tied],
                marker=".",
                color=INK["muted"],
                label="the first of equals",
                **dots,
            )
        upper.set_title("input, its windows and their winners")
        upper.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
        lower.bar(np.arange(largest.size), largest, width=0.8, color=INK["variable"])
        lower.set_title("pooled")
        for ax, size in ((upper, values.size), (lower, largest.size)):
            ax.set_xlim(-0.5, size - 0.5)
            ax.grid(False, axis="x")
        upper.set_xlabel("place in the sequence")
        lower.set_xlabel("window")
    return made
