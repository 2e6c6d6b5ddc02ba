"""Parts of a graph: what lies within a few edges of a node, and hints at the rest."""

from __future__ import annotations

import time

import numpy as np
import pytest
from viz.examples import mlp, shared, sine

import minigrad as mg
from minigrad.viz import draw


def chain(n):
    nodes = [mg.Variable(0.5, name="x")]
    for _ in range(n):
        nodes.append(mg.sin(nodes[-1]))
    return nodes


def test_a_chain_is_cut_at_both_ends():
    nodes = chain(20)
    picture = draw(nodes[-1], focus=nodes[10], radius=2).picture
    assert [(box.id, box.kind) for box in picture.boxes] == [
        ("n7", "more"),
        *((f"n{i}", "scalar") for i in range(8, 13)),
        ("a12", "more"),
    ]
    assert [(edge.source, edge.target) for edge in picture.edges] == [
        *((f"n{i}", f"n{i + 1}") for i in range(7, 12)),
        ("n12", "a12"),
    ]
    assert [box.focus for box in picture.boxes] == [False] * 3 + [True] + [False] * 3
    assert "Shown is what lies within 2 edges of n10 (sin)." in picture.note
    assert picture.nodes == 21


def test_a_leaf_at_the_border_is_shown_whole():
    nodes = chain(5)
    picture = draw(nodes[-1], focus=nodes[2], radius=1).picture
    assert picture.boxes[0].kind == "variable"


def test_what_is_hinted_at_keeps_its_numbers():
    nodes = chain(6)
    nodes[-1].backward()
    whole, part = draw(nodes[-1]).picture, draw(nodes[-1], focus=nodes[4], radius=1).picture
    flows = {flow.id: flow for box in whole.boxes for flow in box.flows}
    assert part.boxes[0].kind == "more" and part.boxes[0].flows[0] == flows["n2f0"]


def test_the_sum_over_uses_counts_those_left_out():
    head = shared()
    x = mg.topological_sort(head)[0]
    title = draw(head, focus=x, radius=0).picture.boxes[0].flows[0].title
    assert title.endswith("gradient 3.24")


def test_the_first_bad_node_is_named_even_if_it_is_not_shown():
    x = mg.Variable([1.0, 4.0], name="x")
    with np.errstate(invalid="ignore"):
        bad = mg.log(x - 2.0)
    last = bad
    for _ in range(5):
        last = mg.sin(last)
    picture = draw(last, focus=last, radius=1).picture
    assert (
        "First bad node: n3 (log)" in draw(last).picture.note or "(log)" in draw(last).picture.note
    )
    assert "(log)" in picture.note and not any(box.bad for box in picture.boxes)


def test_a_huge_graph_can_be_looked_into():
    nodes = chain(20_000)
    start = time.perf_counter()
    assert len(draw(nodes[-1], focus=nodes[10_000], radius=3).picture.boxes) == 9
    assert time.perf_counter() - start < 5


def test_modules_around_the_focus_are_frames_and_can_collapse():
    head = mlp()
    first = next(node for node in mg.topological_sort(head) if node.inputs)
    assert [c.label for c in draw(head, focus=first, radius=1).picture.clusters][:1] == [
        "Net · 33 parameters"
    ]
    assert draw(head, focus=first, radius=1, depth=0).picture.boxes[-2].kind == "module"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"focus": mg.Variable(1.0)}, ValueError, "focus=.* is not part of the graph"),
        ({"focus": 3}, TypeError, "focus=3; GraphNode or None was expected"),
        ({"radius": -1}, ValueError, "radius=-1"),
        ({"radius": 1.5}, ValueError, "radius=1.5"),
    ],
)
def test_wrong_options(options, error, message):
    with pytest.raises(error, match=message):
        draw(sine(), **options)
