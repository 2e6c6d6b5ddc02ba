"""The figures of gradient flow: the numbers they show are the graph's, and the marks on them say
so.
"""

from __future__ import annotations

import io

import numpy as np
import pytest

import minigrad as mg
from minigrad import models, nn
from minigrad.ops.recurrent import gru_cell, lstm_cell
from minigrad.viz import GradientFlow, gradient_ruler, gradient_through_time, save_figure
from minigrad.viz.flow.figures import _edges
from minigrad.viz.flow.naming import norm
from minigrad.viz.flow.through_time import contributions, through_time

X = np.linspace(-1, 1, 40).reshape(20, 2).astype(np.float32)
Y = (X[:, :1] * X[:, 1:] > 0).astype(np.float32)


def chain(depth=3, act=nn.Tanh, width=6):
    parts = [nn.Linear(2, width, seed=0), act()]
    for i in range(depth - 2):
        parts += [nn.Linear(width, width, seed=i + 1), act()]
    return nn.Sequential(*parts, nn.Linear(width, 1, seed=99))


def recorded(steps=12, every=2, model=None, lr=0.1, settle=True):
    flow, model = GradientFlow(every=every), model or chain()
    optimizer = mg.optim.SGD(model.parameters(), lr)
    with np.errstate(all="ignore"):
        for _ in range(steps):
            optimizer.zero_grad()
            loss = mg.mse_loss(model(X), Y)
            loss.backward()
            flow.record(loss, model)
            optimizer.step()
    if settle:
        with np.errstate(all="ignore"):
            flow.settle()
    return flow


def texts(figure):
    return [text.get_text() for ax in figure.axes for text in ax.texts] + [
        text.get_text() for text in figure.texts
    ]


def pixels(figure):
    return figure._repr_png_()


# ---------------- heat
def test_heat_shows_the_norms_of_the_layers():
    flow = recorded()
    figure = flow.heat()
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == [
        "0 · Linear",
        "2 · Linear",
        "4 · Linear",
    ]
    strips = [c for c in figure.axes[0].collections if type(c).__name__ == "QuadMesh"]
    for strip, layer in zip(strips, ("0", "2", "4"), strict=True):
        expected = [
            np.hypot(norm(r.parameters[f"{layer}.weight"]), norm(r.parameters[f"{layer}.bias"]))
            for r in flow.records
        ]
        np.testing.assert_allclose(
            np.ma.filled(strip.get_array(), np.nan).ravel(), np.log10(expected), rtol=1e-9
        )
        np.testing.assert_allclose(figure.numbers[layer], expected)
        assert f"{layer} · Linear: from " in figure.description
    assert list(figure.numbers["step"]) == [0, 2, 4, 6, 8, 10]
    assert any("no alarms" in t for t in [figure._supxlabel.get_text()])


def test_alarms_are_glyphs():
    model = chain()
    model[4].weight.value[...] = 0  # nothing comes back through a weight of 0
    flow = recorded(steps=1, model=model)
    figure = flow.heat()
    assert (
        texts(figure).count("∅") == 2 and texts(figure).count("0 ∅") == 2
    )  # in its lane, beside its last number
    assert (
        "∅ exactly zero" in figure._supxlabel.get_text()
        and "exactly zero at 1 step" in figure.description
    )


def test_nan_and_explosion_are_told_apart():
    flow = recorded(steps=60, every=1, model=chain(act=nn.ReLU), lr=50.0)
    figure = flow.heat()
    assert {"✖", "△"} <= set(texts(figure))
    assert np.isnan(figure.numbers["0"][-1]) and np.isfinite(figure.numbers["0"][0])


def test_many_steps_share_glyphs():
    model = chain()
    for p in model.parameters():
        p.value[...] = 0
    flow = recorded(steps=100, every=1, model=model, lr=1e-12)
    assert 40 <= texts(flow.heat()).count("∅") <= 2 * 41


@pytest.mark.parametrize("steps", [1, 2])
def test_few_steps(steps):
    flow = recorded(steps=steps, every=1)
    assert pixels(flow.heat()).startswith(b"\x89PNG") and pixels(flow.ratios()).startswith(
        b"\x89PNG"
    )


def test_edges_lie_halfway():
    assert list(_edges([0, 10, 20, 40])) == [-5, 5, 15, 30, 50]
    assert list(_edges([7])) == [6.5, 7.5]


