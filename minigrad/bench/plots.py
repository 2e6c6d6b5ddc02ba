"""The report in pictures: how the cost grows, the race at a glance, and every kernel below the
machine's roof.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..viz.page.palette import LIGHT
from ..viz.plots import COLOURS, figure, save_figure
from ..viz.scene.text import quantity
from . import table
from .floor import bandwidth
from .process import LIBRARIES
from .race import best_of
from .scaling import AXES

_MARKS = ("o", "s", "^", "D", "v")


def seconds_axis(axis: Any) -> None:
    """Ticks as `1 ms`."""
    axis.set_major_formatter(lambda x, _: quantity(x, "s") if x > 0 else "0")


def jobs(section: Mapping[str, Any]) -> Any:
    """A line for each job, on it each library's fastest mode and the floor."""
    names = [name for name, found in section.items() if "rows" in found]
    with figure(8.4, 0.9 + 0.5 * len(names), "One training step") as made:
        ax, said = made.subplots(), []
        for library, colour, mark in zip(LIBRARIES, COLOURS, _MARKS, strict=False):
            points = [
                (section[name]["rows"][best]["median"], y)
                for y, name in enumerate(names)
                if (best := best_of(section[name]["rows"], library))
            ]
            if points:
                x, y = zip(*points, strict=True)
                ax.plot(
                    x,
                    y,
                    linestyle="none",
                    marker=mark,
                    markersize=7,
                    color=colour,
                    label=library,
                    zorder=3,
                )
                said.append(f"{library} {', '.join(quantity(value, 's') for value in x)}")
        floors = [
            (section[name]["floor"], y) for y, name in enumerate(names) if "floor" in section[name]
        ]
        if floors:
            x, y = zip(*floors, strict=True)
            ax.plot(
                x, y, linestyle="none", marker="|", markersize=14, color=LIGHT["fg"], label="floor"
            )
        ax.set_xscale("log")
        seconds_axis(ax.xaxis)
        ax.set_yticks(range(len(names)), [table.title(name, section[name]) for name in names])
        ax.set_ylim(len(names) - 0.5, -0.5)
        ax.grid(axis="x", visible=False)
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        made.description = (
            f"Seconds per training step of {', '.join(names)}, logarithmic. {'; '.join(said)}."
        )
        made.numbers = {"floor": np.array([x for x, _ in floors])}
    return made


def scaling(section: Mapping[str, Any]) -> Any:
    """A panel for each axis: seconds per step of each contender, and the floor."""
    axes_ = [axis for axis in AXES if section.get(axis)]
    with figure(8.4, 6.4, "How the cost of a training step grows") as made:
        panels = made.subplots(2, 2).flat
        for ax, axis in zip(panels, axes_, strict=False):
            _panel(ax, axis, section[axis])
        for ax in list(made.axes)[len(axes_) :]:
            ax.remove()
        if axes_:
            handles, labels = made.axes[0].get_legend_handles_labels()
            made.legend(handles, labels, loc="outside lower center", ncols=len(labels))
        against = "; ".join(AXES[axis] for axis in axes_)
        made.description = f"Seconds per step, both scales logarithmic, against {against}."
    return made


def _panel(ax: Any, axis: str, points: Mapping[str, Any]) -> None:
    points = {size: found for size, found in points.items() if "rows" in found}
    sizes = np.array([int(size) for size in points])
    names = dict.fromkeys(name for found in points.values() for name in found["rows"])
    for name, mark in zip(names, _MARKS, strict=False):
        medians = np.array(
            [found["rows"][name].get("median") or np.nan for found in points.values()]
        )
        if np.isfinite(medians).any():
            colour = COLOURS[LIBRARIES.index(name.split()[0])]
            ax.plot(sizes, medians, marker=mark, markersize=4, color=colour, label=name)
    floors = np.array([found.get("floor", np.nan) for found in points.values()])
    ax.plot(sizes, floors, color=LIGHT["muted"], linewidth=1.2, linestyle=":", label="floor")
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(sizes, [str(size) for size in sizes])
    ax.minorticks_off()
    seconds_axis(ax.yaxis)
    ax.set_title(axis)
    ax.set_xlabel(AXES[axis])


