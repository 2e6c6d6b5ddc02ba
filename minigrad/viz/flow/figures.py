"""The figures of `GradientFlow`: the heat map of gradient norms with alarms, the update ratios."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import plots
from ..plots import INK
from ..scene.measure import EXPLODED, VANISHED, Stats, pooled
from ..scene.text import GLYPHS, count, number
from .naming import layers, norm
from .record import Record

if TYPE_CHECKING:
    from ..figure import Figure

#: the meaning of the glyphs, in the order of a legend
ALARMS = {
    "zero": "exactly zero",
    "vanished": f"vanished, rms < {VANISHED:.0e}",
    "exploded": f"exploded, rms > {EXPLODED:g}",
    "nan": "NaN",
    "inf": "inf",
}
RULE_OF_THUMB = (1e-4, 1e-3, 1e-2)
_WORST = ("normal", "none", "vanished", "zero", "exploded", "inf", "nan")
_GLYPHS = 40  # at most for a layer: of more steps, neighbours share one
_LABELS = 24  # of lines, at most


def heat(records: Sequence[Record], kinds: Mapping[str, str], theme: str | None) -> Figure:
    """See `GradientFlow.heat`; `kinds` maps a layer to its class."""
    steps = [record.step for record in records]
    names = {name: None for record in records for name in record.weights}
    rows = {
        layer: [_together(record, members) for record in records]
        for layer, members in layers(names).items()
        if any(name in record.parameters for record in records for name in members)
    }
    labels = [f"{layer} · {kinds[layer]}" if layer in kinds else layer for layer in rows]
    norms = np.array([[norm(cell) if cell else np.nan for cell in row] for row in rows.values()])
    states = [[cell.judged if cell else "none" for cell in row] for row in rows.values()]
    height = min(14.0, 1.45 + max(1.0, 0.44 * len(rows)))
    with plots.figure(9.6, height, "Gradient norm of each layer over training", theme) as made:
        ax = made.subplots()
        strips = _strips(ax, steps, norms)
        _lanes(ax, steps, states)
        _sides(ax, labels, norms, states)
        if strips is not None:
            _scale(made, ax, strips)
        made.supxlabel(_legend(states), fontsize=9, color=INK["muted"], x=0.01, ha="left")
        made.description = _heat_words(labels, steps, norms, states)
        made.numbers = {"step": np.array(steps), **dict(zip(rows, norms, strict=True))}
    return made


def _together(record: Record, members: Iterable[str]) -> Stats | None:
    parts = [record.parameters[name] for name in members if name in record.parameters]
    return pooled(parts) if parts else None


def _edges(steps: Sequence[int]) -> np.ndarray[Any, Any]:
    """The boundaries of the columns, halfway between the steps."""
    if len(steps) == 1:
        return np.array([steps[0] - 0.5, steps[0] + 0.5])
    x = np.array(steps, float)
    half = np.diff(x) / 2
    return np.concatenate([[x[0] - half[0]], x[:-1] + half, [x[-1] + half[-1]]])


def _strips(ax: Any, steps: Sequence[int], norms: np.ndarray[Any, Any]) -> Any:
    """A coloured strip for each layer, with room below for alarms; None without positive norms."""
    from matplotlib.colors import Normalize

    edges = _edges(steps)
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(len(norms), -0.04)
    usable = np.isfinite(norms) & (norms > 0)
    if not usable.any():
        return None
    logs = np.log10(np.where(usable, norms, 1.0))
    low, high = math.floor(logs[usable].min()), math.ceil(logs[usable].max())
    high = max(high, low + 2)  # keeps noise within a decade from looking like a change
    scale = Normalize(low - (high - low) / 5, high)  # white is reserved for missing norms
    strips = None
    for i, (row, mask) in enumerate(zip(logs, ~usable, strict=True)):
        cells = np.ma.masked_array(row[None], mask[None])
        strips = ax.pcolormesh(
            edges,
            [i, i + 0.62],
            cells,
            norm=scale,
            cmap=plots.colours("gradient"),
            rasterized=True,
            zorder=2,
        )
        ax.plot(
            edges[[0, -1, -1, 0, 0]],
            [i, i, i + 0.62, i + 0.62, i],
            color=INK["frame"],
            lw=0.8,
            ls="-",
            zorder=3,
        )
    return strips


def _lanes(ax: Any, steps: Sequence[int], states: Sequence[Sequence[str]]) -> None:
    """Below each strip, a glyph for every alarm; of too many, neighbours share the worst."""
    places = _edges(steps)
    groups = np.array_split(np.arange(len(steps)), min(_GLYPHS, len(steps)))
    for i, row in enumerate(states):
        for group in groups:
            worst = max((row[j] for j in group), key=_WORST.index)
            if worst in GLYPHS:
                x = (places[group[0]] + places[group[-1] + 1]) / 2
                ax.text(
                    x,
                    i + 0.77,
                    GLYPHS[worst],
                    ha="center",
                    va="center",
                    fontsize=8,
                    color=INK["bad"],
                )


def _sides(
    ax: Any, labels: Sequence[str], norms: np.ndarray[Any, Any], states: Sequence[Sequence[str]]
) -> None:
    """Names on the left, the last norm on the right, steps below; not all of very many layers."""
    every = -(-len(labels) // 60)
    shown = range(0, len(labels), every)
    size = 9 if len(labels) <= 30 else 6
    ax.set_yticks(
        [i + 0.31 for i in shown],
        [plots.plain(labels[i]) for i in shown],
        fontsize=size,
        color=INK["fg"],
    )
    ax.tick_params(axis="y", length=0)
    for i in shown:
        text = number(norms[i][-1], 2) if np.isfinite(norms[i][-1]) else ""
        glyph = GLYPHS.get(states[i][-1], "")
        ax.text(
            1.008,
            i + 0.31,
            f"{text} {glyph}".strip(),
            transform=ax.get_yaxis_transform(),
            va="center",
            fontsize=size,
        )
    ax.text(
        1.008,
        -0.12,
        "last",
        transform=ax.get_yaxis_transform(),
        va="bottom",
        fontsize=8,
        color=INK["muted"],
    )
    ax.set_xlabel("step")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.grid(False)
    ax.spines[["left", "bottom"]].set_visible(False)


def _scale(made: Any, ax: Any, strips: Any) -> None:
    """The colour bar beside the strips, with ticks at whole decades."""
    low, high = math.ceil(strips.norm.vmin), math.floor(strips.norm.vmax)
    bar = made.colorbar(strips, ax=ax, pad=0.075, aspect=max(9.0, 5 * made.get_size_inches()[1]))
    gap = -(-(high - low + 1) // 6)
    ticks = range(high, low - 1, -gap)
    bar.set_ticks(list(ticks), labels=[f"$10^{{{tick}}}$" for tick in ticks])
    bar.ax.set_ylim(low if low < high else low - 1, high)
    bar.outline.set_edgecolor(INK["frame"])
    bar.set_label("‖∂L/∂(layer)‖")


def _legend(states: Sequence[Sequence[str]]) -> str:
    seen = {state for row in states for state in row}
    items = [f"{GLYPHS[state]} {words}" for state, words in ALARMS.items() if state in seen]
    return (
        "    ".join(items) if items else "no alarms: nothing zero, vanished, exploded or not finite"
    )


def _heat_words(
    labels: Sequence[str], steps: Sequence[int], norms: Any, states: Sequence[Sequence[str]]
) -> str:
    lines = [
        f"Gradient norm of {count(len(labels), 'layer')} at {count(len(steps), 'step')}, "
        f"{steps[0]} to {steps[-1]}."
    ]
    for label, row, state in zip(labels, norms, states, strict=True):
        alarms = "".join(
            f", {words} at {count(state.count(name), 'step')}"
            for name, words in ALARMS.items()
            if name in state
        )
        lines.append(f"{label}: from {number(row[0])} to {number(row[-1])}{alarms}.")
    return " ".join(lines)


# ---------------- update / weight
def ratios(records: Sequence[Record], theme: str | None) -> Figure:
    """See `GradientFlow.ratios`."""
    steps = np.array([record.step for record in records])
    names = {name: None for record in records for name in record.weights}
    series = {
        name: np.array([record.ratios.get(name, np.nan) for record in records]) for name in names
    }
    usable = {name: np.where(np.isfinite(y) & (y > 0), y, np.nan) for name, y in series.items()}
    drawn = {name: y for name, y in usable.items() if np.isfinite(y).any()}
    height = max(3.4, min(9.0, 1.3 + 0.2 * min(len(drawn), _LABELS)))
    with plots.figure(9.6, height, "Update / weight of each parameter", theme) as made:
        ax: Any = made.subplots()
        _band(ax)
        looks = _looks(records, names)
        last = {name: float(y[np.isfinite(y)][-1]) for name, y in drawn.items()}
        ranked = sorted(drawn, key=lambda name: (-last[name], name))
        named = (
            ranked
            if len(ranked) <= _LABELS
            else [*ranked[: _LABELS // 2], *ranked[-_LABELS // 2 :]]
        )
        for name in ranked:
            look = looks[name] if name in named else {"color": INK["frame"], "ls": "-", "lw": 0.5}
            if name in named:
                look["label"] = f"{plots.plain(name)}  {number(last[name], 2)}"
            marker = "o" if np.isfinite(drawn[name]).sum() == 1 else None
            ax.plot(steps, drawn[name], marker=marker, zorder=2 + (name in named), **look)
        ax.set_yscale("log")
        ax.set_xlabel("step")
        ax.set_ylabel("‖update‖ / ‖weights‖")
        ax.xaxis.get_major_locator().set_params(integer=True)
        if named:  # in the order of the last values, as the lines end
            made.legend(loc="outside right upper", fontsize=8.5)
        made.description = _ratio_words(steps, drawn, len(series))
        made.numbers = {"step": steps, **series}
    return made


def _looks(records: Sequence[Record], names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Colour and dash tell the layer; matrices are thick, biases and other vectors thin."""
    looks: dict[str, dict[str, Any]] = {}
    cycle = list(plots.style()["axes.prop_cycle"])
    for i, members in enumerate(layers(names).values()):
        for name in members:
            stats = next(
                (record.parameters[name] for record in records if name in record.parameters), None
            )
            looks[name] = {
                **cycle[i % len(cycle)],
                "lw": 2.0 if stats is not None and len(stats.shape) > 1 else 0.9,
            }
    return looks


