"""The numbers in a drawing are the graph's: read from the SVG as XML, and written once more here,
by NumPy alone.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from viz.examples import EXAMPLES

import minigrad as mg
from minigrad.graph.node import GraphNode
from minigrad.viz import draw

SVG = "{http://www.w3.org/2000/svg}"


def single() -> GraphNode:
    """Arrays of one number, an empty one, integers and booleans."""
    x = mg.Variable([[3.25]], name="x")
    mask = mg.Constant([True], name="mask", dtype=bool)
    picked = mg.embedding(
        mg.Constant([1, 0, 1], name="ids", dtype="int64"), mg.Variable([[1.0], [-2.5]], name="rows")
    )
    y = mg.sum(mg.where(mask, x, 0.0) * picked) + mg.sum(
        mg.Constant(np.zeros((0, 2)), name="nothing")
    )
    y.backward()
    return y


def alarming() -> GraphNode:
    """Gradients that are exactly zero, vanished and exploded."""
    x = mg.Variable([1e-4, 2e-4], name="x", dtype="float64")
    y = (
        mg.sum(x * 1e-9)
        + mg.sum(mg.relu(x - 1.0))
        + mg.sum(mg.Variable([1.5, 2.5], name="w", dtype="float64") * 1e6)
    )
    y.backward()
    return y


def double() -> GraphNode:
    """The ends of the range of float64."""
    x = mg.Variable([1e200, -3e200], name="x", dtype="float64")
    y = mg.sum(x * mg.Constant([1e-200, 1e-150], name="scale", dtype="float64"))
    y.backward()
    return y


MADE = {**EXAMPLES, "single": single, "alarming": alarming, "double": double}


def eager(head: GraphNode) -> tuple[GraphNode, list[GraphNode]]:
    return head, mg.topological_sort(head)


def replayed(head: GraphNode) -> tuple[mg.Graph, list[GraphNode]]:
    """The graph after another run on other inputs, in the memory of the first one."""
    graph = mg.Graph(head)
    for node in graph.order:
        if not node.inputs and node.dtype.kind == "f":
            node.value = node.value * 1.2345678 + (
                0.1357913 if node.shape else 0.0
            )  # no number halfway between two texts
    graph.zero_grad()
    with np.errstate(all="ignore"):
        graph.forward()
        graph.backward()
    return graph, graph.order


RUNS = {"eager": eager, "replay": replayed}


@pytest.fixture(params=[(name, run) for name in MADE for run in RUNS], ids="-".join)
def made(request):
    name, run = request.param
    return RUNS[run](MADE[name]())


def groups(svg: str, kind: str) -> dict[str, ET.Element]:
    """The groups of a class, by the end of their id."""
    found = [g for g in ET.fromstring(svg).iter(f"{SVG}g") if kind in g.get("class", "").split()]
    return {g.get("id", "").split("-", 2)[-1]: g for g in found}


def texts(group: ET.Element, *kinds: str) -> list[str]:
    return [t.text or "" for t in group.iter(f"{SVG}text") if t.get("class") in kinds]


def three(x: float, digits: int = 3) -> str:
    return "NaN" if np.isnan(x) else f"{np.float64(x) + 0.0:.{digits}g}"


def wide(array: np.ndarray) -> tuple[np.ndarray, float]:
    """The array in long double, where no square of a float64 leaves the range."""
    x = array.astype(np.longdouble)
    return x, float(np.sqrt(np.mean(x * x))) if x.size else 0.0


def odd(array: np.ndarray) -> str:
    """How an array with NaN or inf in it is written; empty for one without."""
    if np.isnan(array).any():
        return "✖ NaN"
    if np.isinf(array).any():
        return "▲ inf" if np.isposinf(array).any() else "▲ -inf"
    return ""


def value_text(array: np.ndarray) -> str:
    x, _ = wide(array)
    if not array.size:
        return "empty"
    if odd(array) or array.size == 1:
        return odd(array) or three(float(array.item()))
    if array.dtype.kind in "biu":
        return f"{three(float(x.min()))}…{three(float(x.max()))}"
    return f"{three(float(x.mean()), 2)}±{three(float(x.std()), 2)}"


def gradient_text(array: np.ndarray | None) -> list[str]:
    if array is None:
        return []
    _, rms = wide(array)
    if not array.size or odd(array):
        return [odd(array) or "empty"]
    if rms == 0:
        return ["∅ 0"]
    return [three(float(array.item())) if array.size == 1 else f"rms {three(rms)}"]


def test_every_value_and_every_gradient_stands_at_its_node(made):
    graph, order = made
    svg = draw(graph, values=True).svg
    flows, nodes = groups(svg, "flow"), groups(svg, "node")
    shown = {key: flow for key, flow in flows.items() if texts(flow, "v")}
    assert sorted(shown) == sorted(f"n{i}f0" for i in range(len(order)))
    for i, node in enumerate(order):
        flow = shown[f"n{i}f0"]
        assert texts(flow, "v") == [value_text(node.value)], node
        assert texts(flow, "s") == []
        said = texts(nodes[f"n{i}"], "small")  # the shape stands in the box, once
        assert any(text.endswith(str(node.shape)) for text in said) or not node.shape, node
        uses = sum(x is node for user in order for x in user.inputs)
        if uses < 2:
            assert texts(flow, "d") == gradient_text(node.grad), node
        elif node.grad is not None:  # the lines have its parts: the node tells their sum
            told = texts(nodes[f"n{i}"], "small")
            assert told[-1] == f"∇ {gradient_text(node.grad)[0]}", node


def test_the_words_say_the_same_numbers(made):
    graph, order = made
    nodes = groups(draw(graph, values=True).svg, "node")
    for i, node in enumerate(order):
        title = nodes[f"n{i}"].find(f"{SVG}title").text
        assert title.startswith(f"n{i}, ") and f"; shape {node.shape}, {node.dtype}" in title
        for word, array in (("value", node.value), ("gradient", node.grad)):
            said = re.search(rf"; {word} ([^;]*)", title)
            assert (said is None) == (array is None)
            if said is None or odd(array) or not array.size or not array.shape:
                assert said is None or said[1].startswith(
                    odd(array) or ("empty" if not array.size else three(array.item()))
                )
                continue
            x, rms = wide(array)
            numbers = (three(float(n)) for n in (x.mean(), x.std(), x.min(), x.max()))
            mean, std, low, high = numbers
            zeros = three(float(100 * np.mean(x == 0)))
            assert said[1].startswith(
                f"mean {mean}, standard deviation {std}, from {low} to {high}, rms {three(rms)}, "
                f"zeros {zeros} %"
            )


def test_nodes_and_edges_are_those_of_the_graph_and_no_others(made):
    graph, order = made
    svg = draw(graph).svg
    nodes, edges = groups(svg, "node"), groups(svg, "edge")
    ghosts = {key: g for key, g in nodes.items() if "ghost" in g.get("class").split()}
    assert [key for key in nodes if key not in ghosts] == [f"n{i}" for i in range(len(order))]
    for i, node in enumerate(order):
        kind = (
            "variable"
            if isinstance(node, mg.Variable)
            else "constant"
            if isinstance(node, mg.Constant)
            else "operator"
        )
        assert kind in nodes[f"n{i}"].get("class").split()
    for key, ghost in ghosts.items():  # who stands there again
        original = ghost.find(f"{SVG}title").text.rpartition(" ")[2]
        assert isinstance(order[int(original[1:])], mg.Variable) and key.endswith(original)
    index = {id(node): i for i, node in enumerate(order)}
    uses = sorted(
        (index[id(x)], i, slot + 1)
        for i, node in enumerate(order)
        for slot, x in enumerate(node.inputs)
    )
    told = [
        re.match(r"n(\d+) \(.*\) to n(\d+) \(.*\), input (\d+):", e.find(f"{SVG}title").text)
        for e in edges.values()
        if e.find(f"{SVG}polygon") is not None  # the piece of the line with its arrow head
    ]
    assert sorted(tuple(map(int, match.groups())) for match in told) == uses


def test_edges_run_from_box_to_box(made):
    """What the titles of edges say is where their lines begin and end."""
    graph, _ = made
    svg = draw(graph).svg
    nodes, flows = groups(svg, "node"), groups(svg, "flow")

    def numbers(element: ET.Element, key: str) -> list[tuple[float, float]]:
        found = [float(n) for n in re.findall(r"-?[\d.]+", element.get(key))]
        return list(zip(found[::2], found[1::2], strict=True))

    starts = {key: numbers(flow.find(f"{SVG}path"), "d")[-1] for key, flow in flows.items()}
    for key, ghost in nodes.items():
        if (
            f"{key}f0" not in starts
        ):  # nothing is written beside a ghost, so that its lines begin at its side
            _, top, right, bottom = box(ghost)
            starts[key] = (right, (top + bottom) / 2)
    lines = groups(svg, "edge").values()
    ways = [numbers(line.find(f"{SVG}path"), "d") for line in lines]
    for edge, way in zip(lines, ways, strict=True):
        tip = edge.find(f"{SVG}polygon")
        if tip is None:
            continue
        source, target = re.match(r"n(\d+) .* to n(\d+) ", edge.find(f"{SVG}title").text).groups()
        start, near = way[0], []
        while not near:  # back over the borders of modules
            near = [key for key, end in starts.items() if close(start, end)]
            start = near or next(other[0] for other in ways if close(other[-1], start))
        assert [key.partition("f")[0].rpartition("n")[2] for key in near] == [source]
        x, y = numbers(tip, "points")[0]
        left, top, right, bottom = box(nodes[f"n{target}"])
        assert left - 0.6 <= x <= (left + right) / 2 and top <= y <= bottom


def close(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return abs(a[0] - b[0]) < 1 and abs(a[1] - b[1]) < 0.2


def box(group: ET.Element) -> tuple[float, float, float, float]:
    """The rectangle around the outermost outline of a node: its shape, or a ring around it."""
    shape = [s for s in group if s.get("class") in ("shape", "ring")][-1]
    if shape.tag == f"{SVG}ellipse":
        x, y, rx, ry = (float(shape.get(key)) for key in ("cx", "cy", "rx", "ry"))
        return x - rx, y - ry, x + rx, y + ry
    x, y, w, h = (float(shape.get(key)) for key in ("x", "y", "width", "height"))
    return x, y, x + w, y + h


def everything(order: list[GraphNode]) -> list[object]:
    """All that a graph holds, bytes and identities."""
    return [
        (
            id(node),
            node.value.tobytes(),
            id(node.grad),
            None if node.grad is None else node.grad.tobytes(),
            node.name,
            tuple(id(x) for x in node.inputs),
            node.value.__array_interface__["data"][0],
            [
                (id(hooks), [*hooks.forward.items()], [*hooks.backward.items()])
                for hooks in node.hooks or ()
            ],
            {key: (id(work), work.tobytes()) for key, work in getattr(node, "work", {}).items()},
        )
        for node in order
    ]


def test_drawing_leaves_every_byte_hook_and_place_as_it_was(made, tmp_path):
    graph, order = made
    calls: list[GraphNode] = []
    order[-1].register_forward_hook(lambda node, value: calls.append(node))
    order[0].register_backward_hook(lambda node, grad: calls.append(node))
    before, head = everything(order), order[-1]
    for options in ({}, {"depth": 0}, {"values": False, "grads": True}):
        drawing = draw(graph, **options)
        assert drawing.svg and drawing.source and drawing.describe()
        drawing.save(tmp_path / "x.png")
    assert everything(order) == before
    assert [id(node) for node in mg.topological_sort(head)] == [id(node) for node in order]
    assert not calls
