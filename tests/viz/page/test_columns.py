"""Unrolled layers as columns: what stands where, and what is written. Read from the SVG and its
layout.
"""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest
from viz.sheet import apart, curve, inside, marks
from viz.unrolled import ENGINES, GRAPHS, PICTURES, SVG, columns, drawn, drawn_by, groups

from minigrad.viz import draw
from minigrad.viz.page.blocks import Blocks


@pytest.fixture(params=[(engine, name) for name in PICTURES for engine in ENGINES], ids="-".join)
def drawing(request, monkeypatch):
    return drawn_by(*request.param, monkeypatch)


def texts(group):
    return [(t.get("class"), t.text) for t in group.iter(f"{SVG}text")]


# ---------------- columns are time, rows are operators
def test_the_same_operator_stands_in_the_same_row_and_time_runs_to_the_right(drawing):
    places, frames = drawing.layout.places, drawing.layout.frames
    for run, inner in zip(drawing.picture.runs, columns(drawing), strict=True):
        shown = [operators for operators in inner if operators]
        for row in zip(*shown, strict=True):
            assert len({box.lines[0] for box in row}) == 1
            assert len({round(places[box.id][1], 6) for box in row}) == 1
            assert all(places[a.id][0] + 90 < places[b.id][0] for a, b in pairwise(row))
        for operators in shown:
            assert all(
                places[a.id][1] > places[b.id][1] + 40 for a, b in pairwise(operators)
            )  # upwards
        boxes = [
            frames[key] if key in frames else (places[key][0], 0, places[key][0], 0) for key in run
        ]
        assert all(a[2] < b[0] for a, b in pairwise(boxes))
        sizes = {
            tuple(np.round((b, d, c - a), 6))
            for a, b, c, d in (frames[key] for key in run if key in frames)
        }
        assert len(sizes) == 1


def test_columns_are_narrow():
    for name, most in (("3 and 3", 1340), ("all 28", 28 * 155 + 200)):
        made = drawn(name)
        (run,) = made.picture.runs
        wide = [
            c - a
            for a, _, c, _ in (made.layout.frames[key] for key in run if key in made.layout.frames)
        ]
        assert len(wide) >= 6 and max(wide) <= 150
        (tracks,) = Blocks(made.picture).tracks.values()
        assert tracks.at.right <= most


def test_a_long_layer_is_drawn_in_time():
    start = time.perf_counter()
    assert draw(GRAPHS["all 28"], unroll="all").svg
    assert time.perf_counter() - start < 3  # 0.2 s on an idle machine


# ---------------- everything is there
def test_every_box_edge_and_flow_is_in_the_svg_with_its_title(drawing):
    nodes, edges, flows = (groups(drawing.svg, kind) for kind in ("node", "edge", "flow"))
    assert list(nodes) == [box.id for box in drawing.picture.boxes]
    for box in drawing.picture.boxes:
        assert [text for _, text in texts(nodes[box.id])] == list(box.lines)
        assert nodes[box.id].find(f"{SVG}title").text == box.title
        for flow in box.flows:
            if flow.above or flow.below:
                assert flows[flow.id].find(f"{SVG}title").text == flow.title
    assert {key: g.find(f"{SVG}title").text for key, g in edges.items()} == {
        e.id: e.title for e in drawing.picture.edges
    }
    frames = groups(drawing.svg, "cluster")
    shown = {key.partition(".")[0] for key in frames}
    assert drawing.layout.engine == "layers" or shown == {
        cluster.id for cluster in drawing.picture.clusters
    }
    assert {key for run in drawing.picture.runs for key in run if key.startswith("c")} <= shown
    labels = {cluster.id: cluster.label for cluster in drawing.picture.clusters}
    written = [element.text for element in ET.fromstring(drawing.svg).iter(f"{SVG}text")]
    assert {labels[key] for run in drawing.picture.runs for key in run if key in labels} <= set(
        written
    )