def _band(ax: Any) -> None:
    low, middle, high = RULE_OF_THUMB
    ax.axhspan(low, high, color=INK["frame"], alpha=0.22, lw=0, zorder=0)
    ax.axhline(middle, color=INK["muted"], lw=1, ls=(0, (2, 3)), zorder=1)
    items = "thick: matrices, thin: biases; grey: the rule of thumb, about 1e-3 (Karpathy, CS231n)"
    ax.set_title(items, loc="left", fontsize=8.5, fontweight="normal", color=INK["muted"])


def _ratio_words(steps: Any, drawn: Mapping[str, Any], all_: int) -> str:
    low, _, high = RULE_OF_THUMB
    if not drawn:
        return "Update / weight: no update was measured yet."
    found = {name: float(np.nanmedian(y)) for name, y in drawn.items()}
    items = "; ".join(f"{name} {number(m)}" for name, m in found.items())
    inside = sum(low <= m <= high for m in found.values())
    return (
        f"Update / weight at {count(len(steps), 'step')}, the median of each parameter: {items}. "
        f"{inside} of {len(found)} "
        f"lie between {low:g} and {high:g}, around the rule of thumb of 1e-3."
        + (
            f" {count(all_ - len(found), 'parameter')} had no update, or weights of 0."
            if all_ > len(found)
            else ""
        )
    )
