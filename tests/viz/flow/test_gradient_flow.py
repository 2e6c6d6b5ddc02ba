"""`GradientFlow` against the numbers of the graphs it watched: callback, own loop, hooks; thinning;
files.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.viz import GradientFlow
from minigrad.viz.flow import gradient_flow as flow_module
from minigrad.viz.flow.naming import layers, norm, parameters_in, slope

X = np.linspace(-1, 1, 40).reshape(20, 2).astype(np.float32)
Y = (X[:, :1] * X[:, 1:] > 0).astype(np.float32)


def small(seed=0):
    return nn.Sequential(nn.Linear(2, 5, seed=seed), nn.Tanh(), nn.Linear(5, 1, seed=seed + 1))


def train(flow, mode="replay", epochs=3, model=None, lr=0.1):
    model = model or small()
    trainer = mg.Trainer(
        model, mg.mse_loss, mg.optim.SGD(model.parameters(), lr), mode=mode, callbacks=[flow]
    )
    return model, trainer.fit(X, Y, epochs=epochs, batch_size=6, progress=False)


def loop(flow, steps, model=None, lr=0.1):
    """A loop of one's own; returns gradients and weights of every step, before and after the
    update.
    """
    model = model or small()
    optimizer = mg.optim.SGD(model.parameters(), lr)
    seen = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = mg.mse_loss(model(X), Y)
        loss.backward()
        flow.record(loss, model)
        grads = {name: p.grad.copy() for name, p in model.named_parameters() if p.grad is not None}
        before = model.state_dict()
        optimizer.step()
        seen.append((grads, before, model.state_dict(), loss))
    return model, seen


# ---------------- what is recorded
def test_parameters_are_recorded_as_they_were():
    flow = GradientFlow(every=3)
    _, seen = loop(flow, 8)
    assert [r.step for r in flow.records] == [0, 3, 6]
    for record in flow.records:
        grads, before, after, _ = seen[record.step]
        assert list(record.parameters) == ["0.weight", "0.bias", "2.weight", "2.bias"]
        for name, g in grads.items():
            stats = record.parameters[name]
            assert norm(stats) == pytest.approx(np.linalg.norm(g), rel=1e-6)
            assert stats.rms == pytest.approx(np.sqrt(np.mean(g**2)), rel=1e-6)
            assert record.weights[name] == pytest.approx(np.linalg.norm(before[name]), rel=1e-6)
            if np.any(before[name]):
                ratio = np.linalg.norm(after[name] - before[name]) / np.linalg.norm(before[name])
                assert record.ratios[name] == pytest.approx(ratio, rel=1e-5)
            else:
                assert np.isnan(record.ratios[name])


def test_nodes_are_recorded_under_stable_names():
    flow = GradientFlow(every=1)
    _, seen = loop(flow, 2)
    first, second = flow.records
    assert list(first.nodes) == list(second.nodes)
    order = mg.topological_sort(seen[1][3])
    with_gradient = {f"n{i}": node for i, node in enumerate(order) if node.grad is not None}
    assert [name.split()[0] for name in second.nodes] == list(with_gradient)
    assert next(iter(second.nodes)) == "n1 (0.weight)" and list(second.nodes)[-1].endswith("(MSE)")
    for name, stats in second.nodes.items():
        assert stats.rms == pytest.approx(
            np.sqrt(np.mean(np.square(with_gradient[name.split()[0]].grad))), rel=1e-5
        )


def test_the_update_of_the_latest_step_is_unknown_until_the_next():
    flow = GradientFlow(every=1)
    loop(flow, 2)
    assert flow.records[0].ratios and not flow.records[1].ratios
    flow.settle()
    assert set(flow.records[1].ratios) == set(flow.records[1].weights)


@pytest.mark.parametrize("mode", ["eager", "replay"])
def test_as_a_callback(mode):
    flow = GradientFlow(every=3)
    train(flow, mode)
    assert flow.steps == 12 and [r.step for r in flow.records] == [0, 3, 6, 9]
    assert all(
        len(r.ratios) == 4 for r in flow.records
    )  # the end of the epoch settles the last one
    assert flow.first_bad is None


def test_modes_record_the_same():
    eager, replay = GradientFlow(every=2), GradientFlow(every=2)
    train(eager, "eager")
    train(replay, "replay")
    for a, b in zip(eager.records, replay.records, strict=True):
        assert list(a.nodes) == list(b.nodes)
        for name in a.nodes:
            assert a.nodes[name].rms == pytest.approx(b.nodes[name].rms, rel=1e-5, abs=1e-12)


def test_watching_changes_nothing():
    with_flow, a = train(GradientFlow(every=1))
    without, b = train(lambda trainer, history: None)
    assert a.batch_loss == b.batch_loss
    assert all(
        np.array_equal(with_flow.state_dict()[k], v) for k, v in without.state_dict().items()
    )
    model = small()
    loss = mg.mse_loss(model(X), Y)
    loss.backward()
    before = [
        (n.value.tobytes(), None if n.grad is None else n.grad.tobytes())
        for n in mg.topological_sort(loss)
    ]
    flow = GradientFlow()
    flow.record(loss, model)
    flow.draw(loss)
    flow.to_dict()
    assert before == [
        (n.value.tobytes(), None if n.grad is None else n.grad.tobytes())
        for n in mg.topological_sort(loss)
    ]


def test_a_step_that_is_not_recorded_walks_no_graph(monkeypatch):
    flow = GradientFlow(every=5)
    loop(flow, 1)
    model = small()
    loss = mg.mse_loss(model(X), Y)
    loss.backward()
    monkeypatch.setattr(flow_module, "order_of", lambda *_: pytest.fail("the graph was walked"))
    monkeypatch.setattr(flow_module, "measure", lambda *_: pytest.fail("an array was measured"))
    for _ in range(4):
        flow.record(loss, model)
    assert flow.steps == 5


def test_a_graph_without_a_model():
    w, b = mg.Variable([1.0, 2.0], name="w"), mg.Variable(3.0)
    loss = mg.sum(w * 2.0 + b)
    loss.backward()
    flow = GradientFlow()
    flow.record(mg.Graph(loss))
    (record,) = flow.records
    assert list(record.weights) == ["w", "n3"] and norm(record.parameters["w"]) == pytest.approx(
        np.sqrt(8)
    )


def test_a_parameter_without_a_gradient_has_a_weight_only():
    model = small()
    model[0].weight.requires_grad = False
    flow = GradientFlow()
    loop(flow, 2, model)
    assert "0.weight" not in flow.records[0].parameters and "0.weight" in flow.records[0].weights
    assert flow.to_dict()["records"][0]["parameters"]["0.weight"]["norm"] is None


# ---------------- hooks
def test_watching_a_graph_sees_what_the_loop_sees():
    by_hooks, by_hand = GradientFlow(every=2), GradientFlow(every=2)
    model = small()
    optimizer = mg.optim.SGD(model.parameters(), 0.1)
    graph = mg.Graph(mg.mse_loss(model(X), Y))
    handle = by_hooks.watch(graph)
    for _ in range(5):
        optimizer.zero_grad()
        graph.forward()
        graph.backward()
        by_hand.record(graph, model)
        optimizer.step()
    handle.remove()
    by_hand.settle()
    assert by_hooks.to_dict() == by_hand.to_dict()
    graph.forward()
    graph.backward()
    assert by_hooks.steps == 5


def test_two_backward_passes_of_one_forward_are_two_steps():
    flow, x = GradientFlow(every=1), mg.Variable(2.0, name="x")
    y = x * x
    handle = flow.watch(y)
    y.backward()
    y.backward()
    handle.remove()
    assert [r.nodes["n0 (x)"].mean for r in flow.records] == [4.0, 8.0]


def test_watching_a_module():
    flow, model = GradientFlow(every=2), small()
    optimizer = mg.optim.SGD(model.parameters(), 0.1)
    handle = flow.watch(model)
    seen = []
    for _ in range(4):
        optimizer.zero_grad()
        loss = mg.mse_loss(model(X), Y)
        loss.backward()
        seen.append({name: p.grad.copy() for name, p in model.named_parameters()})
        optimizer.step()
    handle.remove()
    handle.remove()
    assert [r.step for r in flow.records] == [0, 2]
    assert {"Sequential", "0 · Linear", "1 · Tanh", "2 · Linear"} < set(flow.records[0].nodes)
    for record in flow.records:
        for name, g in seen[record.step].items():
            assert norm(record.parameters[name]) == pytest.approx(np.linalg.norm(g), rel=1e-6)
        assert record.ratios
    mg.mse_loss(model(X), Y).backward()
    assert flow.steps == 4


def test_a_module_that_is_called_twice_in_one_pass():
    flow, layer = GradientFlow(every=1), nn.Linear(2, 2)
    handle = flow.watch(layer)
    mg.sum(layer(layer(X))).backward()
    handle.remove()
    assert {"Linear", "Linear (2)"} < set(flow.records[0].nodes) and flow.steps == 1


# ---------------- NaN and inf
def test_first_bad_is_the_first_value_in_the_order_of_computation():
    x = mg.Variable([-1.0, 2.0], name="x")
    with np.errstate(all="ignore"):
        loss = mg.sum(mg.exp(mg.log(x)))
        loss.backward()
    flow = GradientFlow()
    flow.record(loss)
    assert flow.first_bad == "step 0: n1 (log), value ✖ NaN"
    hooked = GradientFlow()
    graph = mg.Graph(loss)
    handle = hooked.watch(graph)
    with np.errstate(all="ignore"):
        graph.forward()
        graph.backward()
    handle.remove()
    assert hooked.first_bad == flow.first_bad


def test_first_bad_gradient():
    x = mg.Variable([0.0, 4.0], name="x")
    with np.errstate(all="ignore"):
        loss = mg.sum(mg.sqrt(x) * 2.0)
        loss.backward()
    flow = GradientFlow()
    flow.record(loss)
    assert flow.first_bad == "step 0: n0 (x), gradient ▲ inf"
    assert flow.to_dict()["records"][0]["parameters"]["x"]["infs"] == 1


def test_a_loss_that_is_not_finite_is_recorded_whenever_it_comes():
    flow, w = GradientFlow(every=100), mg.Variable(1.0, name="w")
    for step in range(6):
        w.value = -1.0 if step >= 3 else 1.0
        w.zero_grad()
        with np.errstate(all="ignore"):
            loss = mg.log(w)
            loss.backward()
        flow.record(loss)
    assert [r.step for r in flow.records] == [0, 3]
    assert flow.first_bad == "step 3: n1 (log), value ✖ NaN"


# ---------------- bounded memory
def test_records_are_thinned_and_the_interval_doubles():
    flow = GradientFlow(every=1, keep=4)
    loop(flow, 40)
    assert len(flow.records) <= 4 and flow.every == 16
    assert [r.step for r in flow.records] == [0, 16, 32]


def test_thinning_keeps_the_first_bad_step():
    flow, w = GradientFlow(every=1, keep=3), mg.Variable(1.0, name="w")
    for step in range(30):
        w.value = -1.0 if step >= 7 else 1.0
        with np.errstate(all="ignore"):
            loss = mg.log(w)
            loss.backward()
        flow.record(loss)
    assert 7 in [r.step for r in flow.records] and len(flow.records) <= 3


def test_large_graphs_keep_fewer_records(monkeypatch):
    monkeypatch.setattr(flow_module, "MOST_STATS", 30)
    flow = GradientFlow(every=1)
    loop(flow, 20)
    assert sum(len(r.nodes) for r in flow.records) <= 30 and len(flow.records) >= 2


# ---------------- files
def test_to_dict_is_json_and_agrees_with_the_records():
    flow = GradientFlow(every=2)
    train(flow)
    told = json.loads(json.dumps(flow.to_dict(), allow_nan=False))
    assert told["every"] == 2 and told["steps"] == 12 and told["first_bad"] is None
    for row, record in zip(told["records"], flow.records, strict=True):
        assert row["step"] == record.step
        found = row["parameters"]["2.weight"]
        assert found["norm"] == norm(record.parameters["2.weight"]) and found["size"] == 5
        assert (
            found["weight_norm"] == record.weights["2.weight"]
            and found["update_ratio"] == record.ratios["2.weight"]
        )
        assert row["parameters"]["2.bias"]["zeros"] == 0 and list(row["nodes"]) == list(
            record.nodes
        )
    assert (
        told["records"][0]["parameters"]["0.bias"]["update_ratio"] is None
    )  # the biases start at 0


def test_csv(tmp_path):
    flow, w = GradientFlow(every=1), mg.Variable([3.0, 4.0], name='w, "x"\n')
    loss = mg.sum(w * w)
    loss.backward()
    flow.record(loss)
    path = tmp_path / "deep" / "flow.csv"
    flow.to_csv(path)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["kind"] for row in rows] == ["parameter", "node", "node", "node"]
    assert rows[0]["name"] == 'w, "x"\n' and float(rows[0]["norm"]) == pytest.approx(10.0)
    assert float(rows[0]["weight_norm"]) == 5.0
    assert rows[0]["update_ratio"] == "" and [p.name for p in path.parent.iterdir()] == ["flow.csv"]


def test_a_failed_csv_leaves_the_old_file(tmp_path, monkeypatch):
    flow = GradientFlow()
    loop(flow, 1)
    path = tmp_path / "flow.csv"
    path.write_text("old", encoding="utf-8")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        flow.to_csv(path)
    assert path.read_text(encoding="utf-8") == "old" and [p.name for p in tmp_path.iterdir()] == [
        "flow.csv"
    ]


def test_the_same_on_every_run():
    script = """
