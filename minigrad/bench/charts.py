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
from .overview import LIBRARIES
from .race import Found, best_of
from .table import title

_STYLE: dict[str, dict[str, Any]] = {
    library: {"color": colour, "marker": mark}
    for library, colour, mark in zip(LIBRARIES, COLOURS, "os^Dv", strict=False)
}
_GREY: dict[str, Any] = {"color": LIGHT["muted"], "linewidth": 1.1, "marker": ""}


def jobs(section: Found) -> Any:
    """A line for each job, on it each library's fastest mode and the floor."""
    section = {name: found for name, found in section.items() if "rows" in found}
    y, said, nothing = range(len(section)), [], {"median": np.nan}
    with figure(8.4, 0.9 + 0.5 * len(section), "One training step") as made:
        ax = made.subplots()
        for library, style in _STYLE.items():
            rows = [found["rows"] for found in section.values()]
            x = [each.get(best_of(each, library), nothing)["median"] for each in rows]
            if not np.isnan(x).all():
                ax.plot(x, y, linestyle="none", markersize=7, label=library, zorder=3, **style)
                said.append(f"{library} {', '.join(quantity(value, 's') for value in x)}")
        floors = [found.get("floor", np.nan) for found in section.values()]
        mark: dict[str, Any] = {"marker": "|", "markersize": 14, "color": LIGHT["fg"]}
        ax.plot(floors, y, linestyle="none", label="floor", **mark)
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(_seconds)
        ax.set_yticks(y, [title(name, found) for name, found in section.items()])
        ax.set_ylim(len(section) - 0.5, -0.5)
        ax.grid(axis="x", visible=False)
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        what = f"Seconds per training step of {', '.join(section)}, logarithmic"
        made.description = f"{what}. {'; '.join(said)}."
    return made


def _seconds(x: float, _: Any) -> str:
    """A tick as `1 ms`."""
    return quantity(x, "s") if x > 0 else "0"


def scaling(section: Found) -> Any:
    """A panel for each axis: seconds per step of each contender, and the floor."""
    axes = [axis for axis in AXES if section.get(axis)]
    with figure(8.4, 6.4, "How the cost of a training step grows") as made:
        for place, axis in enumerate(axes, 1):
            ax = made.add_subplot(2, 2, place)
            points = {n: found for n, found in section[axis].items() if "rows" in found}
            x = [int(n) for n in points]
            for name in dict.fromkeys(name for found in points.values() for name in found["rows"]):
                y = [found["rows"][name].get("median", np.nan) for found in points.values()]
                ax.plot(x, y, markersize=4, label=name, **_STYLE[name.split()[0]])
            floors = [found.get("floor", np.nan) for found in points.values()]
            ax.plot(x, floors, linestyle=":", label="floor", **_GREY)
            ax.set_xscale("log", base=2)
            ax.set_yscale("log")
            ax.set_xticks(x, list(points))
            ax.minorticks_off()
            ax.yaxis.set_major_formatter(_seconds)
            ax.set_title(axis)
            ax.set_xlabel(AXES[axis])
        handles, labels = made.axes[0].get_legend_handles_labels()
        made.legend(handles, labels, loc="outside lower center", ncols=len(labels))
        against = "; ".join(AXES[axis] for axis in axes)
        made.description = f"Seconds per step, both scales logarithmic, against {against}."
    return made


def roofline(section: Found, ceilings: Found) -> Any:
    """Each operator at its operations per byte and per second, below the roofs of this machine.

    Names stand in a column, sorted by height, so that none covers another.
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
        reached = [at for ways in points.values() for at, _ in ways.values()]
        x = np.geomspace(min(0.05, *reached) / 1.5, max(100.0, *reached) * 1.5, 200)
        most = ceilings["flops"]
        ax.plot(x, x * 0 + most, "-", label=f"{quantity(most, 'flop/s')} at most", **_GREY)
        for power, what, line in ((19, "512 KiB", "--"), (23, "8 MiB", "-."), (28, "256 MiB", ":")):
            rate = bandwidth(ceilings, 1 << power)
            below = x[x * rate <= most]
            label = f"{quantity(rate, 'B/s')} through {what}"
            ax.plot(below, below * rate, line, label=label, **_GREY)
        for way, colour, mark in zip(("forward", "backward"), COLOURS, "os", strict=False):
            marks = [ways[way] for ways in points.values() if way in ways]
            ax.plot(*zip(*marks, strict=True), mark, color=colour, label=way, zorder=3)
        told = []
        names = sorted(points, key=lambda name: max(points[name].values())[1])
        for y, name in zip(np.linspace(0.05, 0.95, len(names)), names, strict=True):
            ways = points[name]
            ax.plot(*zip(*ways.values(), strict=True), "-", **_GREY)
            tie = {"arrowstyle": "-", "color": LIGHT["frame"], "lw": 0.6, "relpos": (0, 0.5)}
            place: dict[str, Any] = {
                "xytext": (1.03, y),
                "textcoords": "axes fraction",
                "va": "center",
            }
            ax.annotate(name, max(ways.values()), arrowprops=tie, **place)
            told += [
                f"{name} {way}: {quantity(r, 'flop/s')} at {a:.2g}" for way, (a, r) in ways.items()
            ]
        ax.set(xscale="log", yscale="log", xlim=(x[0], x[-1]), xlabel="operations per byte")
        ax.xaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_major_formatter(lambda y, _: quantity(y, "flop/s"))
        made.legend(loc="outside lower center", ncols=3)
        made.description = f"Kernels in operations per byte and per second. {'; '.join(told)}."
    return made


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
