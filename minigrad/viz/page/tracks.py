"""The lines of an unrolled layer: straight ways with round corners, between the boxes that
`columns.py` has placed.
"""

from __future__ import annotations

from collections.abc import Hashable

from ..scene.picture import Box, Edge
from .columns import COMB, GAP, LANE, Column, Columns, Port
from .geometry import TURN, Point, end, footprint, rounded, side

RAIL, OVER = 9.0, 10.0  # from one rail to the next; from the columns to the first one
SPREAD = 9.0  # between the ends of lines at one side of a box
# above and below where lines come in and go out, so that the boxes outside can stand at the same
# height
ROOM = 28.0


class Tracks:
    """The `curves` of a run's edges, by edge.

    Of those in `entries` it is the part from the left side of the run on, of those in `exits` the
    part up to its right side; the numbers are the heights there. `top` and `bottom` are those of
    the whole run.
    """

    def __init__(self, columns: Columns) -> None:
        self.at, self.run = columns, columns.run
        self.operators: dict[str, Box] = {
            box.id: box for column in columns.columns for box in column.boxes
        }
        self.curves: dict[str, tuple[Point, ...]] = {}
        self.entries: dict[str, float] = {}
        self.exits: dict[str, float] = {}
        self.outer = list(dict.fromkeys(edge.target for edge in self.run.gone))
        self.low = [OVER + RAIL * k for k in range(len(columns.rails))]
        self.high = [columns.top - OVER - RAIL * k for k in range(len(self.outer))]
        self.rights, self.lefts = self._rights(), self._lefts()
        for edge in self.run.within:
            self.curves[edge.id] = rounded(self._within(edge), TURN)
        for edge in columns.onward:
            self.curves[edge.id] = rounded(self._onward(edge), TURN)
        for edge in self.run.given:
            self.curves[edge.id] = (
                self._near(edge)
                if (edge.source, edge.port) in columns.near
                else self._from_rail(edge)
            )
        heights = [y for points in self.curves.values() for _, y in points]
        boxes = [
            (self.at.places[key][1], footprint(box).height / 2)
            for key, box in self.run.leaves.items()
        ]
        ends = [*self.entries.values(), *self.exits.values()]
        self.top = min(
            [columns.top, *heights, *(y - half for y, half in boxes), *(y - ROOM for y in ends)]
        )
        self.bottom = max(
            [0.0, *heights, *(y + half for y, half in boxes), *(y + ROOM for y in ends)]
        )

    # ---------------- where lines end
    def _rights(self) -> dict[tuple[str, Hashable], float]:
        """By box and what arrives there from the right: how far from its middle. The outer lanes
        arrive above.
        """
        arriving: dict[str, list[tuple[int, Hashable]]] = {}
        for edge in (*self.run.within, *self.run.given):
            i, key = self.at.home[edge.target][0], self._lane_key(edge)
            if key is not None:
                arriving.setdefault(edge.target, []).append((-self.at.lanes[i][key], key))
        for column in self.at.columns:
            for box in column.boxes:
                if (
                    len(column.sides.get(box.id, ())) > 1
                    and column.framed
                    and not self._bus(column, box)[1]
                ):
                    arriving.setdefault(box.id, []).append((1, "bus"))
        return {
            (box, key): dy
            for box, items in arriving.items()
            for (_, key), dy in zip(
                sorted(items, key=lambda item: item[0]), _spread(len(items)), strict=True
            )
        }

    def _lane_key(self, edge: Edge) -> str | Port | None:
        """What the edge runs in a lane as; None if it does not, or goes straight up."""
        i, row = self.at.home[edge.target]
        key = edge.source if edge.source in self.at.home else (edge.source, edge.port)
        straight = row == self.at.home[edge.source][1] + 1 if edge.source in self.at.home else False
        straight = straight or (row == 0 and key == next(iter(self.at.rails), None))
        return key if key in self.at.lanes[i] and not straight else None

    def _lefts(self) -> dict[str, float]:
        """By edge that arrives from the left: how far from its target's middle. Those from above
        arrive above.
        """
        arriving: dict[str, list[tuple[float, str]]] = {}
        for edge in self.run.across:
            arriving.setdefault(edge.target, []).append((self._exit(edge)[1], edge.id))
        for edge in self.run.given:
            if (edge.source, edge.port) in self.at.near:
                arriving.setdefault(edge.target, []).append(
                    (self.at.lefts[edge.source, edge.port], edge.id)
                )
        return {
            name: dy
            for items in arriving.values()
            for (_, name), dy in zip(sorted(items), _spread(len(items)), strict=True)
        }

    def _left(self, edge: Edge) -> Point:
        (x, y), dy = self.at.places[edge.target], self.lefts[edge.id]
        return x - side(self.operators[edge.target], dy), y + dy

    def _right(self, target: str, key: Hashable) -> Point:
        (x, y), dy = self.at.places[target], self.rights[target, key]
        return x + side(self.operators[target], dy), y + dy

    def _bottom(self, target: str, x: float) -> Point:
        middle, y = self.at.places[target]
        return x, y + end(self.operators[target], x - middle)

    def _exit(self, edge: Edge) -> Point:
        """Where the value has left its box and what is written about it."""
        box, (x, y) = self.operators[edge.source], self.at.places[edge.source]
        dx, dy = self.at.stubs[box.flows[edge.port].id].points[-1]
        return x + dx, y + dy

    # ---------------- ways
    def _within(self, edge: Edge) -> list[Point]:
        """Straight up the spine to the next row, in a lane to a row above that, from a ghost up to
        its user.
        """
        i, _ = self.at.home[edge.target]
        if edge.source not in self.at.home:
            return self._from_side(edge)
        box, (x, y), spine = (
            self.operators[edge.source],
            self.at.places[edge.source],
            self.at.columns[i].x + self.at.spine,
        )
        dx, dy = self.at.stubs[box.flows[edge.port].id].points[1]
        start, key = (x + dx, y + dy), self._lane_key(edge)
        if key is None:
            return [start, self._bottom(edge.target, spine)]
        lane, stop = self._lane(i, key), self._right(edge.target, key)
        if edge.source in self.at.leaving:
            return [start, (lane, start[1]), (lane, stop[1]), stop]
        turn = start[1] - TURN / 2
        return [start, (start[0], turn), (lane, turn), (lane, stop[1]), stop]

    def _lane(self, i: int, key: str | Port) -> float:
        return self.at.columns[i].x + self.at.lane + LANE * self.at.lanes[i][key]

    def _from_side(self, edge: Edge) -> list[Point]:
        i, _ = self.at.home[edge.target]
        column, target, (x, y) = self.at.columns[i], edge.target, self.at.starts[edge.source]
        if not column.framed:
            return [(x, y), (x - COMB / 2, y), self._bottom(target, x - COMB / 2)]
        if column.sides[target][0].id == edge.source:
            return [(x, y), self._bottom(target, x)]
        bus, below = self._bus(column, self.operators[target])
        start = [(x, y), *([] if x == bus else [(bus, y)])]
        stop = self._bottom(target, bus) if below else self._right(target, "bus")
        return [*start, *([] if below else [(bus, stop[1])]), stop]

    def _bus(self, column: Column, box: Box) -> tuple[float, bool]:
        """Where the bus of an operator is, and whether it arrives there from below."""
        x, middle = column.x + self.at.bus(column, box), self.at.places[box.id][0]
        return x, x < middle + footprint(box).shape_width / 2

    def _onward(self, edge: Edge) -> list[Point]:
        """Through the gap to the right: to the next column, or up to a rail that leads out."""
        i, _ = self.at.home[edge.source]
        x, y = self._exit(edge)
        lane = (
            self.at.columns[i].right
            + GAP
            + LANE * self.at.leavers(i).index((edge.source, edge.port))
        )
        if edge.target in self.outer:
            high = self.exits[edge.id] = self.high[self.outer.index(edge.target)]
            return [(x, y), (lane, y), (lane, high), (self.at.right, high)]
        stop = self._left(edge)
        return (
            [(x, y), stop] if abs(stop[1] - y) < 0.1 else [(x, y), (lane, y), (lane, stop[1]), stop]
        )

    def _near(self, edge: Edge) -> tuple[Point, ...]:
        """From the left into the first column."""
        x, y = self.at.left, self.at.lefts[edge.source, edge.port]
        stop = self._left(edge)
        bow = (x + stop[0]) / 2
        curve = ((x, y), (bow, y), (bow, stop[1]), stop)
        if edge.source in self.run.leaves:
            return curve
        self.entries[edge.id] = y
        return (*rounded([(0.0, y), (x, y)], TURN), *curve[1:])

    def _from_rail(self, edge: Edge) -> tuple[Point, ...]:
        """Along a rail below the columns, then up: on the spine to the lowest operator, in a lane
        to another.
        """
        i, _ = self.at.home[edge.target]
        key, column, lane = (edge.source, edge.port), self.at.columns[i], self._lane_key(edge)
        k = self.at.rails.index(key)
        if edge.source in self.run.leaves:
            x, y = self.at.left, self.at.lefts[key]
            start = [(x, y), (x + GAP + LANE * k, y), (x + GAP + LANE * k, self.low[k])]
        else:
            high, x = self.at.top - OVER + RAIL * k, GAP + LANE * (len(self.at.rails) - k)
            start = (
                [(0.0, high), (x, high), (x, self.low[k])]
                if self.run.high
                else [(0.0, self.low[k])]
            )
            self.entries[edge.id] = start[0][1]
        if lane is None:
            stop = self._bottom(
                edge.target, column.x + self.at.spine - LANE * k * (not column.framed)
            )
            return rounded([*start, (stop[0], self.low[k]), stop], TURN)
        stop, x = self._right(edge.target, lane), self._lane(i, lane)
        return rounded([*start, (x, self.low[k]), (x, stop[1]), stop], TURN)


def _spread(n: int) -> list[float]:
    """The places of n ends at one side of a box, from above to below, around its middle."""
    return [SPREAD * (i - (n - 1) / 2) for i in range(n)]
