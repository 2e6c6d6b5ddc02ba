"""Matplotlib figures in the colours of the drawings, and the curves of training runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from .page.palette import THEMES
from .scene.text import count, number, shorten
from .svg_picture import check_theme

if TYPE_CHECKING:
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure as MatplotlibFigure

    from .figure import Figure

#: line colours that people with any colour vision tell apart; dashes distinguish the lines without
#: colour
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#8a6d00", "#CC79A7", "#56B4E9")
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
_MOST_POINTS = 500  # of the line of batch losses; more are averaged in groups, for small files
#: of the diverging colour maps, by theme; blue and orange differ for any colour vision
_STOPS = {
    "light": ("#5c2300", "#b34700", "#f0a868", "#ffffff", "#7db8de", "#0072B2", "#00304d"),
    "dark": ("#ffd9a0", "#E69F00", "#6e4c00", "#11151c", "#1f5478", "#56B4E9", "#cfeaff"),
    "print": ("#000000", "#555555", "#aaaaaa", "#ffffff", "#aaaaaa", "#555555", "#000000"),
}
_theme: ContextVar[str] = ContextVar("theme", default="light")


class _Inks:
    def __getitem__(self, name: str) -> str:
        return THEMES[_theme.get()][name]


INK = _Inks()  # the colours of the figure that is being drawn, as the palette names them


def style(theme: str | None = None) -> dict[str, Any]:
    """Matplotlib settings that match the drawings: `with matplotlib.rc_context(style()): …`.

    >>> mg.viz.style()["figure.facecolor"]
    '#ffffff'
    """
    from cycler import cycler

    check_theme("style", theme)
    ink = THEMES[theme or "light"]
    lines = [ink["variable"], *COLOURS[1:3], ink["constant"], *COLOURS[4:]]
    if theme == "print":
        lines = [ink["fg"]] * len(COLOURS)
    return {
        "axes.prop_cycle": cycler(color=lines) + cycler(linestyle=_DASHES),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": ink["frame"],
        "axes.labelcolor": ink["muted"],
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "axes.titlesize": 11.0,
        "axes.titlecolor": ink["fg"],
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": ink["frame"],
        "grid.alpha": 0.2,
        "grid.linewidth": 0.8,
        "xtick.color": ink["muted"],
        "ytick.color": ink["muted"],
        "text.color": ink["fg"],
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 9.5,
        "figure.facecolor": ink["bg"],
        "axes.facecolor": ink["bg"],
        "lines.linewidth": 1.8,
        "legend.frameon": False,
        "svg.hashsalt": "minigrad",
        "svg.fonttype": "path",
    }


def colours(kind: str) -> Colormap:
    """A colour map: `"diverging"`, `"gradient"` or `"plain"`.

    Diverging: orange is negative, 0 the background, blue positive. Gradient: the ramp of gradients
    in drawings, from 0. Plain: from the background to the ink of text. In each, lightness alone
    shows the distance from 0; NaN is left blank.
    """
    from matplotlib.colors import LinearSegmentedColormap

    ends = {"gradient": [f"g{step}" for step in range(6)], "plain": ["fg"]}
    named = [INK[name] for name in ("bg", *ends.get(kind, ()))]
    stops = _STOPS[_theme.get()] if kind == "diverging" else named
    return LinearSegmentedColormap.from_list(
        f"minigrad {kind}", stops, N=257
    )  # odd, so that 0 is exactly the background


def plain(text: Any, most: int = 40) -> str:
    """Any text as one line that matplotlib shows literally: no control characters, no formulas."""
    return shorten(str(text), most).replace("$", r"\$")


@contextmanager
def figure(
    width: float, height: float, title: str | None = None, theme: str | None = None
) -> Iterator[Figure]:
    """Draw a new figure of `width` × `height` inches in the house style within the block.

    with figure(6.0, 3.4, "Loss") as fig:
        fig.subplots().plot([3, 2, 1])
        fig.description = "The loss falls from 3 to 1 in three epochs."
        fig.numbers = {"loss": np.array([3, 2, 1])}
    return fig
    """
    from matplotlib import rc_context

    from .figure import Figure

    settings: Any = style(theme)  # matplotlib names its settings in a type of 300 literals
    before = _theme.set(theme or "light")
    try:
        with rc_context(settings):
            made = Figure(width, height, settings, theme)
            if title:
                made.suptitle(plain(title, 100), x=0.01, ha="left", fontweight="bold")
            yield made
    finally:
        _theme.reset(before)


def training_curves(
    histories: Mapping[str, Any], title: str | None = None, *, theme: str | None = None
) -> Figure:
    """Loss and, where it was measured, accuracy of one training run or several.

    Thin lines are the losses of batches, dots those of epochs; the x axis counts epochs.
    `histories` maps names to objects with the lists `batch_loss`, `epoch_loss` and `accuracy`, of
    which any may be empty or missing. `theme` as in `draw`. Raises `TypeError` for anything but a
    mapping, `ValueError` for an empty one.

    >>> history = mg.train.History(epoch_loss=[0.5, 0.25])
    >>> figure = mg.viz.training_curves({"first try": history})
    >>> figure.description
    'Training curves. first try: loss from 0.5 to 0.25 in 2 epochs.'
    """
    if not isinstance(histories, Mapping):
        raise TypeError(
            f"training_curves: a {type(histories).__name__}; a dict from names to histories was "
            f"expected"
        )
    if not histories:
        raise ValueError("training_curves: no histories; at least one was expected")
    scored = any(_series(history, "accuracy").size for history in histories.values())
    with figure(9.6 if scored else 6.0, 3.4, title, theme) as made:
        axes = made.subplots(1, 2 if scored else 1, squeeze=False)[0]
        for name, history in histories.items():
            _loss(axes[0], plain(name), history)
            if scored:
                _accuracy(axes[1], plain(name), history)
        for ax, label in zip(axes, ("loss", "accuracy"), strict=False):
            ax.set_title(label)
            ax.set_xlabel("epoch")
            ax.xaxis.get_major_locator().set_params(integer=True)
        if axes[-1].get_legend_handles_labels()[0]:  # a single run may have no name
            axes[-1].legend()
        made.description = "Training curves. " + " ".join(
            _course(str(name), history) for name, history in histories.items()
        )
        made.numbers = {str(name): _lists(history) for name, history in histories.items()}
    return made


def _lists(history: Any) -> dict[str, np.ndarray[Any, Any]]:
    return {name: _series(history, name) for name in ("batch_loss", "epoch_loss", "accuracy")}


def _course(name: str, history: Any) -> str:
    """A sentence about one run."""
    lists = _lists(history)
    loss, accuracy = (lists[key][np.isfinite(lists[key])] for key in ("epoch_loss", "accuracy"))
    parts = (
        [f"loss from {number(loss[0])} to {number(loss[-1])} in {count(loss.size, 'epoch')}"]
        if loss.size
        else []
    )
    if accuracy.size:
        parts.append(f"final accuracy {number(accuracy[-1])}")
    return f"{name + ': ' if name else ''}{', '.join(parts) or 'nothing was measured'}."


def _loss(ax: Any, name: str, history: Any) -> None:
    batches, epochs = _series(history, "batch_loss"), _series(history, "epoch_loss")
    ends = np.arange(1, epochs.size + 1)
    (line,) = ax.plot(ends, epochs, marker="o", markersize=3.5, label=name)
    if batches.size:
        group = -(-batches.size // _MOST_POINTS)
        starts = np.arange(0, batches.size, group)
        batches = np.add.reduceat(batches, starts) / np.diff([*starts, batches.size])
        place = np.arange(1, batches.size + 1) / batches.size * max(1, epochs.size)
        ax.plot(
            place,
            batches,
            color=line.get_color(),
            linewidth=0.7,
            alpha=0.4,
            linestyle="-",
            zorder=1,
        )
    shown = np.concatenate([batches, epochs])
    if shown.size and np.isfinite(shown).all() and shown.min() > 0:
        ax.set_yscale("log")


def _accuracy(ax: Any, name: str, history: Any) -> None:
    accuracy = _series(history, "accuracy")
    ax.plot(np.arange(1, accuracy.size + 1), accuracy, marker="o", markersize=3.5, label=name)


def _series(history: Any, name: str) -> np.ndarray[Any, Any]:
    """One list of a history as floats; None becomes NaN, a gap in the line."""
    found = getattr(history, name, None)
    return np.array([np.nan if x is None else x for x in (() if found is None else found)], float)


def save_figure(figure: MatplotlibFigure, path: str | PathLike[str]) -> None:
    """Write a figure as `.svg`, `.png` or `.pdf`, the same bytes for the same figure.

    Raises `ValueError` for any other name.

    >>> import os, tempfile
    >>> figure = mg.viz.filters(mg.nn.Conv2d(1, 4, 5))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     mg.viz.save_figure(figure, f"{folder}/filters.svg")  # or figure.save(…)
    ...     os.listdir(folder)
    ['filters.svg']
    """
    from .figure import write

    write(figure, path, style())
