"""Curves of training runs in the colours of the drawings. No global state: figures are made, not "current"."""
from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..files import write_atomically
from .page.palette import LIGHT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: line colours that people with any colour vision tell apart; the dashes tell the lines apart without colour
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#8a6d00", "#CC79A7", "#56B4E9")
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
_MOST_POINTS = 500  # of the line of batch losses; more are averaged in groups
_FORMATS = ("svg", "png", "pdf")


def style() -> dict[str, Any]:
    """Matplotlib settings that go with the drawings: `with matplotlib.rc_context(style()): …`."""
    from cycler import cycler

    return {
        "axes.prop_cycle": cycler(color=COLOURS) + cycler(linestyle=_DASHES),
        "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": LIGHT["frame"],
        "axes.labelcolor": LIGHT["muted"], "axes.titlelocation": "left",
        "axes.titleweight": "bold", "axes.titlesize": 11.0, "axes.titlecolor": LIGHT["fg"],
        "axes.grid": True, "axes.axisbelow": True, "grid.color": "#e6e9ed", "grid.linewidth": 0.8,
        "xtick.color": LIGHT["muted"], "ytick.color": LIGHT["muted"], "text.color": LIGHT["fg"],
        "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 9.5,
        "figure.facecolor": LIGHT["bg"], "axes.facecolor": LIGHT["bg"], "lines.linewidth": 1.8,
        "legend.frameon": False, "svg.hashsalt": "minigrad", "svg.fonttype": "path",
    }  # fmt: skip


def training_curves(histories: Mapping[str, Any], title: str | None = None) -> Figure:
    """Loss (of batches, thin, and epochs, with dots) and, where there is one, accuracy, of one run or several.

    `histories` maps a name to an object with the lists `batch_loss`, `epoch_loss` and `accuracy`; an empty or missing
    one is left out. The x axis counts epochs. The figure shows itself in a notebook,
    whatever pyplot is set to there. Raises `TypeError` for what is no mapping, `ValueError` for an empty one.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not isinstance(histories, Mapping):
        raise TypeError(f"training_curves: a {type(histories).__name__}; a dict from names to histories was expected")
    if not histories:
        raise ValueError("training_curves: no histories; at least one was expected")
    settings: Any = style()
    scored = any(_series(history, "accuracy").size for history in histories.values())
    with rc_context(settings):
        figure = Figure(figsize=(9.6 if scored else 6.0, 3.4), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(1, 2 if scored else 1, squeeze=False)[0]
        for name, history in histories.items():
            _loss(axes[0], str(name), history)
            if scored:
                _accuracy(axes[1], str(name), history)
        for ax, label in zip(axes, ("loss", "accuracy"), strict=False):
            ax.set_title(label)
            ax.set_xlabel("epoch")
            ax.xaxis.get_major_locator().set_params(integer=True)
        if axes[-1].get_legend_handles_labels()[0]:  # a single run may go without a name
            axes[-1].legend()
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    figure._repr_png_ = lambda: _encode(figure, "png", dpi=100)  # type: ignore[attr-defined]
    return figure


def _loss(ax: Any, name: str, history: Any) -> None:
    batches, epochs = _series(history, "batch_loss"), _series(history, "epoch_loss")
    ends = np.arange(1, epochs.size + 1)
    (line,) = ax.plot(ends, epochs, marker="o", markersize=3.5, label=name)
    if batches.size:
        group = -(-batches.size // _MOST_POINTS)  # a line of many thousand points only makes the file large
        batches = np.add.reduceat(batches, starts := np.arange(0, batches.size, group)) / np.diff([*starts, batches.size])
        place = np.arange(1, batches.size + 1) / batches.size * max(1, epochs.size)
        ax.plot(place, batches, color=line.get_color(), linewidth=0.7, alpha=0.4, linestyle="-", zorder=1)
    shown = np.concatenate([batches, epochs])
    if shown.size and np.isfinite(shown).all() and shown.min() > 0:
        ax.set_yscale("log")


def _accuracy(ax: Any, name: str, history: Any) -> None:
    accuracy = _series(history, "accuracy")
    ax.plot(np.arange(1, accuracy.size + 1), accuracy, marker="o", markersize=3.5, label=name)


def _series(history: Any, name: str) -> np.ndarray[Any, Any]:
    """One list of a history as floats; what was not measured (None) is a gap."""
    found = getattr(history, name, None)
    return np.array([], float) if found is None else np.array([np.nan if x is None else x for x in found], float)


def save_figure(figure: Figure, path: str | PathLike[str]) -> None:
    """Write a figure as SVG, PNG or PDF, the same bytes for the same figure. Raises `ValueError` for another name."""
    target = Path(path)
    kind = target.suffix.lower().removeprefix(".")
    if kind not in _FORMATS:
        raise ValueError(f"save_figure: {target.name!r}; a name that ends in .{', .'.join(_FORMATS)} was expected")
    write_atomically(target, _encode(figure, kind, dpi=150))


def _encode(figure: Figure, kind: str, dpi: int) -> bytes:
    """The figure as a file's bytes, without a date in them."""
    from io import BytesIO

    from matplotlib import rc_context

    undated: Any = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}[kind]
    settings: Any = style()
    data = BytesIO()
    with rc_context(settings):
        figure.savefig(data, format=kind, dpi=dpi, metadata=undated)
    return data.getvalue()