def test_states_say_all_and_inner_values_the_number_without_the_shape(drawing):
    flows = groups(drawing.svg, "flow")
    homes = {
        box.id: i
        for inner in columns(drawing)
        for i, operators in enumerate(inner)
        for box in operators
    }
    onward = {
        e.source
        for e in drawing.picture.edges
        if e.source in homes and homes.get(e.target) != homes[e.source]
    }
    assert onward
    for box in drawing.picture.boxes:
        for flow in box.flows:
            found = texts(flows[flow.id]) if flow.id in flows else []
            value = [
                *(("v", line) for line in flow.above[-1:]),
                *(("d", line) for line in (flow.below,) if line),
            ]
            if box.id in onward or box.cluster not in {
                key for run in drawing.picture.runs for key in run
            }:
                shape = [("s", line) for line in flow.above[:-1]]
                assert sorted(found) == sorted([*shape, *value])
            elif box.kind in ("scalar", "broadcasted"):
                assert found in (value, [])


def test_numbers_inside_a_column_are_shown_where_they_fit():
    flows = groups(drawn("3 and 3").svg, "flow")
    (inner,) = columns(drawn("3 and 3"))
    for operators in inner:
        assert all(texts(flows[f"{box.id}f0"]) for box in operators)


def test_the_value_stands_above_the_line_of_a_state_and_the_gradient_below():
    made = drawn("3 and 3")
    flows = groups(made.svg, "flow")
    (inner,) = columns(made)
    for operators in filter(None, inner):
        flow = flows[f"{operators[-1].id}f0"]
        end = curve(flow.find(f"{SVG}path").get("d"))[-1][1]
        below = {t.get("class"): float(t.get("y")) > end for t in flow.iter(f"{SVG}text")}
        assert below == {"s": False, "v": False, "d": True}


def test_parameters_stand_once_at_the_left_and_ghosts_below_their_users():
    made = drawn("3 and 3")
    places, (run,) = made.layout.places, made.picture.runs
    variables = [
        box.id for box in made.picture.boxes if box.kind == "variable" and "l0" in box.lines[0]
    ]
    assert len(variables) == 4 and all(
        places[key][0] < made.layout.frames[run[0]][0] for key in variables
    )
    targets = {edge.source: edge.target for edge in made.picture.edges}
    ghosts = [box.id for box in made.picture.boxes if box.kind == "ghost"]
    assert len(ghosts) == 6 * 4
    for key in ghosts:
        (x, y), (ux, uy) = places[key], places[targets[key]]
        assert uy < y < uy + 160 and abs(x - ux) < 90


def test_reading_order_is_that_of_computation():
    made = drawn("3 and 3")
    keys = [
        g.get("id").rpartition("-")[2]
        for g in ET.fromstring(made.svg).iter(f"{SVG}g")
        if g.get("id") and "key" not in g.get("class").split()
    ]
    assert all(
        keys.index(e.source) < keys.index(e.id) < keys.index(e.target) for e in made.picture.edges
    )
    assert [key for key in keys if key[0] in "nmg" and "f" not in key] == [
        box.id for box in made.picture.boxes
    ]


# ---------------- nothing overlaps
def test_no_text_is_hidden_or_crossed_by_a_shape(drawing):
    found = marks(drawing.svg)
    page, written = found[0].box, [mark for mark in found if mark.tag == "text"]
    shapes = [mark for mark in found if mark.kind in ("shape", "ring", "frame")]
    for i, text in enumerate(written):
        assert inside(text.box, page)
        assert all(apart(text.box, other.box) for other in written[:i]), text
        for shape in (shape for shape in shapes if shape.group != text.group):
            around = shape.kind == "frame" and inside(text.box, shape.box)
            assert around or apart(text.box, shape.box), (text, shape)


def test_shapes_keep_apart_and_lie_in_their_frames(drawing):
    found = marks(drawing.svg)
    shapes = {
        mark.group: mark.box for mark in found if mark.kind == "shape" and "node" in mark.classes
    }
    frames = {mark.group: mark.box for mark in found if mark.kind == "frame"}
    boxes = list(shapes.items())
    for i, (key, box) in enumerate(boxes):
        assert all(apart(box, other) for _, other in boxes[:i]), key
        assert all(inside(box, frame) or apart(box, frame) for frame in frames.values()), key
    for box in drawing.picture.boxes:
        assert box.cluster not in frames or inside(shapes[box.id], frames[box.cluster])
