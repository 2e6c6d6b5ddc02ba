"""The report in figures: the jobs, how the cost grows, and operators below the machine's roof."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..viz.page.palette import LIGHT
from ..viz.plots import COLOURS, figure, save_figure
from ..viz.scene.text import quantity
from .floor import bandwidth
from .jobs import AXES
from .race import Found, best_of
from .summary import LIBRARIES
from .table import title

_MARKS = ("o", "s", "^", "D", "v")
_STYLE = {
    library: {"color": c, "marker": m}
    for library, c, m in zip(LIBRARIES, COLOURS, _MARKS, strict=False)
}
_GREY = {"color": LIGHT["muted"], "linewidth": 1.1}


def _seconds(axis: Any) -> None:
    """Ticks as `1 ms`."""
    axis.set_major_formatter(lambda x, _: quantity(x, "s") if x > 0 else "0")


def jobs(section: Found) -> Any:
    """A line for each job, on it each library's fastest mode and the floor."""
    section = {name: found for name, found in section.items() if "rows" in found}
    nothing, said = {"median": np.nan}, []
    with figure(8.4, 0.9 + 0.5 * len(section), "One training step") as made:
        ax = made.subplots()
        y = np.arange(len(section))
        for library, style in _STYLE.items():
            rows = [found["rows"] for found in section.values()]
            x = [each.get(best_of(each, library), nothing)["median"] for each in rows]
            if not np.isnan(x).all():
                ax.plot(x, y, linestyle="none", markersize=7, label=library, zorder=3, **style)
                told = (quantity(value, "s") for value in x if not np.isnan(value))
                said.append(f"{library} {', '.join(told)}")
        floors = np.array([found.get("floor", np.nan) for found in section.values()])
        mark = {"marker": "|", "markersize": 14, "color": LIGHT["fg"]}
        ax.plot(floors, y, linestyle="none", label="floor", **mark)
        ax.set_xscale("log")
        _seconds(ax.xaxis)
        ax.set_yticks(y, [title(name, found) for name, found in section.items()])
        ax.set_ylim(len(section) - 0.5, -0.5)
        ax.grid(axis="x", visible=False)
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        what = f"Seconds per training step of {', '.join(section)}, logarithmic"
        made.description = f"{what}. {'; '.join(said)}."
        made.numbers = {"floor": floors}
    return made


def scaling(section: Found) -> Any:
    """A panel for each axis: seconds per step of each contender, and the floor."""
    axes = [axis for axis in AXES if section.get(axis)]
    with figure(8.4, 6.4, "How the cost of a training step grows") as made:
        panels = list(made.subplots(2, 2).flat)
        for ax, axis in zip(panels, axes, strict=False):
            _panel(ax, axis, section[axis])
        for ax in panels[len(axes) :]:
            ax.remove()
        handles, labels = panels[0].get_legend_handles_labels()
        made.legend(handles, labels, loc="outside lower center", ncols=len(labels))
        against = "; ".join(AXES[axis] for axis in axes)
        made.description = f"Seconds per step, both scales logarithmic, against {against}."
    return made


def _panel(ax: Any, axis: str, points: Found) -> None:
    points = {size: found for size, found in points.items() if "rows" in found}
    sizes = [int(size) for size in points]
    names = dict.fromkeys(name for found in points.values() for name in found["rows"])
    for name in names:
        y = [found["rows"][name].get("median", np.nan) for found in points.values()]
        if not np.isnan(y).all():
            ax.plot(sizes, y, markersize=4, label=name, **_STYLE[name.split()[0]])
    floors = [found.get("floor", np.nan) for found in points.values()]
    ax.plot(sizes, floors, linestyle=":", label="floor", **_GREY)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(sizes, list(points))
    ax.minorticks_off()
    _seconds(ax.yaxis)
    ax.set_title(axis)
    ax.set_xlabel(AXES[axis])


