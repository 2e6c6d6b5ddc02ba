"""Coordinates for a plan: columns side by side in rows as wide as the page, open groups with their
insides in them.

An inside is a row of columns. Opening a group makes its box larger; the things in its column move
apart, and what no longer fits into a row goes into the next. Between two columns lines bend; in a
column they run straight between boxes, so no line crosses a box or a text.
`explorer.js` does the same on a screen when a box is opened, without what makes lines straighter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean

from ..scene.picture import Cluster, Edge, Picture
from ..scene.text import width
from .geometry import SMALL, TURN, Layout, Point, Rectangle, footprint, rounded, side
from .plan import SPACE, Part, Plan, half, is_leaf, parts_of, spread, start_of, stop_of, weight

GAP, MORE, CROWD = 22.0, 3.0, 10  # between columns; for each line there; of so many at most
LANE, MARGIN, GUTTER = 7.0, 10.0, 16.0  # of lines that return to the next row
FRAME, CAPTION = 10.0, 24.0  # inside a frame: at the sides, above
BESIDE = 40.0  # reserved between two columns
ROWS = 150.0  # what the rows before and after a group that fills the page take
OPEN = 100.0  # an open group is so many times harder to move
PASSES = 3  # lines are brought near to boxes so many times, for they wait for each other
FULL = 0.6  # a row is filled to this part at least before it may end


@dataclass
class Block:
    """An inside with coordinates, from its left upper corner."""

    width: float = 0.0
    height: float = 0.0
    places: dict[str, Point] = field(default_factory=dict)
    curves: dict[str, tuple[Point, ...]] = field(default_factory=dict)
    frames: dict[str, Rectangle] = field(default_factory=dict)
    borders: dict[str, float] = field(default_factory=dict)  # heights of entries and exits

    def add(self, other: Block, dx: float, dy: float) -> None:
        """Put another block into this one."""
        self.places |= {key: (x + dx, y + dy) for key, (x, y) in other.places.items()}
        self.curves |= {
            key: tuple((x + dx, y + dy) for x, y in points) for key, points in other.curves.items()
        }
        self.frames |= {
            key: (a + dx, b + dy, c + dx, d + dy) for key, (a, b, c, d) in other.frames.items()
        }


@dataclass
class _Thing:
    """What stands in a column: how wide it is, how far it reaches above and below its line."""

    width: float
    above: float
    below: float
    weight: float
    block: Block | None = None


def arrange(
    picture: Picture, plans: dict[str | None, Plan], room: float | None, engine: str
) -> Layout:
    """The layout of a picture, in rows of at most `room` pixels."""
    opened = {cluster.face.id: cluster for cluster in picture.clusters}
    block = _Page(parts_of(picture), plans, opened).block(None, room or float("inf"))
    ports = {flow: dy for plan in plans.values() for flow, dy in plan.outs.items()}
    size = block.width, block.height
    return Layout(engine, block.places, block.curves, block.frames, ports, size)


def settled(part: Part, plan: Plan) -> list[dict[str, float]]:
    """The heights in each column of an inside in which everything is closed."""
    inside = _Inside(None, _Page({None: part}, {None: plan}, {}), float("inf"))
    return [
        {key: inside.heights[c, key] for key in column} for c, column in enumerate(plan.columns)
    ]


@dataclass
class _Page:
    """What all insides of a picture have in common, and their blocks by the room that they had."""

    parts: dict[str | None, Part]
    plans: dict[str | None, Plan]
    opened: dict[str, Cluster]
    blocks: dict[tuple[str | None, float], Block] = field(default_factory=dict)

    def block(self, cluster: str | None, room: float) -> Block:
        """The block of an inside, made once: without this, the tries of each level multiply."""
        if (cluster, room) not in self.blocks:
            self.blocks[cluster, room] = _Inside(cluster, self, room).block
        return self.blocks[cluster, room]


class _Inside:
    """The arrangement of one inside."""

    def __init__(self, cluster: str | None, page: _Page, room: float) -> None:
        self.page, self.opened = page, page.opened
        self.part, self.plan = page.parts[cluster], page.plans[cluster]
        self.boxes = {box.id: box for box in self.part.boxes}
        self.block = Block()
        self.columns = {
            key: c for c, column in enumerate(self.plan.columns) for key in column if ":" not in key
        }
        self.spans = [
            (edge, self.columns[start_of(edge)], self.columns[stop_of(edge)])
            for edge in self.part.ahead
        ]
        self.crossing = [
            [edge for edge, a, b in self.spans if a <= c < b] for c in range(len(self.plan.columns))
        ]
        lanes = MARGIN + 2 * LANE if len(self.plan.columns) > 1 else 0.0
        for _ in range(2):  # open groups leave room for lines that return beside them
            self.things = {
                key: self._thing(key, room, room - 2 * lanes)
                for column in self.plan.columns
                for key in column
            }
            returning = self._place(room)
            if self.block.width <= room or returning <= lanes:
                break
            lanes = returning
        for edge, a, b in self.spans:
            self.block.curves[edge.id] = self._way(edge, a, b)
        self._loops()

    def _thing(self, key: str, room: float, whole: float) -> _Thing:
        heavy = weight(key, self.boxes)
        if key not in self.opened:
            tall = half(key, self.boxes)
            wide = footprint(self.boxes[key]).width if key in self.boxes else 0.0
            return _Thing(wide, tall, tall, heavy)
        cluster = self.opened[key]
        whole, beside = whole - 2 * FRAME, self._beside(key, room) - 2 * FRAME
        inner = self.page.block(cluster.id, whole)
        if room / 2 < beside < inner.width:
            narrow = self.page.block(cluster.id, beside)
            fits = narrow.width <= beside and narrow.height < inner.height + ROWS
            inner = narrow if fits else inner
        wide = max(inner.width, width(cluster.label, SMALL) + 8) + 2 * FRAME
        tall = inner.height + CAPTION + FRAME
        borders = inner.borders
        above = CAPTION + next(iter(borders.values()), inner.height / 2)
        block = Block(wide, tall, borders={k: y + CAPTION - above for k, y in borders.items()})
        block.add(inner, (wide - inner.width) / 2, CAPTION)
        for edge in self.page.parts[cluster.id].edges:  # from border to border of the frame
            points = block.curves[edge.id]
            if not edge.source:
                border = (0.0, points[0][1])
                points = (border, *_line(border, points[0]), *points[1:])
            if not edge.target:
                points = (*points, *_line(points[-1], (wide, points[-1][1])))
            block.curves[edge.id] = points
        return _Thing(wide, above, tall - above, OPEN * heavy, block)

    def _beside(self, key: str, room: float) -> float:
        """How much of a row the other columns leave to an open group."""
        others = [column for column in self.plan.columns if key not in column]
        faces = [[self.boxes[k] for k in column if k in self.boxes] for column in others]
        wide = (max((footprint(box).width for box in column), default=0.0) for column in faces)
        return room - sum(wide) - len(others) * BESIDE

    # ---------------- places
    def _place(self, room: float) -> float:
        """Put everything into rows; how much room lines that return take at either side."""
        plan, things = self.plan, self.things
        self.wide = [
            max((things[key].width for key in column), default=0.0) for column in plan.columns
        ]
        self.gaps = [GAP + MORE * min(CROWD, len(lines)) for lines in self.crossing]
        left = 0.0
        while True:  # lines that return need room, too
            self.rows = self._rows(room - 2 * left)
            returns = [self._trunks(row[-1]) for row in self.rows[:-1]]
            needed = MARGIN + LANE * max(returns) if returns else 0.0
            if needed <= left:
                break
            left = needed
        self.left: dict[int, float] = {}
        self.heights: dict[tuple[int, str], float] = {}
        self.row_of: dict[int, int] = {}
        self.ends: list[tuple[float, float, float]] = []  # of each row: right end, top, bottom
        top, right = 0.0, 0.0
        for r, row in enumerate(self.rows):
            x = left
            for c in row:
                self.left[c], self.row_of[c] = x, r
                x += self.wide[c] + self.gaps[c] * (c != row[-1])
            heights = self._heights(row)
            reach = [
                (y - things[key].above, y + things[key].below)
                for c in row
                for key, y in heights[c].items()
            ] or [(0.0, 0.0)]
            high, low = min(a for a, _ in reach), max(b for _, b in reach)
            for c in row:
                for key, y in heights[c].items():
                    self.heights[c, key] = y - high + top
            bottom = top + low - high
            self.ends.append((x, top, bottom))
            right = max(right, x)
            top = bottom + GUTTER + (LANE * returns[r] if r < len(returns) else 0.0)
        self.block.width = right + left
        self.block.height = self.ends[-1][2] if self.ends else 0.0
        for (c, key), y in self.heights.items():
            if key in self.boxes:
                self._put(key, self.left[c] + self.wide[c] / 2, y)
            elif key[0] in "<>":
                self.block.borders[key] = y
        return left

    def _heights(self, row: list[int]) -> dict[int, dict[str, float]]:
        """The heights in the columns of a row: those of the plan, moved with the lines that arrive,
        and apart.
        """
        moved: dict[tuple[int, str], list[float]] = {}
        found: dict[int, dict[str, float]] = {}
        for c in row:
            column = self.plan.columns[c]
            shifts = {key: fmean(moved[c, key]) for key in column if (c, key) in moved}
            usual = fmean(shifts.values()) if shifts else 0.0
            wanted = {key: y + shifts.get(key, usual) for key, y in column.items()}
            keys = sorted(column, key=column.__getitem__)
            found[c] = self._spread(keys, [wanted[key] for key in keys])
            for edge, a, b in self.spans:
                given = a == c and edge.source and is_leaf(self.boxes[edge.source])
                if not a <= c < b or given:
                    continue
                here = start_of(edge) if a == c else self.part.trunks[edge.id]
                shift = found[c][here] - column[here] + (self._outer(edge, True) if a == c else 0.0)
                if c + 1 < b:
                    moved.setdefault((c + 1, self.part.trunks[edge.id]), []).append(shift)
                else:
                    moved.setdefault((b, stop_of(edge)), []).append(
                        shift - self._outer(edge, False)
                    )
        self._straighten(row, found)
        return found

    def _straighten(self, row: list[int], found: dict[int, dict[str, float]]) -> None:
        """Bring lines that pass columns near to the boxes there, each at one height in its row;
        then the ends of lines at the border to the lines.
        """
        passed: dict[str, list[int]] = {}
        for c in row:
            for key in found[c]:
                if ":" in key:
                    passed.setdefault(key, []).append(c)
        middles = {c: self._middle(found[c]) for c in row}

        def side(key: str) -> float:
            return fmean(found[c][key] - middles[c] for c in passed[key])

        inwards = sorted(passed, key=lambda key: abs(side(key)))
        for key in inwards * PASSES:
            down = 1 if side(key) > 0 else -1
            heights = []
            for c in passed[key]:
                inner = [k for k, y in found[c].items() if down * (found[c][key] - y) > 0]
                heights += [down * found[c][k] + self._reach(k, down) for k in inner]
            height = down * (max(heights, default=0.0) + SPACE + self._reach(key, -down))
            columns = [found[c] for c in passed[key]]
            if heights and all(
                down * (y - height) >= self._reach(key, down) + self._reach(k, -down)
                for column in columns
                for k, y in column.items()
                if down * (y - column[key]) > 0 and ":" not in k
            ):
                for column in columns:
                    column[key] = height
        self._borders(row, found)

    def _borders(self, row: list[int], found: dict[int, dict[str, float]]) -> None:
        wanted: dict[str, list[float]] = {}
        for edge, a, b in self.spans:
            for c, key, end in ((a + 1, start_of(edge), a), (b - 1, stop_of(edge), b)):
                if key[0] in "<>" and c in found and end in found:
                    near = self.part.trunks[edge.id]
                    other = stop_of(edge) if key[0] == "<" else start_of(edge)
                    if near in found[c] or other in found[c]:
                        wanted.setdefault(key, []).append(
                            found[c].get(near, found[c].get(other, 0.0))
                        )
        for c in row:
            if any(key in wanted for key in found[c]):
                keys = sorted(found[c], key=found[c].__getitem__)
                heights = [fmean(wanted.get(key, [found[c][key]])) for key in keys]
                found[c] = self._spread(keys, heights)

    def _spread(self, keys: list[str], heights: list[float]) -> dict[str, float]:
        reach = [self.things[key] for key in keys]
        things = [(y, t.above, t.below, t.weight) for y, t in zip(heights, reach, strict=True)]
        return dict(zip(keys, spread(things), strict=True))

    def _reach(self, key: str, down: int) -> float:
        """How far a thing reaches below (1) or above (-1) its line."""
        return self.things[key].below if down > 0 else self.things[key].above

    def _middle(self, column: dict[str, float]) -> float:
        """The height of the heaviest things in a column."""
        heavy = max((self.things[key].weight for key in column), default=0.0)
        heights = [y for key, y in column.items() if self.things[key].weight == heavy]
        return fmean(heights) if heights else 0.0

    def _outer(self, edge: Edge, start: bool) -> float:
        """How much farther from the middle of a box an edge begins or ends where that is open."""
        if (edge.source if start else edge.target) not in self.opened:
            return 0.0
        return self._border(edge, start) - self._dock(edge, start)

    def _border(self, edge: Edge, start: bool) -> float:
        block = self.things[edge.source if start else edge.target].block
        assert block is not None
        return block.borders[f">{edge.port}" if start else f"<{edge.slot}"]

    def _dock(self, edge: Edge, start: bool) -> float:
        if not start:
            return self.plan.ins[edge.id]
        return self.plan.outs[self.boxes[edge.source].flows[edge.port].id]

    def _put(self, key: str, x: float, y: float) -> None:
        thing = self.things[key]
        self.block.places[key] = x, y
        if thing.block is not None:
            left, top = x - thing.width / 2, y - thing.above
            self.block.add(thing.block, left, top)
            frame = (left, top, left + thing.width, top + thing.block.height)
            self.block.frames[self.opened[key].id] = frame

    def _rows(self, room: float) -> list[list[int]]:
        """The columns in rows; a row ends where few lines are cut."""
        rows: list[list[int]] = []
        start, n = 0, len(self.wide)
        loops = [
            sorted((self.columns[edge.source], self.columns[edge.target]))
            for edge in self.part.edges
            if edge.back
        ]
        while start < n:
            x = 0.0
            fits: list[tuple[int, float]] = []
            for c in range(start, n):
                x += self.wide[c]
                if x > room and fits:
                    break
                if self._breaks(c, loops):
                    fits.append((c, x))
                x += self.gaps[c]
            last = fits[-1][0]
            if last + 1 < n:
                full = [c for c, x in fits if x >= FULL * fits[-1][1]]
                last = min(full, key=lambda c: (self._trunks(c), -c))
            rows.append(list(range(start, last + 1)))
            start = last + 1
        return rows or [[]]

    def _breaks(self, c: int, loops: list[list[int]]) -> bool:
        """May a row end after a column? Not within a loop, nor between a border and the boxes."""
        first, last = self.plan.columns[0], self.plan.columns[-1]
        bare = (c == 0 and all(key[0] == "<" for key in first)) or (
            c == len(self.wide) - 2 and all(key[0] == ">" for key in last)
        )
        return not bare and not any(a <= c < b for a, b in loops)

    def _trunks(self, c: int) -> int:
        """How many lines run on after a column."""
        return len({self.part.trunks[edge.id] for edge in self.crossing[c]})

    # ---------------- lines
    def _height(self, c: int, edge: Edge) -> float:
        """The height at which an edge passes a column, leaves it or arrives there."""
        start, stop = self.columns[start_of(edge)], self.columns[stop_of(edge)]
        if c not in (start, stop):
            return self.heights[c, self.part.trunks[edge.id]]
        key = start_of(edge) if c == start else stop_of(edge)
        y = self.heights[c, key]
        if key not in self.boxes:
            return y
        return y + (self._border if key in self.opened else self._dock)(edge, c == start)

    def _way(self, edge: Edge, a: int, b: int) -> tuple[Point, ...]:
        heights = [self._height(c, edge) for c in range(a, b + 1)]
        start = self._begin(edge, a) if edge.source else 0.0
        points: tuple[Point, ...] = ((start, heights[0]),)
        for c, (y0, y1) in zip(range(a, b), pairwise(heights), strict=True):
            points = (*points, *_line(points[-1], (self.left[c] + self.wide[c], y0)))
            if self.row_of[c] == self.row_of[c + 1]:
                x0, x1 = points[-1][0], self.left[c + 1]
                bend = (x0 + x1) / 2
                points = (*points, (bend, y0), (bend, y1), (x1, y1))
            else:
                points = (*points, *self._return(edge, c, y0, y1)[1:])
        stop = (
            self._side(edge, self.left[b] + self.wide[b] / 2) if edge.target else self.block.width
        )
        return (*points, *_line(points[-1], (stop, heights[-1])))

    def _begin(self, edge: Edge, c: int) -> float:
        """Where the right end of the source is."""
        return self.left[c] + (self.wide[c] + self.things[edge.source].width) / 2

    def _side(self, edge: Edge, middle: float) -> float:
        """Where the left side of the target is."""
        box, thing = self.boxes[edge.target], self.things[edge.target]
        if thing.block is not None:
            return middle - thing.width / 2
        size = footprint(box)
        return middle - size.width / 2 + size.shape_width / 2 - side(box, self.plan.ins[edge.id])

    def _return(self, edge: Edge, c: int, y0: float, y1: float) -> tuple[Point, ...]:
        """From the end of a row to the beginning of the next, in a lane of its own."""
        lines = sorted(self.crossing[c], key=lambda other: self._height(c, other))
        trunks = list(dict.fromkeys(self.part.trunks[line.id] for line in lines))
        k, n = trunks.index(self.part.trunks[edge.id]), len(trunks)
        end, _, bottom = self.ends[self.row_of[c]]
        right = end + MARGIN + LANE * (n - 1 - k)
        gutter = bottom + GUTTER / 2 + LANE * (n - 1 - k)
        left = self.left[c + 1] - MARGIN - LANE * k
        corners = [
            (self.left[c] + self.wide[c], y0),
            (right, y0),
            (right, gutter),
            (left, gutter),
            (left, y1),
            (self.left[c + 1], y1),
        ]
        return rounded(corners, TURN)

    def _loops(self) -> None:
        """Lines that lead back run below everything."""
        for k, edge in enumerate(edge for edge in self.part.edges if edge.back):
            a, b = self.columns[edge.source], self.columns[edge.target]
            y0, y1 = self._height(a, edge), self._height(b, edge)
            low = self.block.height + MARGIN + LANE * k
            right = self.left[a] + self.wide[a] + MARGIN
            left = self.left[b] - MARGIN
            start = self._begin(edge, a)
            stop = self._side(edge, self.left[b] + self.wide[b] / 2)
            corners = [(start, y0), (right, y0), (right, low), (left, low), (left, y1), (stop, y1)]
            self.block.curves[edge.id] = rounded(corners, TURN)
        loops = sum(edge.back for edge in self.part.edges)
        self.block.height += (MARGIN + LANE * loops) * bool(loops)


def _line(start: Point, stop: Point) -> tuple[Point, ...]:
    """A straight line to `stop`, as Bézier points; nothing if it has no length."""
    (x0, y0), (x1, y1) = start, stop
    if start == stop:
        return ()
    return ((2 * x0 + x1) / 3, (2 * y0 + y1) / 3), ((x0 + 2 * x1) / 3, (y0 + 2 * y1) / 3), (x1, y1)