# ---------------- ratios
def test_ratios_are_those_of_the_optimiser():
    flow = recorded(lr=0.05)
    figure = flow.ratios()
    (ax,) = figure.axes
    lines = [line for line in ax.lines if len(line.get_xdata()) == len(flow.records)]
    weights = [name for name in flow.records[0].weights if name.endswith("weight")]
    assert len(lines) == 6
    for name in weights:
        record = flow.records[2]
        expected = (
            0.05
            * record.parameters[name].rms
            * np.sqrt(record.parameters[name].size)
            / record.weights[name]
        )
        assert figure.numbers[name][2] == pytest.approx(expected, rel=1e-3)
        assert any(np.array_equal(line.get_ydata(), figure.numbers[name]) for line in lines)
        assert any(t.get_text().startswith(name) for t in figure.legends[0].get_texts())
    assert ax.get_yscale() == "log" and "Karpathy" in ax.get_title(loc="left")
    assert np.isnan(figure.numbers["0.bias"][0])  # a bias of 0 has no ratio


def test_ratios_before_any_update_is_known():
    figure = recorded(steps=1, settle=False).ratios()
    assert "no update was measured yet" in figure.description and pixels(figure)


def test_the_legend_has_the_lines_in_the_order_of_their_last_values():
    figure = recorded(lr=0.05).ratios()
    told = [text.get_text().split()[0] for text in figure.legends[0].get_texts()]
    last = {name: figure.numbers[name][np.isfinite(figure.numbers[name])][-1] for name in told}
    assert told == sorted(told, key=lambda name: -last[name]) and len(told) == 6


# ---------------- ruler
def test_the_ruler_shows_norms_in_forward_order():
    model = chain(5)
    loss = mg.mse_loss(model(X), Y)
    loss.backward()
    figure = gradient_ruler(loss)
    expected = {}
    for name, p in model.named_parameters():
        layer = name.split(".")[0]
        expected[layer] = np.hypot(expected.get(layer, 0.0), np.linalg.norm(p.grad))
    assert list(figure.numbers["norm"]) == list(expected)
    assert list(figure.numbers["norm"].values()) == pytest.approx(list(expected.values()), rel=1e-5)
    fit = np.polyfit(range(5), np.log10(list(expected.values())), 1)[0]
    assert figure.numbers["slope"] == pytest.approx(fit, rel=1e-5)
    assert f"Slope {fit:+.2f} decades per layer" in figure.axes[0].get_title(loc="left")
    dots = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert [float(dot.get_xdata()[0]) for dot in dots] == pytest.approx(
        list(expected.values()), rel=1e-5
    )
    assert (
        gradient_ruler(model).numbers == figure.numbers
    )  # here, layers were made in the order in which they are used


def test_a_deep_sigmoid_net_loses_more_than_half_a_decade_per_layer():
    loss = mg.mse_loss(chain(8, nn.Sigmoid, 25)(X), Y)
    loss.backward()
    assert 0.45 < gradient_ruler(loss).numbers["slope"] < 1.0


def test_the_graph_knows_the_order_of_use_and_the_model_that_of_making():
    class Backwards(nn.Module):
        def __init__(self):
            self.last, self.first = nn.Linear(3, 1, seed=0), nn.Linear(2, 3, seed=1)

        def forward(self, x):
            return self.last(mg.tanh(self.first(x)))

    model = Backwards()
    loss = mg.mse_loss(model(X), Y)
    loss.backward()
    assert list(gradient_ruler(loss).numbers["norm"]) == ["first", "last"]
    assert list(gradient_ruler(mg.Graph(loss)).numbers["norm"]) == ["first", "last"]
    assert list(gradient_ruler(model).numbers["norm"]) == ["last", "first"]


def test_a_gradient_of_zero_on_the_ruler():
    model = chain()
    model[4].weight.value[...] = 0
    loss = mg.mse_loss(model(X), Y)
    loss.backward()
    figure = gradient_ruler(loss)
    assert texts(figure)[:2] == ["∅ exactly zero"] * 2 and np.isnan(figure.numbers["slope"])
    assert "No slope" in figure.axes[0].get_title(loc="left") and pixels(figure)


def test_wrong_things_for_the_ruler():
    with pytest.raises(
        TypeError, match="gradient_ruler: a int; the head of a graph, a Graph or a model"
    ):
        gradient_ruler(3)
    with pytest.raises(mg.GraphError, match="no parameter has a gradient"):
        gradient_ruler(chain())