def roofline(section: Found, ceilings: Found) -> Any:
    """Each operator at its operations per byte and per second, below the roofs of this machine.

    A filled mark is the forward pass, a hollow one the backward pass. Names stand in a column, so
    that none covers another.
    """
    points: dict[str, dict[str, tuple[float, float]]] = {}
    for name, found in section.items():
        for way in ("forward", "backward"):
            work = found.get(way, {}).get("work", {})
            took = found.get(way, {}).get("rows", {}).get("minigrad replay", {}).get("median")
            if took and work.get("flops"):
                at = work["flops"] / work["bytes"], work["flops"] / took
                points.setdefault(name, {})[way] = at
    with figure(8.4, 5.2, "Kernels below the roof") as made:
        ax = made.subplots()
        ax.set(xscale="log", yscale="log", xlabel="operations per byte")
        x = [at for ways in points.values() for at, _ in ways.values()]
        _roofs(ax, ceilings, np.geomspace(min(0.05, *x) / 1.5, max(100.0, *x) * 1.5, 200))
        lowest = sorted(points, key=lambda name: max(points[name].values())[1])
        places = dict(zip(lowest, np.linspace(0.05, 0.95, len(points)), strict=True))
        for i, (name, ways) in enumerate(points.items()):
            style = {"color": COLOURS[i % len(COLOURS)], "marker": _MARKS[i % len(_MARKS)]}
            ax.plot(*zip(*ways.values(), strict=True), "-", linewidth=0.9, color=style["color"])
            for way, point in ways.items():
                inside = style["color"] if way == "forward" else LIGHT["bg"]
                ax.plot(*point, markersize=7, markerfacecolor=inside, zorder=3, **style)
            line = {
                "arrowstyle": "-",
                "color": LIGHT["frame"],
                "linewidth": 0.6,
                "relpos": (0, 0.5),
            }
            place, right = (1.03, places[name]), max(ways.values())
            ax.annotate(
                name, right, place, textcoords="axes fraction", va="center", arrowprops=line
            )
        ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
        ax.yaxis.set_major_formatter(lambda y, _: quantity(y, "flop/s"))
        for way, inside in (("forward", LIGHT["muted"]), ("backward", LIGHT["bg"])):
            grey = {"color": LIGHT["muted"], "markerfacecolor": inside, "label": way}
            ax.plot([], [], marker="o", markersize=7, linestyle="none", **grey)
        made.legend(loc="outside lower center", ncols=3)
        told = (
            f"{name} {way}: {quantity(rate, 'flop/s')} at {at:.2g}"
            for name, ways in points.items()
            for way, (at, rate) in ways.items()
        )
        made.description = f"Kernels in operations per byte and per second. {'; '.join(told)}."
    return made


def _roofs(ax: Any, ceilings: Found, x: Any) -> None:
    """The most operations per second in all, and at x operations per byte from each memory."""
    most = ceilings["flops"]
    ax.axhline(most, label=f"{quantity(most, 'flop/s')} at most", **_GREY)
    for size, said, style in ((19, "512 KiB", "--"), (23, "8 MiB", "-."), (28, "256 MiB", ":")):
        rate = bandwidth(ceilings, 1 << size)
        below = x[x * rate <= most]
        label = f"{quantity(rate, 'B/s')} through {said}"
        ax.plot(below, below * rate, linestyle=style, zorder=1, label=label, **_GREY)
    ax.set_xlim(x[0], x[-1])


def draw(report: Found, folder: Path) -> list[Path]:
    """Write the figures of the sections that were measured to `folder`; returns their paths."""
    made = {}
    if report.get("jobs"):
        made["jobs"] = jobs(report["jobs"])
    if report.get("scaling"):
        made["scaling"] = scaling(report["scaling"])
    if report.get("kernels") and report.get("ceilings"):
        made["roofline"] = roofline(report["kernels"], report["ceilings"])
    paths = {folder / f"bench-{name}.svg": picture for name, picture in made.items()}
    for path, picture in paths.items():
        save_figure(picture, path)
    return list(paths)
