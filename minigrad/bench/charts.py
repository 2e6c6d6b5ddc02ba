"""The report in figures: the jobs, how the cost grows, and operators below the machine's roof."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..viz.page.palette import LIGHT
from ..viz.plots import COLOURS, figure, save_figure
from ..viz.scene.text import quantity
from .floor import bandwidth
from .jobs import AXES
from .records import Row, best, middle, rows_of
from .tables import LIBRARIES, Report

_STYLE: dict[str, dict[str, Any]] = {
    who: {"color": colour, "marker": mark}
    for who, colour, mark in zip(
        (*LIBRARIES, "floor"), (*COLOURS[:3], LIGHT["fg"]), "os^|", strict=True
    )
}
_GREY: dict[str, Any] = {"color": LIGHT["muted"], "linewidth": 1.1}


def _medians(rows: Mapping[str, Row], who: str) -> list[float]:
    """A contender's or library's seconds for each job, NaN where there are none."""
    found = [best(row, who) for row in rows.values()]
    return [middle(record) if record else np.nan for record in found]


def _unit(axis: Any, unit: str) -> None:
    """Write ticks as `1 ms`."""
    axis.set_major_formatter(lambda x, _: quantity(x, unit) if x > 0 else "0")


def jobs(report: Report) -> Any:
    """A line for each job, on it each library's fastest mode and the floor."""
    found = rows_of(report["records"], "jobs")
    rows = {job: row for job, row in found.items() if best(row, "floor")}
    if not rows:
        return None
    y, said = range(len(rows)), []
    with figure(8.4, 0.9 + 0.5 * len(rows), "One training step") as made:
        ax = made.subplots()
        for who, style in _STYLE.items():
            x = _medians(rows, who)
            if not np.isnan(x).all():
                ax.plot(x, y, linestyle="none", markersize=8, label=who, zorder=3, **style)
                said.append(f"{who} {', '.join(quantity(value, 's') for value in x)}")
        ax.set_xscale("log")
        _unit(ax.xaxis, "s")
        ax.set_yticks(y, list(rows))
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.grid(axis="x", visible=False)
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        names = ", ".join(job.partition(" ")[0] for job in rows)
        what = f"Seconds per training step of {names}, logarithmic"
        made.description = f"{what}. {'; '.join(said)}."
    return made


def scaling(report: Report) -> Any:
    """A panel for each axis: seconds per step of each contender, and the floor."""
    panels = {axis: rows for axis in AXES if (rows := rows_of(report["records"], axis))}
    if not panels:
        return None
    with figure(8.4, 6.4, "How the cost of a training step grows") as made:
        for place, (axis, rows) in enumerate(panels.items(), 1):
            ax = made.add_subplot(2, 2, place)
            sizes = [job.partition(",")[0] for job in rows]
            x = list(map(int, sizes))
            for who in dict.fromkeys(who for row in rows.values() for who in row if who):
                style = _STYLE[who.partition(" ")[0]]
                ax.plot(x, _medians(rows, who), markersize=4, label=who, **style)
            ax.set_xscale("log", base=2)
            ax.set_yscale("log")
            ax.set_xticks(x, sizes)
            ax.minorticks_off()
            _unit(ax.yaxis, "s")
            ax.set(title=axis, xlabel=AXES[axis])
        handles, labels = made.axes[0].get_legend_handles_labels()
        made.legend(handles, labels, loc="outside lower center", ncols=len(labels))
        against = "; ".join(AXES[axis] for axis in panels)
        made.description = f"Seconds per step, both scales logarithmic, against {against}."
    return made


def roofline(report: Report) -> Any:
    """Each operator at its operations per byte and per second, below the roofs of this machine."""
    points: dict[str, dict[str, tuple[float, float]]] = {}
    for job, row in rows_of(report["records"], "kernels").items():
        took, work = best(row, "minigrad"), row.get("floor", {})
        if took and work.get("flops"):
            at = work["flops"] / work["bytes"], work["flops"] / middle(took)
            points.setdefault(job.partition(":")[0], {})[job.rpartition(" ")[2]] = at
    if not points:
        return None
    said, ceilings = [], report["ceilings"]
    with figure(8.4, 5.2, "Kernels below the roof: filled forward, hollow backward") as made:
        ax = made.subplots()
        most, left = ceilings["flops"], 0.03
        ax.axhline(most, label=f"{quantity(most, 'flop/s')} at most", **_GREY)
        for power, what, line in ((19, "512 KiB", "--"), (23, "8 MiB", "-."), (28, "256 MiB", ":")):
            rate = bandwidth(ceilings, 1 << power)
            label = f"{quantity(rate, 'B/s')} through {what}"
            ax.plot([left, most / rate], [left * rate, most], line, label=label, **_GREY)
        for (name, ways), mark in zip(points.items(), "osD^v<>pP", strict=False):
            ax.plot(*zip(*ways.values(), strict=True), "-", **_GREY)
            for way, (a, r) in ways.items():
                label, fill = (name, "full") if way == "forward" else ("", "none")
                ax.plot(a, r, mark, color=COLOURS[0], label=label, fillstyle=fill, zorder=3)
                said.append(f"{name} {way}: {quantity(r, 'flop/s')} at {a:.2g}")
        ax.set(xscale="log", yscale="log", xlabel="operations per byte")
        ax.xaxis.set_major_formatter("{x:g}")
        _unit(ax.yaxis, "flop/s")
        made.legend(loc="outside right center")
        made.description = f"Kernels in operations per byte and per second. {'; '.join(said)}."
    return made


FIGURES = {"jobs": jobs, "scaling": scaling, "roofline": roofline}


def draw(report: Report, folder: Path) -> list[Path]:
    """Write the figures of the sections that were measured to `folder`; returns their paths."""
    made = {name: draw_one(report) for name, draw_one in FIGURES.items()}
    paths = {folder / f"bench-{name}.svg": picture for name, picture in made.items() if picture}
    for path, picture in paths.items():
        save_figure(picture, path)
    return list(paths)
