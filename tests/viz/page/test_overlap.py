"""Nothing that is written is hidden, cut off or crossed: rectangles computed from the SVG, for
graphs small and large.
"""

from __future__ import annotations

import contextlib
import re

import numpy as np
import pytest
from viz.examples import EXAMPLES, Layer, diamonds
from viz.large import LARGE
from viz.sheet import crossings, inside, marks, overlaps
from viz.unrolled import PICTURES

import minigrad as mg
from minigrad import models
from minigrad.graph.node import GraphNode
from minigrad.graph.settings import inside as within
from minigrad.viz import draw
from minigrad.viz.draw import HEIGHT, WIDTH
from minigrad.viz.page import layout
from minigrad.viz.page.svg import MARGIN


def trained(model, x, loss, target) -> GraphNode:
    """The loss of a model on a small input, with its gradients."""
    x = np.asarray(x)
    y = mg.Constant(target, name="y", dtype="int64" if loss is mg.cross_entropy else None)
    head: GraphNode = loss(
        model(mg.Constant(x, name="x", dtype="int64" if x.dtype.kind == "i" else None)), y
    )
    head.backward()
    return head


def chapters() -> dict[str, GraphNode]:
    """The models of the chapters with two examples each."""
    rng = np.random.default_rng(0)
    mg.manual_seed(0)
    points, images = rng.normal(size=(2, 2)), rng.random((2, 1, 28, 28))
    words, rows, yes = rng.integers(0, 50, (2, 18)), rng.normal(size=(2, 28, 4)), [[1.0], [0.0]]
    return {
        "mlp": trained(models.mlp(), points, mg.mse_loss, yes),
        "cnn_five": trained(models.cnn_five(), images, mg.binary_cross_entropy, yes),
        "cnn": trained(models.cnn(), images, mg.cross_entropy, [3, 7]),
        "textcnn": trained(models.TextCNN(50, 4, 2, 4, 18), words, mg.binary_cross_entropy, yes),
        "textcnn mean": trained(
            models.TextCNN(50, 4, 2, 4, 18, mean=True), words, mg.binary_cross_entropy, yes
        ),
        "rnn": trained(models.RowRNN(4, 3), rows, mg.cross_entropy, [3, 7]),
        "rnn unrolled": trained(models.RowRNN(4, 3, unroll=True), rows, mg.cross_entropy, [3, 7]),
        "rnn, 3 steps": trained(
            models.RowRNN(4, 3, unroll=True), rows[:, :3], mg.cross_entropy, [3, 7]
        ),
    }


def wide_names() -> GraphNode:
    """Names as wide as letters get, in scripts that the table of widths has and has not."""
    names = (
        "W" * 24,
        "@" * 24,
        "m" * 30,
        "漢字" * 12,
        "\N{GRINNING FACE}" * 8,
        "ｗｉｄｅ…",
        "Жщ Ѿ ꙮ",
    )
    y = mg.sum(mg.stack([mg.Variable(-1.234e-15 * i, name=name) for i, name in enumerate(names)]))
    y.name = "attention scores"
    y.backward()
    return y


def fan() -> GraphNode:
    """A module out of which nine values run."""
    net = Layer(weight=mg.Variable(np.ones((2, 3))))
    with within(net):
        parts = [mg.sin(net.weight * float(i)) for i in range(9)]  # type: ignore[attr-defined]
    y = mg.sum(mg.concatenate([mg.cos(part) for part in parts]))
    y.backward()
    return y


def long_module_name() -> GraphNode:
    """A frame around one small node, with a name wider than the node."""
    net, x = type("ANameThatIsLongerThanItsContent", (Layer,), {})(), mg.Variable(1.0, name="x")
    with within(net):
        return mg.sin(x)


def deep() -> GraphNode:
    """Frames in frames, the innermost around very wide boxes, beside a way that skips them all."""
    x = mg.Variable(np.ones((2, 2)), name="x")
    y: GraphNode = x
    with contextlib.ExitStack() as nets:
        for _ in range(5):
            nets.enter_context(within(Layer()))
            y = mg.sin(y)
            y.name = "wide" * 5
        y = mg.cos(mg.relu(y) + mg.Variable(np.ones((2, 2)), name="W" * 24))
    loss = mg.sum(y * x)
    loss.backward()
    return loss


#: name -> (graph, options, depths); "next" is one level deeper than by default
GRAPHS = {
    **{name: (make, {}, (None, 0)) for name, make in EXAMPLES.items()},
    **{name: (head, {}, (None, 0, 1)) for name, head in chapters().items()},
    "wide names": (wide_names, {}, (None,)),
    "fan": (fan, {}, (None, 0)),
    "deep": (deep, {}, (None, 1, 9)),
    "diamonds": (lambda: diamonds(130), {}, (None,)),
    **{name: (make, options, (None, "next")) for name, (make, options) in LARGE.items()},
    **{f"steps, {name}": (make, options, (None,)) for name, (make, options) in PICTURES.items()},
    "steps, open": (PICTURES["lstm"][0], {"unroll": 2}, (9,)),
}


