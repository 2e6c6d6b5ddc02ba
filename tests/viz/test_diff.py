"""Two graphs, or one at two moments: who is whose partner, what changed by how much, and how that
is shown in place.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from xml.etree import ElementTree

import numpy as np
import pytest
from viz.examples import EXAMPLES, diamonds, mlp, neuron, sine

import minigrad as mg
from minigrad.viz.diff import Delta, diff, snapshot

SVG = "{http://www.w3.org/2000/svg}"


def trained():
    """A small model before and after five steps."""
    model = mg.nn.Sequential(mg.nn.Linear(2, 3, seed=0), mg.nn.Tanh(), mg.nn.Linear(3, 1, seed=1))
    x, y = np.linspace(-1, 1, 8).reshape(4, 2), np.linspace(0, 1, 4).reshape(4, 1)
    graph = mg.Graph(mg.mse_loss(model(mg.Constant(x, name="x")), mg.Constant(y, name="target")))
    graph.backward()
    optimizer = mg.optim.SGD(model.parameters(), 0.1)
    before = graph.snapshot()
    for _ in range(5):
        graph.zero_grad()
        graph.forward()
        graph.backward()
        optimizer.step()
    return before, graph


def chain(*operators, value=0.5):
    y = mg.Variable(value, name="x")
    for operator in operators:
        y = operator(y)
    y.backward()
    return y


# ---------------- snapshots
@pytest.mark.parametrize("make", [*EXAMPLES.values(), lambda: trained()[1]])
@pytest.mark.parametrize("depth", [None, 1])
def test_a_snapshot_draws_like_the_graph(make, depth):
    graph = make()
    assert mg.draw(snapshot(graph), depth=depth).svg == mg.draw(graph, depth=depth).svg


def test_a_snapshot_keeps_the_moment():
    x = mg.Variable([1.0, 2.0], name="x")
    y = mg.sum(mg.reshape(x * x, (2, 1)))
    y.backward()
    kept = snapshot(mg.Graph(y))
    values = [node.value.copy() for node in kept.order]
    x.value = [
        5.0,
        6.0,
    ]  # the operators are older than their inputs now, and stay so in a second snapshot
    assert snapshot(y).head.value == 5 and snapshot(y).order[0].value.tolist() == [5, 6]
    mg.Graph(y).forward()
    y.backward()
    assert x.grad.tolist() == [2 + 10, 4 + 12] and kept.order[0].grad.tolist() == [2, 4]
    for node, value in zip(kept.order, values, strict=True):
        np.testing.assert_array_equal(node.value, value)
    assert repr(kept) == f"<Snapshot of 4 nodes, head {kept.head!r}>"
    # it is a graph of its own
    kept.order[0].value = [3.0, 4.0]
    assert mg.Graph(kept.head).forward() == 25 and y.value == 61


def test_a_snapshot_knows_what_kernels_knew():
    node = mg.max_pool1d(mg.Variable(np.arange(4.0).reshape(1, 1, 4)), 2)
    kept = snapshot(node)
    node.inputs[0].value = -node.inputs[0].value
    mg.Graph(node).forward()
    assert mg.kernel_info(kept.head)["winners"].ravel().tolist() == [1, 3]
    assert mg.kernel_info(node)["winners"].ravel().tolist() == [0, 2]


def test_taking_a_snapshot_and_comparing_change_nothing():
    before, graph = trained()
    hook = graph.register_forward_hook(lambda *_: pytest.fail("told"))

    def state():
        return [
            (id(n.value.base), n.value.tobytes(), None if n.grad is None else n.grad.tobytes())
            for n in graph.order
        ]

    old = state()
    graph.snapshot()
    found = graph.diff(before)
    assert found.svg and str(found)
    assert state() == old
    hook.remove()


# ---------------- what changed
def test_changes_are_the_differences_of_the_arrays():
    before, graph = trained()
    found = diff(before, graph)
    assert [(row.before, row.after) for row in found.rows] == [
        (i, i) for i in range(len(graph.order))
    ]
    for row, a, b in zip(found.rows, before.order, graph.order, strict=True):
        for delta, old, new in ((row.value, a.value, b.value), (row.grad, a.grad, b.grad)):
            if old is None:
                assert (delta.kind, delta.stats) == ("none", None) and np.isnan(delta.relative)
                continue
            difference = new.astype(float) - old.astype(float)
            assert delta.rms == pytest.approx(np.sqrt(np.mean(difference**2)))
            assert delta.kind == ("changed" if difference.any() else "same")
            if np.any(old):
                assert delta.relative == pytest.approx(
                    delta.rms / np.sqrt(np.mean(np.square(old, dtype=float)))
                )
    kinds = {row.name: row.kind for row in found.rows}
    assert kinds["n0 (x)"] == "same" and kinds["n1 (weight)"] == "changed"
    assert found.changed == tuple(row for row in found.rows if row.kind == "changed")


def test_nothing_changed():
    graph = mg.Graph(mlp())
    found = graph.diff(graph)
    assert found.changed == () and str(found) == "before → after: 0 of 12 nodes changed"
    assert {flow.below for box in found.picture.boxes for flow in box.flows} == {"="}


def test_only_the_gradient_changed():
    x = mg.Variable(2.0, name="x")
    graph = mg.Graph(mg.sin(x**2))
    fresh = graph.snapshot()
    graph.backward()
    once = graph.snapshot()
    graph.backward()  # x has it twice, operators have it once
    row = graph.diff(fresh).rows[0]
    assert (row.value.kind, row.grad.kind, row.kind, row.reading.below) == (
        "same",
        "new",
        "changed",
        "∇ new",
    )
    row = graph.diff(once).rows[0]
    assert row.grad.relative == pytest.approx(1) and row.reading.below == "Δ∇ -2.61 → -5.23"
    assert [r.kind for r in graph.diff(once).rows] == ["changed", "same", "same", "same"]
    assert diff(graph, fresh).rows[0].grad.kind == "gone"


@pytest.mark.parametrize(
    ("old", "new", "kind", "text", "relative"),
    [
        ([1.0, 1.0], [1.0, 1.0], "same", "=", 0),
        ([3.0, 4.0], [3.0, 5.0], "changed", "rms 0.707", 0.2),
        (2.0, 1.5, "changed", "2 → 1.5", 0.25),
        ([0.0], [2.0], "changed", "0 → 2", np.inf),
        ([np.nan, 1.0], [np.nan, 1.0], "same", "=", 0),
        ([1.0, 1.0], [np.nan, 1.0], "changed", "✖ NaN", np.nan),
        ([1.0], [np.inf], "changed", "▲ inf", np.nan),
        ([1.0], [1.0, 2.0], "reshaped", "reshaped", np.nan),
        (None, [1.0], "new", "new", np.nan),
        ([1.0], None, "gone", "gone", np.nan),
        (None, None, "none", "–", np.nan),
    ],
)
def test_deltas(old, new, kind, text, relative):
    delta = Delta.between(*(None if x is None else np.array(x) for x in (old, new)))
    assert (delta.kind, delta.text) == (kind, text)
    assert delta.relative == pytest.approx(relative, nan_ok=True)


def test_whole_numbers_differ_too():
    assert Delta.between(np.array([0, 255], np.uint8), np.array([255, 0], np.uint8)).rms == 255
    assert Delta.between(np.array([True, False]), np.array([True, True])).rms == pytest.approx(
        0.5**0.5
    )


def test_each_decade_of_relative_change_is_a_step():
    x = mg.Variable([1.0, 1.0], name="x", dtype=np.float64)
    steps = []
    for change in (0, 1e-9, 3e-5, 3e-4, 3e-3, 3e-2, 0.3, 30, np.nan):
        x.value = [1.0, 1.0]
        before = snapshot(x)
        x.value = x.value * (1 + change)
        reading = diff(before, x).rows[0].reading
        steps.append((reading.state, reading.step))
    assert steps == [*(("normal", step) for step in (0, 1, 1, 2, 3, 4, 5, 5)), ("nan", -1)]


# ---------------- partners
def partners(a, b):
    return [(row.before, row.after, row.kind) for row in diff(a, b).rows]


def test_a_node_in_the_middle_was_added_or_removed():
    short, long = chain(mg.sin, mg.tanh, mg.exp), chain(mg.sin, mg.cos, mg.tanh, mg.exp)
    assert partners(short, short) == [(i, i, "same") for i in range(4)]
    added = partners(short, long)
    assert [(i, j) for i, j, _ in added] == [(0, 0), (1, 1), (None, 2), (2, 3), (3, 4)]
    assert [kind for *_, kind in added] == ["changed", "changed", "added", "changed", "changed"]
    assert [(j, i) for i, j, kind in partners(long, short)] == [(i, j) for i, j, _ in added]
    assert [row.name for row in diff(short, long).rows] == [
        "n0 (x)",
        "n1 (sin)",
        "n2 (cos)",
        "n2→3 (tanh)",
        "n3→4 (exp)",
    ]


def test_names_decide_where_kinds_do_not():
    def net(*names):
        y = mg.Constant([1.0, 2.0], name="x")
        for name in names:
            y = y * mg.Variable([1.0, 1.0], name=name)
        return mg.sum(y)

    rows = diff(net("a", "b"), net("a", "new", "b")).rows
    assert {row.name for row in rows if row.kind == "added"} >= {"n3 (new)"}
    assert next(row for row in rows if row.name.endswith("(b)")).before is not None


def test_another_shape():
    def net(width):
        return mg.sum(
            mg.linear(
                mg.Constant(np.ones((1, 2)), name="x"), mg.Variable(np.ones((width, 2)), name="w")
            )
        )

    rows = diff(net(3), net(5)).rows
    assert [row.kind for row in rows] == ["same", "reshaped", "reshaped", "changed"]
    assert rows[1].shapes == ((3, 2), (5, 2)) and rows[1].reading.below == "(3, 2) → (5, 2)"
    assert "reshaped (3, 2) → (5, 2)" in str(diff(net(3), net(5)))


def test_the_same_operators_wired_differently():
    x, y = mg.Variable(1.0, name="x"), mg.Variable(2.0, name="y")
    found = diff((x * y) + x, (x * y) + y)
    assert Counter(row.kind for row in found.rows)["changed"] >= 1 and len(found.rows) == 4


def test_large_graphs_have_an_answer_in_time():
    rng = np.random.default_rng(0)
    a, b = (
        chain(*((mg.sin, mg.cos, mg.tanh)[k] for k in rng.integers(3, size=n))) for n in (900, 3000)
    )
    start = time.perf_counter()
    found = diff(a, b)
    assert {row.before for row in found.rows} >= set(range(901))
    assert {row.after for row in found.rows} >= set(range(3001))
    assert len(found.picture.boxes) <= 60 and found.svg
    assert str(found).splitlines()[-1].endswith("more")
    found = diff(diamonds(400), diamonds(500))  # equal beginnings and ends
    assert Counter(row.kind for row in found.rows)["added"] == 300
    assert time.perf_counter() - start < 30  # about 1 s


# ---------------- as a drawing
def test_the_drawing_says_what_the_rows_say():
    before, graph = trained()
    found = diff(before, graph)
    root = ElementTree.fromstring(found.svg)
    texts = Counter(element.text for element in root.iter(f"{SVG}text"))
    for row in found.rows:
        assert texts[row.reading.below]
    for row, node in zip(found.rows, graph.order, strict=True):
        flow = next(box.flows[0] for box in found.picture.boxes if box.id == f"n{row.after}")
        assert (flow.below, flow.state, flow.step) == (
            row.reading.below,
            row.reading.state,
            row.reading.step,
        )
        assert (
            flow.above == mg.draw(node, grads=False).picture.boxes[-1].flows[0].above
            or not node.inputs
        )
    assert (
        root.find(f"{SVG}title").text
        == f"before → after: {len(found.changed)} of {len(found.rows)} nodes changed"
    )


@pytest.mark.parametrize("names", [("before", "after"), ("same", "same"), ("<b>&\"'", "]]>\0\n|")])
def test_ids_are_unique_and_everything_is_escaped(names):
    graph = mg.Graph(neuron())
    root = ElementTree.fromstring(diff(graph, graph, names=names).svg)
    ids = Counter(element.get("id") for element in root.iter() if element.get("id"))
    assert max(ids.values()) == 1 and len(ids) > 20


def test_numbers_that_moved_stand_in_place():
    x = mg.Variable(1.15, name="x")
    graph = mg.Graph(x * 2)
    before = graph.snapshot()
    x.value = 1.01
    graph.forward()
    found = graph.diff(before)
    assert [flow.below for box in found.picture.boxes for flow in box.flows] == [
        "1.15 → 1.01",
        "=",
        "2.3 → 2.02",
    ]
    assert len(found.picture.boxes) == 3 and "change below" in found.svg


def test_nodes_without_a_partner_are_marked_by_a_word_and_an_outline():
    found = diff(chain(mg.sin), chain(mg.sin, mg.cos), names=("short", "long"))
    boxes = {box.id: box for box in found.picture.boxes}
    assert boxes["n2"].lines[-1] == "added" and boxes["n2"].focus
    assert not any("added" in box.lines or box.focus for key, box in boxes.items() if key != "n2")
    gone = diff(chain(mg.sin, mg.cos), chain(mg.sin))
    assert gone.picture.note.startswith("Removed: n2 (cos).") and len(gone.picture.boxes) == 2
    assert "n2, operator cos" in found.describe()


def test_with_modules_closed():
    found = diff(*trained(), depth=0)
    boxes = {box.id: box for box in found.picture.boxes}
    rows = {row.after: row for row in found.rows}
    assert (
        boxes["m0"].kind == "module" and boxes["m0"].flows[0].below == rows[7].reading.below
    )  # the model's output


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_saving(suffix, tmp_path):
    written = []
    for _ in range(2):
        diff(*trained(), theme="dark").save(tmp_path / f"x.{suffix}")
        written.append((tmp_path / f"x.{suffix}").read_bytes())
    assert written[0] == written[1] and len(written[0]) > 2000


def test_in_a_notebook():
    from IPython.core.formatters import DisplayFormatter

    found = diff(*trained())
    bundle, _ = DisplayFormatter().format(found)
    assert bundle == {"text/plain": str(found), "image/svg+xml": found.svg}
    assert (
        json.dumps(bundle)
        and repr(found) == f"<Diff: {len(found.changed)} of {len(found.rows)} nodes changed>"
    )


# ---------------- as a table
def test_the_table_has_the_rows_that_changed():
    found = diff(*trained())
    lines = str(found).splitlines()
    assert lines[0].startswith("before → after: ") and lines[1].split()[:3] == ["node", "what", "Δ"]
    assert [line.split("  ")[0] for line in lines[2:]] == [row.name for row in found.changed]
    rows = found.markdown.splitlines()
    assert len(rows) == 2 + len(found.changed) and {row.count("|") for row in rows} == {7}


def test_a_long_table_has_those_that_changed_most():
    x = [mg.Variable([1.0, 2.0], name=f"x{i}") for i in range(60)]
    graph = mg.Graph(mg.sum(mg.concatenate(x)))
    before = graph.snapshot()
    for i, variable in enumerate(x):
        variable.value = variable.value * (1 + 0.001 * (i + 1))
    graph.forward()
    lines = str(graph.diff(before)).splitlines()
    assert lines[-1] == "22 more" and len(lines) == 2 + 40 + 1
    assert [line.split()[1] for line in lines[2:-1]][:-2] == [
        f"(x{i})" for i in range(22, 60)
    ]  # and concatenate, sum


def test_the_markdown_is_safe():
    a, b = (mg.Variable([x], name="|<b>`*_") for x in (1.0, 2.0))
    table = diff(mg.sum(a), mg.sum(b)).markdown
    assert {row.count("|") for row in table.splitlines()} == {7} and not set("<>`*_") & set(table)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: diff(3, sine()), TypeError, "diff: a int; a node or a Graph was expected"),
        (lambda: diff(sine(), None), TypeError, "diff: a NoneType"),
        (lambda: mg.Graph(sine()).diff([1]), TypeError, "diff: a list"),
        (lambda: snapshot("x"), TypeError, "snapshot: a str"),
        (
            lambda: diff(sine(), sine(), names="ab"),
            TypeError,
            "names='ab'; two texts were expected",
        ),
        (lambda: diff(sine(), sine(), names=("a", 1)), TypeError, "two texts"),
        (
            lambda: diff(sine(), sine(), theme="pink"),
            ValueError,
            "draw: theme='pink'; 'light', 'dark', 'print' or None",
        ),
        (
            lambda: diff(sine(), sine(), depth=-1),
            ValueError,
            "draw: depth=-1; an integer ≥ 0 was expected",
        ),
        (lambda: diff(sine(), sine(), depth="x"), ValueError, "draw: depth='x'"),
    ],
)
def test_wrong_things(call, error, message):
    with pytest.raises(error, match=message):
        call()