import numpy as np, minigrad as mg
m = mg.nn.Sequential(mg.nn.Linear(2, 3, seed=0), mg.nn.Tanh(), mg.nn.Linear(3, 1, seed=1))
f = mg.viz.GradientFlow(every=1)
for _ in range(3):
    loss = mg.mean(m(np.ones((4, 2)))); loss.backward(); f.record(loss, m)
print(f.to_dict(), f.heat().description)
"""
    outputs = set()
    for seed in ("0", "1"):
        run = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            encoding="utf-8",
            check=True,
            env={"PYTHONHASHSEED": seed},
        )
        outputs.add(run.stdout)
    assert len(outputs) == 1


# ---------------- bad input
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "every=0; an integer ≥ 1"),
        ({"every": 1.5}, "every=1.5"),
        ({"keep": 1}, "keep=1; an integer ≥ 2"),
        ({"every": True}, "every=True"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=f"GradientFlow: {message}"):
        GradientFlow(**options)


def test_wrong_things():
    flow = GradientFlow()
    with pytest.raises(
        TypeError, match="GradientFlow.record: a int; a node or a Graph was expected"
    ):
        flow.record(3)
    with pytest.raises(TypeError, match="GradientFlow.watch: a str; a node or a Graph"):
        flow.watch("x")
    with pytest.raises(mg.GraphError, match=r"has no gradient; call its backward\(\) first"):
        flow.record(mg.Variable(1.0) * 2.0)
    for method in (flow.heat, flow.ratios, lambda: flow.draw(mg.Variable(1.0))):
        with pytest.raises(mg.GraphError, match="recorded yet"):
            method()
    assert flow.steps == 0


# ---------------- the drawing of a step
def test_draw_inks_the_graph_with_the_recorded_gradients():
    flow = GradientFlow(every=2)
    model, _ = loop(flow, 6)
    loss = mg.mse_loss(model(X), Y)  # a new graph, without gradients of its own
    drawing = flow.draw(loss, step=2)
    assert drawing.picture.title == "Gradients at step 2"
    flows = {box.id: box.flows[0] for box in drawing.picture.boxes if box.flows}
    for name, stats in flow.records[1].nodes.items():
        found = flows[name.split()[0]]
        assert (found.state, found.step) == (stats.state, stats.step)
        assert "at step 2" in found.title
    assert drawing.svg and flow.draw(loss).picture.title == "Gradients at step 4"
    with pytest.raises(ValueError, match="step=3 was not recorded; the nearest one is 2"):
        flow.draw(loss, step=3)
    with pytest.raises(mg.GraphError, match="which is no node of this graph"):
        flow.draw(mg.Variable(1.0) * 2.0)


# ---------------- names and numbers
def test_names_of_variables_that_clash():
    a, b = mg.Variable(1.0, name="w"), mg.Variable(2.0, name="w")
    assert list(parameters_in(mg.topological_sort(a * b))) == ["w", "w (n1)"]


def test_layers():
    assert layers(["a.weight", "a.bias", "b.c.w", "w"]) == {
        "a": ["a.weight", "a.bias"],
        "b.c": ["b.c.w"],
        "w": ["w"],
    }


def test_slope():
    assert slope([0, 1, 2, 3], [1, 10, 100, 0]) == pytest.approx(1.0)
    assert np.isnan(slope([0, 1], [np.nan, 3.0]))