def drawn(name: str, depth: int | str | None, engine: str):
    make, options, _ = GRAPHS[name]
    head = make() if callable(make) else make
    options = {"depth": depth, **options}
    if depth == "next":
        note = draw(head, **{**options, "depth": None}).picture.note
        options["depth"] = int((re.findall(r"depth=(\d+)", note) or [9])[0])
    made = draw(head, **options)
    with pytest.MonkeyPatch.context() as patch:
        if engine == "simple":
            patch.setattr(layout, "engines", lambda: [])
        assert made.layout.engine == engine
    return made


@pytest.fixture(
    scope="module",
    params=[
        (name, depth, engine)
        for name, (_, _, depths) in GRAPHS.items()
        for depth in depths
        for engine in ("graphviz", "simple")
    ],
    ids=lambda param: "-".join(map(str, param)),
)
def made(request):
    """Every graph in every layout, open and with its modules collapsed, and what it paints."""
    drawing = drawn(*request.param)
    return drawing, marks(drawing.svg)


def test_every_text_has_its_own_place(made):
    _, found = made
    page, texts = found[0].box, [mark for mark in found if mark.tag == "text"]
    assert found[0].kind == "bg" and len(texts) > 1
    assert [text for text in texts if not inside(text.box, page)] == []
    assert overlaps(texts, texts) == []


def test_every_text_lies_on_its_own_shape_and_no_other(made):
    _, found = made
    shapes = [mark for mark in found if mark.kind in ("shape", "ring", "frame")]
    front = {
        mark.group: mark.box for mark in found if mark.kind in ("shape", "frame")
    }  # of a module's pile the last
    texts = [mark for mark in found if mark.tag == "text"]
    for text in texts:
        assert text.group not in front or inside(text.box, front[text.group]), text
    for text, shape in overlaps(texts, shapes):
        around = shape.kind == "frame" and inside(text.box, shape.box)
        assert around or text.group == shape.group, (text, shape)


def test_shapes_lie_in_their_frames_and_not_on_each_other(made):
    drawing, found = made
    shapes = [m for m in found if m.kind in ("shape", "ring") and "node" in m.classes]
    frames = {mark.group: mark for mark in found if mark.kind == "frame"}
    assert [pair for pair in overlaps(shapes, shapes) if pair[0].group != pair[1].group] == []
    for shape, frame in overlaps(shapes, list(frames.values())):
        assert inside(shape.box, frame.box), (shape, frame)
    homes = {box.id: box.cluster for box in drawing.picture.boxes}
    for shape in shapes:
        home = homes[shape.group]
        assert home is None or inside(shape.box, frames[home].box), shape
    parents = {cluster.id: cluster.parent for cluster in drawing.picture.clusters}
    for one, other in overlaps(list(frames.values()), list(frames.values())):
        assert inside(one.box, other.box) or inside(other.box, one.box), (one, other)
    for key, parent in parents.items():
        assert parent is None or inside(frames[key].box, frames[parent].box), key


def test_no_line_runs_through_a_text_a_foreign_shape_or_a_foreign_frame(made):
    assert crossings(*made) == []


def test_what_the_page_promises(made, request):
    """Never wider than asked for, unless a single box is; about as high as a screen by default."""
    name, depth, _ = request.node.callspec.params["made"]
    drawing, found = made
    wide, tall = drawing.layout.size
    assert wide <= WIDTH and found[0].box[2] <= WIDTH + 2 * MARGIN
    options = GRAPHS[name][1]
    if depth is None and "depth" not in options and options.get("unroll") in (None, "rolled"):
        assert tall <= 1.3 * HEIGHT


def test_the_check_finds_lines_that_cross():
    """A text, a shape and a frame, moved onto lines."""
    made = drawn("mlp", None, "graphviz")
    assert made.picture.clusters
    lines = {edge.id: edge for edge in made.picture.edges}
    far = max(made.layout.curves, key=lambda key: len(made.layout.curves[key]))
    x, y = made.layout.curves[far][len(made.layout.curves[far]) // 6 * 3]
    box = next(
        box.id for box in made.picture.boxes if box.id not in (lines[far].source, lines[far].target)
    )
    made.layout.places[box] = x, y
    found = {(key, mark.tag) for key, mark in crossings(made)}
    assert {tag for key, tag in found if key == far} >= {"text"} and len(found) > 1


def test_a_frame_is_as_wide_as_its_heading():
    found = marks(draw(long_module_name(), legend=False).svg)
    (text,) = (mark for mark in found if mark.kind == "caption")
    (frame,) = (mark for mark in found if mark.kind == "frame")
    assert inside(text.box, frame.box) and inside(frame.box, found[0].box)


def test_a_text_stays_within_its_ellipse(made):
    _, found = made
    ellipses = {
        mark.group: mark.box for mark in found if mark.tag == "ellipse" and mark.kind == "shape"
    }
    for text in (mark for mark in found if mark.tag == "text" and mark.group in ellipses):
        left, top, right, bottom = ellipses[text.group]
        x, y, rx, ry = (
            (left + right) / 2,
            (top + bottom) / 2,
            (right - left) / 2,
            (bottom - top) / 2,
        )
        size = float(text.style["font-size"].removesuffix("px"))
        low, high = (
            text.box[3] - 0.24 * size,
            text.box[1] + 0.2 * size,
        )  # base line and tops of capitals
        for px in (text.box[0], text.box[2]):
            for py in (low, high):
                assert ((px - x) / rx) ** 2 + ((py - y) / ry) ** 2 <= 1, text
