"""The lines of unrolled layers: where they begin, run and end. Read from the SVG."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from viz.sheet import curve, marks
from viz.unrolled import ENGINES, PICTURES, SVG, columns, drawn, drawn_by, groups

from minigrad.viz.page.blocks import Blocks


@pytest.fixture(params=[(engine, name) for name in PICTURES for engine in ENGINES], ids="-".join)
def drawing(request, monkeypatch):
    return drawn_by(*request.param, monkeypatch)


def test_lines_run_through_no_text_and_no_foreign_shape(drawing):
    """In a block; around it the engine finds the ways, and the plain layout does not promise
    any.
    """
    found = marks(drawing.svg)
    places = {
        mark.group: mark.box for mark in found if mark.kind == "shape" and "node" in mark.classes
    }
    blocks = Blocks(drawing.picture).block
    foreign = [mark for mark in found if mark.kind == "shape" and blocks.get(mark.group)]
    flows = {flow.id: box.id for box in drawing.picture.boxes for flow in box.flows}
    foreign += [
        mark for mark in found if mark.tag == "text" and blocks.get(flows.get(mark.group, ""))
    ]
    assert foreign and places.keys() >= set(blocks)
    edges = {
        edge.id: edge
        for edge in drawing.picture.edges
        if edge.source in blocks or edge.target in blocks
    }
    lines = groups(drawing.svg, "edge")
    for key in edges:
        points = curve(lines[key].find(f"{SVG}path").get("d"))
        points = [
            (a + (c - a) * k / 8, b + (d - b) * k / 8)
            for (a, b), (c, d) in pairwise(points)
            for k in range(8)
        ]
        for mark in (
            mark for mark in foreign if mark.group not in (edges[key].source, edges[key].target)
        ):
            left, top, right, bottom = mark.box
            rim = 2.0 if mark.tag == "text" else 0.0
            assert not any(left < x < right and top + rim < y < bottom - rim for x, y in points), (
                key,
                mark,
            )


def test_lines_begin_where_a_value_leaves_and_end_at_the_box(drawing):
    boxes = {
        mark.group: mark.box
        for mark in marks(drawing.svg)
        if mark.kind == "shape" and "node" in mark.classes
    }
    edges, flows = groups(drawing.svg, "edge"), groups(drawing.svg, "flow")
    blocks, kinds = (
        Blocks(drawing.picture).block,
        {box.id: box.kind for box in drawing.picture.boxes},
    )
    for edge in (edge for edge in drawing.picture.edges if edge.target in blocks):
        source = next(box for box in drawing.picture.boxes if box.id == edge.source)
        x, y = (
            float(c)
            for c in edges[edge.id].find(f"{SVG}polygon").get("points").split()[0].split(",")
        )
        left, top, right, bottom = boxes[edge.target]
        assert left - 0.6 <= x <= right + 0.6 and top - 0.6 <= y <= bottom + 0.6
        if kinds[edge.target] in ("scalar", "broadcasted"):
            across, down = (
                (2 * x - left - right) / (right - left),
                (2 * y - top - bottom) / (bottom - top),
            )
            assert 0.95 < math.hypot(across, down) < 1.05  # on its outline
        start = curve(edges[edge.id].find(f"{SVG}path").get("d"))[0]
        flow = source.flows[edge.port].id
        way = curve(flows[flow].find(f"{SVG}path").get("d")) if flow in flows else []
        left, top, right, bottom = boxes[edge.source]
        at_box = left - 0.6 <= start[0] <= right + 0.6 and top - 0.6 <= start[1] <= bottom + 0.6
        assert (
            at_box if not way else min(math.dist(start, point) for point in way) < 3.0
        )  # at the corner


def rail(drawing, edges):
    """The heights at which these lines run level for longest."""
    lines = groups(drawing.svg, "edge")
    for edge in edges:
        points = curve(lines[edge.id].find(f"{SVG}path").get("d"))[
            ::32
        ]  # the ends of straight pieces and corners
        yield max((c - a, b) for (a, b), (c, d) in pairwise(points) if abs(b - d) < 0.2)[1]


@pytest.mark.parametrize("name", ["3 and 3", "all 28", "built unrolled"])
def test_data_comes_on_one_rail_below_and_states_leave_on_one_above(name):
    made = drawn(name)
    edges, boxes = made.picture.edges, {box.id: box for box in made.picture.boxes}
    frames = [
        mark.box
        for mark in marks(made.svg)
        if mark.kind == "frame" and mark.group in made.picture.runs[0]
    ]
    (transpose,) = (box.id for box in boxes.values() if box.lines[0] == "transpose")
    (stack,) = (box.id for box in boxes.values() if box.lines[0] == "stack")
    below = set(rail(made, [edge for edge in edges if edge.source == transpose][1:]))
    above = set(rail(made, [edge for edge in edges if edge.target == stack][:-1]))
    assert len(below) == len(above) == 1
    assert below.pop() > max(frame[3] for frame in frames) and above.pop() < min(
        frame[1] for frame in frames
    )
    lines = groups(made.svg, "edge")
    tips = {
        lines[e.id].find(f"{SVG}polygon").get("points").split()[0]
        for e in edges
        if e.target == stack
    }
    assert len(tips) == 1


def test_the_lines_of_the_steps_left_out_do_not_cross():
    made = drawn("3 and 3")
    lines = groups(made.svg, "edge")
    onward, out = (
        curve(lines[e.id].find(f"{SVG}path").get("d"))
        for e in made.picture.edges
        if e.source == "m5"
    )
    assert out[-1][1] < out[0][1] < onward[0][1]  # what leads up starts above


def test_the_state_runs_from_column_to_column():
    made = drawn("3 and 3")
    (inner,) = columns(made)
    edges = {(edge.source, edge.target): edge for edge in made.picture.edges}
    for before, after in pairwise(inner):
        source, target = before[-1].id if before else "m5", after[2].id if after else "m5"
        line = curve(groups(made.svg, "edge")[edges[source, target].id].find(f"{SVG}path").get("d"))
        assert line[0][0] < line[-1][0]
        assert all(
            a[0] <= b[0] + 3 for a, b in pairwise(line)
        )  # never back, but under the arrow head