# ---------------- through time
def recurrent(nonlinearity="tanh", every_state=False, steps=9, grad=True):
    rng = np.random.default_rng(0)
    rnn = nn.RNN(4, 6, nonlinearity=nonlinearity, seed=0, dtype=np.float64)
    x = mg.Constant(rng.normal(size=(steps, 5, 4)), dtype=np.float64)
    states, _ = rnn(x)
    loss = mg.sum((states if every_state else states[-1]) ** 2)
    if grad:
        loss.backward()
    node = next(n for n in mg.topological_sort(loss) if n.inputs and n.rule.name == "rnn")
    return rnn, loss, node


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("every_state", [False, True])
def test_gradient_through_time_against_autodiff(nonlinearity, every_state):
    """The unrolled network has ∂L/∂h_t as gradients of its own nodes."""
    rnn, _, node = recurrent(nonlinearity, every_state)
    numbers = through_time(node)
    x, h0 = node.inputs[0].value, node.inputs[1].value
    w, v, b, c = (mg.Variable(p.value, dtype=np.float64) for p in rnn.parameters())
    f = mg.relu if nonlinearity == "relu" else mg.tanh
    own = [
        mg.Variable(w.value, dtype=np.float64) for _ in x
    ]  # a W for each step: its gradient is the step's part
    h, states = mg.Constant(h0, dtype=np.float64), []
    for x_t, w_t in zip(x, own, strict=True):
        h = f(mg.Constant(x_t, dtype=np.float64) @ mg.transpose(w_t) + b + h @ mg.transpose(v) + c)
        states.append(h)
    mg.sum((mg.stack(states) if every_state else h) ** 2).backward()
    np.testing.assert_allclose(numbers["norm"], [np.linalg.norm(s.grad) for s in states], rtol=1e-9)
    parts = np.array([np.linalg.norm(w_t.grad) for w_t in own])
    np.testing.assert_allclose(contributions(node), parts, rtol=1e-9)
    np.testing.assert_allclose(numbers["share"], parts / parts.sum(), rtol=1e-9)
    np.testing.assert_allclose(sum(w_t.grad for w_t in own), rnn.weight_ih_l0.grad, rtol=1e-9)
    assert numbers["share"].sum() == pytest.approx(1)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("n", [2, 9])  # one shard, and two
def test_gradient_of_gated_layers_through_time(kind, n):
    """Against the layer built step by step, with a W of its own for each step."""
    layer, rng = kind(4, 6, seed=0, dtype=np.float64), np.random.default_rng(0)
    x = mg.Constant(rng.normal(size=(7, n, 4)), dtype=np.float64)
    loss = mg.sum(layer(x)[0] ** 2)
    loss.backward()
    w, v, b, c = layer.parameters()
    own = [mg.Variable(w.value, dtype=np.float64) for _ in range(7)]
    h = cell = mg.Constant(np.zeros((n, 6)), dtype=np.float64)
    hs, cells = [], []
    for t, w_t in enumerate(own):
        if kind is nn.LSTM:
            h, cell = lstm_cell(x[t], h, cell, w_t, v, b, c)
        else:
            h = gru_cell(x[t], h, w_t, v, b, c)
        hs.append(h)
        cells.append(cell)
    mg.sum(mg.stack(hs) ** 2).backward()
    figure = gradient_through_time(loss)
    numbers = figure.numbers
    np.testing.assert_allclose(numbers["norm"], [np.linalg.norm(h.grad) for h in hs], rtol=1e-9)
    parts = np.array([np.linalg.norm(w_t.grad) for w_t in own])
    np.testing.assert_allclose(numbers["share"], parts / parts.sum(), rtol=1e-9)
    assert ("cells" in numbers) == (kind is nn.LSTM) and "bound" not in numbers
    if kind is nn.LSTM:
        np.testing.assert_allclose(
            numbers["cells"], [np.linalg.norm(c.grad) for c in cells], rtol=1e-9
        )
    assert len(figure.axes[0].get_legend().get_texts()) == 1 + (kind is nn.LSTM)
    assert "singular" not in figure.description


