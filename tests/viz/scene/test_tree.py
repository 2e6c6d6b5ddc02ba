"""The tree of boxes: never too many in one, in one direction, and what repeats is one."""

from __future__ import annotations

import numpy as np
import pytest
from viz.examples import EXAMPLES, diamonds
from viz.large import LARGE, chain, layers, loop
from viz.unrolled import PICTURES

import minigrad as mg
from minigrad.graph.node import GraphNode
from minigrad.graph.settings import inside
from minigrad.viz import draw
from minigrad.viz.scene.build import Scene
from minigrad.viz.scene.modules import paths_of
from minigrad.viz.scene.options import Options
from minigrad.viz.scene.tree import MOST, Group, Tree, nodes_of


def tree_of(head: GraphNode) -> Tree:
    order = mg.topological_sort(head)
    return Tree(order, paths_of(order), 0)


def crossed() -> GraphNode:
    """Two modules, each of which reads what the other one gives: closed, they would be a loop."""
    a, b, x = type("A", (), {})(), type("B", (), {})(), mg.Variable(1.0, name="x")
    with inside(a):
        one, two = mg.sin(x), mg.cos(x)
    with inside(b):
        three, four = mg.exp(one), mg.exp(x)
    with inside(a):
        five = mg.tanh(four)
    return two + three + five


MADE = {
    **EXAMPLES,
    **{name: make for name, (make, _) in LARGE.items() if name not in ("rolled", "unrolled")},
    **{f"steps, {name}": PICTURES[name][0] for name in ("built unrolled", "long memory")},
    "diamonds": lambda: diamonds(700),
    "crossed": crossed,
}


@pytest.mark.parametrize("name", MADE)
def test_every_node_lies_in_one_box_and_no_inside_is_too_long(name):
    tree = tree_of(MADE[name]())
    groups = list(tree.walk())
    assert sorted(i for group in groups for i in group.parts if isinstance(i, int)) == list(
        range(len(tree.order))
    )
    assert len({group.id for group in groups}) == len(groups)
    for group in groups:
        assert 0 < len(group.parts) <= MOST
        assert sorted(i for part in group.parts for i in nodes_of(part)) == sorted(group.nodes)


@pytest.mark.parametrize("name", MADE)
def test_boxes_depend_on_each_other_in_one_direction(name):
    """In each inside a part reads only from parts before it."""
    tree = tree_of(MADE[name]())
    for group in tree.walk():
        place = {i: k for k, part in enumerate(group.parts) for i in nodes_of(part)}
        for k, part in enumerate(group.parts):
            inputs = {j for i in nodes_of(part) for j in tree.inputs[i] if j in place}
            assert all(place[j] <= k for j in inputs)


@pytest.mark.parametrize("name", [name for name in MADE if name != "diamonds"])
@pytest.mark.parametrize("depth", [0, 1, 9])
def test_every_line_of_the_graph_has_its_pieces(name, depth):
    """From the box that holds a node to the box of its user, over all borders between them."""
    head = MADE[name]()
    order = mg.topological_sort(head)
    scene = Scene(order, Options(heads=(head,)))
    picture = scene.picture(min(depth, len(scene.sizes) - 1))
    boxes = {box.id: box for box in picture.boxes}
    holds = {group.id: group.nodes for group in scene.tree.walk()}
    home = {i: key for key in holds if key in boxes for i in holds[key]}
    home |= {int(key[1:]): key for key in boxes if key[0] == "n"}
    assert home.keys() == set(range(len(order)))
    found = set()
    for edge in picture.edges:
        begins = {piece.source for piece in picture.pieces(edge)} & boxes.keys()
        if edge.ends:
            assert begins
            found |= {(source, edge.target) for source in begins}
    index = {id(node): i for i, node in enumerate(order)}
    expected = {
        (home[index[id(x)]], home[i])
        for i, node in enumerate(order)
        for x in node.inputs
        if home[index[id(x)]] != home[i]
    }
    index = {f"n{i}": i for i in range(len(order))}
    ghosts = {
        (home[index[f"n{source.rpartition('n')[2]}"]], target)
        for source, target in found
        if source[0] == "g"
    }
    lines = {line for line in found if line[0][0] != "g"}
    hidden = {
        (home[j], home[i])
        for i, inputs in enumerate(scene.tree.inputs)
        for j in inputs
        if not order[j].inputs
    }  # of a leaf that is used again in a closed box
    assert expected - lines <= ghosts | hidden and ghosts <= expected
    if not any(group.bundled for group in scene.tree.walk()):
        assert lines <= expected


def names(group: Group) -> list[str]:
    return [part.name for part in group.parts if isinstance(part, Group)]


def test_alike_modules_are_one_box():
    (net,) = (g for g in tree_of(layers(20)).root.parts if isinstance(g, Group))
    assert names(net) == ["(Linear Tanh) × 20"]
    (run,) = net.parts
    assert len(run.parts) == 20


def test_what_repeats_without_modules_is_one_box_where_it_is_too_long():
    y: GraphNode = mg.Variable(1.0)
    for _ in range(100):
        y = mg.tanh(mg.sin(y))
    (run,) = (part for part in tree_of(y).root.parts if isinstance(part, Group))
    assert run.name.endswith("× 100") and len(run.nodes) == 201
    assert names(tree_of(loop()).root)[-1] == "(+ + tanh @) × 19"


def test_a_chain_that_does_not_repeat_is_cut_into_stretches():
    functions = np.random.default_rng(0).integers(3, size=300)
    y: GraphNode = mg.Variable(0.5)
    for k in functions:
        y = (mg.sin, mg.cos, mg.tanh)[k](y)
    parts = [part for part in tree_of(y).root.parts if isinstance(part, Group)]
    sizes = [len(part.nodes) for part in parts]
    assert sum(sizes) > 280 and max(sizes) <= MOST
    assert any(
        name == f"{size} nodes" for name, size in zip(names(tree_of(y).root), sizes, strict=True)
    )


def test_the_note_says_what_is_folded_and_how_it_opens():
    for head in (chain(), layers(), loop()):
        picture = draw(head).picture
        told, at = picture.note.partition("depth=")[::2]
        assert "folded into" in told
        deeper = draw(head, depth=int(at[0])).picture
        assert len(deeper.boxes) > len(picture.boxes)
    assert "folded" not in draw(layers(), depth=1).picture.note  # it was asked for