def apart(wanted: Sequence[float], least: float) -> list[float]:
    """Places for labels in a column, each as near as can be to where it is wanted and `least` from
    the next.

    Labels that would overlap are pushed apart around their common middle; the order stays. Returned
    in the order given.
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    groups: list[list[float]] = []  # (sum of wanted places less their offsets, how many)
    for i in order:
        groups.append([wanted[i], 1])
        while (
            len(groups) > 1
            and groups[-1][0] - groups[-2][0] < least * (groups[-1][1] + groups[-2][1]) / 2
        ):
            (one, n), (two, m) = groups[-2:]
            groups[-2:] = [[(one * n + two * m) / (n + m), n + m]]
    places = [middle + least * (k - (n - 1) / 2) for middle, n in groups for k in range(int(n))]
    found = [0.0] * len(wanted)
    for i, place in zip(order, places, strict=True):
        found[i] = place
    return found


def roofline(section: Mapping[str, Any], ceilings: Mapping[str, Any]) -> Any:
    """Each kernel at its operations per byte and per second; above it the roofs of the processor
    and of the memories.

    A filled mark is the forward pass, a hollow one the backward pass. Names stand in a column, so
    that none covers another.
    """
    points = [
        (name, way, *_point(found[way]))
        for name, found in section.items()
        for way in ("forward", "backward")
        if way in found and _point(found[way])
    ]
    with figure(8.4, 5.2, "Kernels below the roof") as made:
        ax = made.subplots()
        x = np.array([p[2] for p in points] or [1.0])
        low, high = min(0.05, x.min() / 1.5), max(100.0, x.max() * 1.5)
        _roofs(ax, ceilings, low, high)
        names = list(dict.fromkeys(p[0] for p in points))
        for name in names:
            colour, mark = (
                COLOURS[names.index(name) % len(COLOURS)],
                _MARKS[names.index(name) % len(_MARKS)],
            )
            mine = [p for p in points if p[0] == name]
            ax.plot(
                [p[2] for p in mine],
                [p[3] for p in mine],
                color=colour,
                linewidth=0.9,
                linestyle="-",
                zorder=2,
            )
            for _, way, at, rate in mine:
                ax.plot(
                    [at],
                    [rate],
                    marker=mark,
                    markersize=7,
                    color=colour,
                    linestyle="none",
                    zorder=3,
                    markerfacecolor=colour if way == "forward" else LIGHT["bg"],
                )
        ax.set(xscale="log", yscale="log", xlim=(low, high), xlabel="operations per byte")
        ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
        ax.yaxis.set_major_formatter(lambda y, _: quantity(y, "flop/s"))
        _column(
            ax,
            [max((p for p in points if p[0] == name), key=lambda p: p[2]) for name in names],
            names,
        )
        grey = LIGHT["muted"]
        for way, inside in (("forward", grey), ("backward", LIGHT["bg"])):
            ax.plot(
                [],
                [],
                marker="o",
                markersize=7,
                color=grey,
                linestyle="none",
                markerfacecolor=inside,
                label=way,
            )
        made.legend(loc="outside lower center", ncols=3)
        made.description = (
            "Kernels in operations per byte and per second. "
            + "; ".join(
                f"{name} {way}: {quantity(rate, 'flop/s')} at {at:.2g}"
                for name, way, at, rate in points
            )
            + "."
        )
    return made


def _point(found: Mapping[str, Any]) -> tuple[float, float] | None:
    """(operations per byte, operations per second) of one way through a kernel; None where nothing
    is computed.
    """
    work, median = found.get("work", {}), found["rows"].get("minigrad replay", {}).get("median")
    return (
        (work["flops"] / work["bytes"], work["flops"] / median)
        if median and work.get("flops")
        else None
    )


def _roofs(ax: Any, ceilings: Mapping[str, Any], low: float, high: float) -> None:
    """The most operations per second: at this many operations per byte from each memory, and at
    all.
    """
    x = np.geomspace(low, high, 200)
    most = ceilings["flops"]
    ax.axhline(
        most, color=LIGHT["muted"], linewidth=1.1, label=f"{quantity(most, 'flop/s')} at most"
    )
    for power, style in ((19, "--"), (23, "-."), (28, ":")):
        rate = bandwidth(ceilings, 1 << power)
        size = f"{1 << power - 20} MiB" if power >= 20 else f"{1 << power - 10} KiB"
        label = f"{quantity(rate, 'B/s')} through {size}"
        below = x[x * rate <= most]
        ax.plot(
            below,
            below * rate,
            color=LIGHT["muted"],
            linewidth=1.1,
            linestyle=style,
            zorder=1,
            label=label,
        )


def _column(ax: Any, points: Sequence[Any], names: Sequence[str]) -> None:
    """The kernels' names to the right of the axes, at the height of their points or next to it,
    tied to them by a line.
    """
    low, high = ax.get_ylim()
    share = [(np.log(p[3]) - np.log(low)) / (np.log(high) - np.log(low)) for p in points]
    for point, name, y in zip(points, names, apart(share, 0.055), strict=True):
        ax.annotate(
            name,
            (point[2], point[3]),
            xytext=(1.03, y),
            textcoords="axes fraction",
            va="center",
            fontsize=9,
            arrowprops={
                "arrowstyle": "-",
                "color": LIGHT["frame"],
                "linewidth": 0.6,
                "shrinkB": 4,
                "relpos": (0.0, 0.5),
            },
        )


def draw(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write the pictures of the sections that were measured to `folder`; their paths."""
    made = {}
    if report.get("jobs"):
        made["bench-jobs"] = jobs(report["jobs"])
    if report.get("scaling"):
        made["bench-scaling"] = scaling(report["scaling"])
    if report.get("kernels") and report.get("ceilings"):
        made["bench-roofline"] = roofline(report["kernels"], report["ceilings"])
    for name, picture in made.items():
        save_figure(picture, folder / f"{name}.svg")
    return [folder / f"{name}.svg" for name in made]