@pytest.mark.parametrize("every_state", [False, True])
def test_theory(every_state):
    rnn, _, node = recurrent(every_state=every_state)
    numbers = through_time(node)
    v = rnn.weight_hh_l0.value
    assert numbers["sigma"] == pytest.approx(np.linalg.svd(v, compute_uv=False)[0])
    assert numbers["rho"] == pytest.approx(np.abs(np.linalg.eigvals(v)).max())
    assert (numbers["norm"] <= numbers["bound"] * (1 + 1e-12)).all()
    assert numbers["last"] is (not every_state)
    if not every_state:
        steps = np.diff(np.log10(numbers["bound"]))
        np.testing.assert_allclose(steps, -np.log10(numbers["sigma"]), rtol=1e-9)
        fit = np.polyfit(range(9), np.log10(numbers["norm"]), 1)[0]
        assert numbers["slope"] == pytest.approx(fit)


def test_the_figure_shows_these_numbers():
    _, loss, node = recurrent()
    before = node.work["dh"].copy()
    figure = gradient_through_time(loss)
    above, below = figure.axes
    measured = next(line for line in above.lines if line.get_marker() == "o")
    np.testing.assert_allclose(measured.get_ydata(), figure.numbers["norm"])
    np.testing.assert_allclose([bar.get_height() for bar in below.patches], figure.numbers["share"])
    labels = [text.get_text() for text in above.get_legend().get_texts()]
    assert (
        labels[0].startswith("measured")
        and f"{-np.log10(figure.numbers['sigma']):+.3f} decades" in labels[2]
    )
    assert "9 time steps" in figure.description and np.array_equal(before, node.work["dh"])
    assert (
        gradient_through_time(node).description == gradient_through_time(mg.Graph(loss)).description
    )


def test_wrong_things_through_time():
    with pytest.raises(mg.GraphError, match="has no gradient; call backward"):
        gradient_through_time(recurrent(grad=False)[1])
    with pytest.raises(
        mg.GraphError, match="a graph with 0 fused recurrent nodes; one was expected"
    ):
        gradient_through_time(mg.Variable(1.0) * 2.0)
    states, _ = nn.RNN(2, 3, num_layers=2)(np.ones((4, 1, 2)))
    loss = mg.sum(states)
    loss.backward()
    with pytest.raises(
        mg.GraphError,
        match=r"a graph with 2 fused recurrent nodes, nodes \d+, \d+ of its order; pass one",
    ):
        gradient_through_time(loss)
    with pytest.raises(TypeError, match="gradient_through_time: a str"):
        gradient_through_time("rnn")


# ---------------- all of them
def every_figure():
    flow = recorded(model=models.mlp())
    loss = mg.mse_loss(models.mlp()(X), Y)
    loss.backward()
    return {
        "heat": flow.heat(),
        "ratios": flow.ratios(),
        "ruler": gradient_ruler(loss),
        "time": gradient_through_time(recurrent()[1]),
    }


def test_all_have_words_and_show_themselves():
    for figure in every_figure().values():
        data, metadata = figure._repr_mimebundle_()
        assert set(data) == {"image/png"} and len(metadata["image/png"]["alt"]) > 60


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_all_are_saved_with_the_same_bytes_twice(suffix, tmp_path):
    mg.manual_seed(0)
    first = every_figure()
    mg.manual_seed(0)
    second = every_figure()
    for name in first:
        a, b = tmp_path / f"{name}-a.{suffix}", tmp_path / f"{name}-b.{suffix}"
        save_figure(first[name], a)
        save_figure(second[name], b)
        assert a.read_bytes() == b.read_bytes() and a.stat().st_size > 3000


def test_any_name_is_safe():
    wicked = r"$x^2 <b>&\frac{1} _y"
    loss = mg.sum(mg.Variable([1.0, 2.0], name=wicked) * mg.Variable([3.0, 4.0], name="{}%s$"))
    loss.backward()
    flow = GradientFlow(every=1)
    flow.record(loss)
    flow.settle()
    for figure in (flow.heat(), flow.ratios(), gradient_ruler(loss)):
        figure.savefig(io.BytesIO(), format="svg")
    flow.draw(loss)._repr_svg_()


def test_a_deep_network_has_an_answer():
    model = chain(70)
    figure = recorded(steps=2, every=1, model=model).heat()
    assert figure.get_size_inches()[1] <= 14 and len(figure.numbers) == 71
    assert gradient_ruler(model).get_size_inches()[1] <= 14
