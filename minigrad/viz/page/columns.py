"""Unrolled layers as columns: a column for each time step, in it a row for each operator of the
cell, flowing upwards.

Places only, by rule alone; the lines are in `tracks.py`. The state runs from column to column; what
every step reads comes on a rail below them, what reads every step hangs on a rail above; parameters
stand once at the left, then as ghosts below their users. For everything around it the whole is one
big box (`blocks.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..scene.picture import Box, Edge
from .geometry import LINE, Point, Stub, end, footprint, text_width

MARGIN, GAP, LANE, STACKED = 5.0, 5.0, 7.0, 6.0
INDENT, SPINE = (
    7.0,
    36.0,
)  # from the left of a column to its widest operator; from there, at most, to the spine
ROOM = 125.0  # so wide a column may become for the numbers inside it
ARRIVAL, HEADING = 13.0, 24.0  # room below an operator for arrow heads; for the words `step 1`
TURNED, PASSED = (
    21.0,
    8.0,
)  # how far a state's line rises before it turns; room for a line that turns into a lane
LEFT, THROUGH = (
    40.0,
    14.0,
)  # between the parameters and the first column; between them for a line from farther away
# from the spine to the ghosts below the box of steps left out, whose lines leave to the left
COMB = 24.0

Rectangle = tuple[float, float, float, float]
Port = tuple[str, int]


@dataclass
class Column:
    """A time step, or (not `framed`) the box that stands for those left out.

    `boxes` are its operators from below to above; `sides`, by operator, the ghosts and numbers that
    only it reads, the narrowest first.
    """

    key: str
    framed: bool
    boxes: list[Box]
    sides: dict[str, list[Box]]
    x: float = 0.0
    right: float = 0.0


@dataclass(frozen=True)
class UnrolledLayer:
    """An unrolled layer: its columns, its edges by what they join, and the leaves that nobody else
    reads.

    `within` a column, `across` from one to the next, `given` from outside, `gone` to the outside.
    What is given comes in at the height at which things go out if it is `high`: where it comes from
    such a layer.
    """

    columns: list[Column]
    leaves: dict[str, Box]
    within: list[Edge]
    across: list[Edge]
    given: list[Edge]
    gone: list[Edge]
    high: bool


class Columns:
    """Where the boxes of a run are: x from its left side to the right, y from the bottom of its
    columns down.

    Operators are strung on the `spine`, a line as far from the left of each column. `home` is the
    column and the row of an operator, `rails` what more than the first column reads, `near` what
    only that one reads, `lanes` by column what runs past operators at its right, `lefts` the
    heights of what comes from the left.
    """

    def __init__(self, run: UnrolledLayer) -> None:
        self.run, self.columns = run, run.columns
        self.framed = [column for column in run.columns if column.framed]
        self.home = {
            box.id: (i, r)
            for i, column in enumerate(run.columns)
            for r, box in enumerate(column.boxes)
        }
        self.onward = (*run.across, *run.gone)
        unread = self.home.keys() - {edge.source for edge in (*run.within, *self.onward)}
        self.leaving = {edge.source for edge in self.onward} | unread
        inputs = dict.fromkeys((edge.source, edge.port) for edge in run.given)
        far = {(edge.source, edge.port) for edge in run.given if self.home[edge.target][0]}
        self.rails, self.near = (
            [key for key in inputs if key in far],
            [key for key in inputs if key not in far],
        )
        self.places, self.starts = (
            dict[str, Point](),
            dict[str, Point](),
        )  # starts: of the lines from side boxes
        self.stubs, self.frames = dict[str, Stub](), dict[str, Rectangle]()
        self.lanes = [
            self._lanes(i) if column.framed else {} for i, column in enumerate(self.columns)
        ]
        self._widths()
        self._heights()
        self._columns()
        self._left()

    def _lanes(self, i: int) -> dict[str | Port, int]:
        """The numbers of the lanes of a column, inner ones first, by what runs there."""
        spans: dict[str | Port, tuple[int, int]] = {}
        for edge in (*self.run.within, *self.run.given):
            (column, high), low = self.home[edge.target], self.home.get(edge.source, (0, -1))[1]
            key = edge.source if edge.source in self.home else (edge.source, edge.port)
            on_rail = key in self.rails and (high or key != self.rails[0])
            if column == i and (on_rail or (key in self.home and high > low + 1)):
                spans[key] = (low, max(high, spans.get(key, (0, 0))[1]))
        lanes: list[list[tuple[int, int]]] = []
        found = {}
        for key, (low, high) in sorted(spans.items(), key=lambda item: item[1][1] - item[1][0]):
            free = (
                k for k, lane in enumerate(lanes) if all(high <= a or b <= low for a, b in lane)
            )
            found[key] = next(free, len(lanes))
            if found[key] == len(lanes):
                lanes.append([])
            lanes[found[key]].append((low, high))
        return found

    # ---------------- how wide and how high
    def _row(self, r: int) -> list[tuple[Column, Box]]:
        return [(column, column.boxes[r]) for column in self.framed if r < len(column.boxes)]

    def _widths(self) -> None:
        """What stands on the spine and to the right of it, then the lanes; the same for all
        columns.
        """
        halves = sorted(
            footprint(box).shape_width / 2 for column in self.framed for box in column.boxes
        )
        self.spine = INDENT + min(halves[len(halves) // 2], SPINE)
        core = max(self._reach(column) for column in self.framed)
        self.depth, self.beside = max(len(column.boxes) for column in self.framed), set[int]()
        for r in range(self.depth):
            inside = [box for _, box in self._row(r) if box.id not in self.leaving]
            wide = (
                self.spine
                + 2 * GAP
                + max((text_width(flow) for box in inside for flow in box.flows), default=0.0)
            )
            if wide <= max(core, ROOM):
                self.beside.add(r)
                core = max(core, wide)
        self.lane = core + MARGIN
        self.width = self.lane + max(
            (LANE * k + MARGIN for lanes in self.lanes for k in lanes.values()), default=0.0
        )

    def _reach(self, column: Column) -> float:
        """How far to the right of a column's left side its boxes reach, their lines, and the texts
        of the state.
        """
        reach = [self._middle(column, box) + footprint(box).shape_width / 2 for box in column.boxes]
        reach += [self.spine + MARGIN + _widest(sides) for sides in column.sides.values()]
        reach += [
            self.bus(column, box) + GAP
            for box in column.boxes
            if len(column.sides.get(box.id, ())) > 1
        ]
        texts = [
            text_width(flow) for box in column.boxes if box.id in self.leaving for flow in box.flows
        ]
        return max(reach + [self.spine + 2 * MARGIN + text for text in texts])

    def _middle(self, column: Column, box: Box) -> float:
        """The middle of an operator, from the left side of its column: on the spine, if it is not
        too wide for that.
        """
        half = footprint(box).shape_width / 2
        return max(self.spine if column.framed else 0.0, INDENT + half)

    def bus(self, column: Column, box: Box) -> float:
        """Where lines of side boxes rise, all but the first: up into the operator or, if they miss
        it, past its right.
        """
        x = self.spine + MARGIN + _widest(column.sides[box.id][:-1]) + STACKED
        middle, half = self._middle(column, box), footprint(box).shape_width / 2
        return x if x < middle + 0.75 * half else max(x, middle + half + 2 * MARGIN)

    def _heights(self) -> None:
        """From below to above: the boxes below an operator, its own, what is written above it."""
        self.rows = list[
            float
        ]()  # the middles; rises: how far above them lines end inside a column, turn to leave it
        self.rises, y = list[tuple[float, float]](), 0.0
        for r in range(self.depth):
            row = self._row(r)
            height = max(footprint(box).shape_height for _, box in row)
            y -= (
                ARRIVAL
                + max(_pile(column.sides.get(box.id, ())) for column, box in row)
                + height / 2
            )
            self.rows.append(y)
            flows = [flow for _, box in row for flow in box.flows]
            lines = (
                max((bool(flow.above) + bool(flow.below) for flow in flows), default=0)
                if r in self.beside
                else 0
            )
            self.rises.append((height / 2 + max(LINE * lines + 4, 10.0), height / 2 + TURNED))
            above = LINE * max((len(flow.above) for flow in flows), default=0) + 4
            turns = any(box.id in self.leaving for _, box in row)
            passes = any(box.id in lanes for _, box in row for lanes in self.lanes)
            y -= max(self.rises[-1][0] + PASSED * passes, (self.rises[-1][1] + above) * turns)
        self.top = y - HEADING

    # ---------------- places
    def _columns(self) -> None:
        gutter = 2 * GAP + LANE * len(self.rails) if self.run.high else 0.0
        self.left = gutter + max(
            (footprint(box).width for box in self.run.leaves.values()), default=0.0
        )
        x = self.left + LEFT if self.run.leaves or self.near else self.left + 2 * GAP
        for i, column in enumerate(self.columns):
            column.x, column.right = x, x + self.width
            if column.framed:
                self.frames[column.key] = (x, self.top, x + self.width, 0.0)
            for box in column.boxes:
                (self._operator if column.framed else self._skipped)(column, box)
                self._sides(column, box)
            x = column.right + 2 * GAP + LANE * max(len(self.leavers(i)) - 1, 0)
        self.right = x

    def leavers(self, i: int) -> list[Port]:
        """What runs from a column into the gap to the right of it."""
        return list(
            dict.fromkeys((e.source, e.port) for e in self.onward if self.home[e.source][0] == i)
        )

    def _operator(self, column: Column, box: Box) -> None:
        middle, row = self._middle(column, box), self.home[box.id][1]
        self.places[box.id] = (column.x + middle, self.rows[row])
        dx, (inside, turned) = self.spine - middle, self.rises[row]
        start = (dx, -end(box, dx))
        stub = Stub((start, (dx, -inside)), "beside" if row in self.beside else "")
        if box.id in self.leaving:
            stub = Stub((start, (dx, -turned), (self.width - middle, -turned)))
        self.stubs.update((flow.id, stub) for flow in box.flows)

    def _skipped(self, column: Column, box: Box) -> None:
        """The box of the steps left out: at the height of what its first value leads to; ports from
        below to above.
        """
        size, sides = footprint(box), column.sides.get(box.id, ())
        half, middle = size.shape_width / 2, self._middle(column, box)
        column.right = column.x + max(INDENT + size.width, self.spine + COMB + _widest(sides))
        ports = size.ports[::-1]
        rows = [
            self.home[edge.target][1]
            for edge in self.run.across
            if edge.source == box.id and not edge.port
        ]
        y = self.rows[rows[0] if rows else self.depth // 2] - (ports[0] if ports else 0.0)
        self.places[box.id] = (
            column.x + middle,
            min(y, -ARRIVAL - _pile(sides) - size.shape_height / 2),
        )
        for flow, dy in zip(box.flows, ports, strict=True):
            self.stubs[flow.id] = Stub(((half, dy), (column.right - column.x - middle, dy)))

    def _sides(self, column: Column, box: Box) -> None:
        """What only this operator reads: below it, to the right of the spine; and where the line
        from there begins.

        From the first box it leads straight up, from others to a bus at their right, which may lie
        above the last one. Below the box of steps left out the bus is at the left: what that box
        leads to is at its right.
        """
        (middle, y), sides = self.places[box.id], column.sides.get(box.id, ())
        y += footprint(box).shape_height / 2 + ARRIVAL
        left = column.x + self.spine + (MARGIN if column.framed else COMB)
        mirrored = middle + max(middle - column.x - self.spine, 12.0)
        for k, item in enumerate(sides):
            wide, tall = footprint(item).shape_width, footprint(item).shape_height
            up = (
                column.x + self.bus(column, box)
                if k
                else min(max(mirrored, left + 6), left + wide - 6)
            )
            place = self.places[item.id] = (left + wide / 2, y + tall / 2)
            if not column.framed:
                dx, dy = -wide / 2, 0.0
            elif up <= left + wide - 4:
                dx, dy = up - place[0], -tall / 2
            else:
                dx, dy = wide / 2, 0.0
            self.starts[item.id] = (place[0] + dx, place[1] + dy)
            if item.kind != "ghost":
                self.stubs.update(
                    {flow.id: Stub(((dx, dy), (dx, dy - 2)), "") for flow in item.flows}
                )
            y += tall + STACKED

    def _left(self) -> None:
        """What comes from the left, as near as may be to what it leads to: leaves, and lines from
        farther away.
        """
        wishes: dict[Port, float] = {}
        for edge in self.run.given:
            key = (edge.source, edge.port)
            if edge.source in self.run.leaves or key in self.near:
                wishes.setdefault(
                    key, 0.0 if key in self.rails else self.rows[self.home[edge.target][1]]
                )
        sizes = {key: footprint(leaf) for key, leaf in self.run.leaves.items()}
        heights = {
            key: sizes[key[0]].height + STACKED if key[0] in sizes else THROUGH for key in wishes
        }
        total, self.lefts = sum(heights.values()), dict[Port, float]()
        y = min(sum(wishes.values()) / max(len(wishes), 1) - total / 2, -total)
        for key in sorted(wishes, key=lambda key: wishes[key]):
            self.lefts[key] = y + heights[key] / 2
            if key[0] in sizes:
                self.places[key[0]] = (self.left - sizes[key[0]].width / 2, self.lefts[key])
            y += heights[key]


def _pile(sides: Sequence[Box]) -> float:
    return sum(footprint(box).shape_height + STACKED for box in sides)


def _widest(sides: Sequence[Box]) -> float:
    return max((footprint(box).shape_width for box in sides), default=0.0)
