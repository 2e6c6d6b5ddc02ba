"""`diagnose`: finds each disease where it was put, none in healthy models, and leaves everything as
it was.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

import minigrad as mg
from minigrad import data, models, nn, ops
from minigrad.viz import GradientFlow, diagnose
from minigrad.viz.flow.diagnose import LEAST_SLOPE, _usual_loss
from minigrad.viz.flow.diagnosis import _CURES, Diagnosis, Finding

CIRCLE = data.circle(400, seed=0)
X, Y = CIRCLE.x_train[:64], CIRCLE.y_train.reshape(-1, 1)[:64]


@pytest.fixture(autouse=True)
def first_values():
    mg.manual_seed(0)


def deep(depth=8, act=nn.Sigmoid, scale=1.0, width=25):
    parts = [nn.Linear(2, width, seed=0), act()]
    for i in range(depth - 2):
        parts += [nn.Linear(width, width, seed=i + 1), act()]
    model = nn.Sequential(*parts, nn.Linear(width, 1, seed=99))
    for name, p in model.named_parameters():
        if name.endswith("weight"):
            p.value *= scale
    return model


def kinds(diagnosis):
    return {finding.kind for finding in diagnosis}


# ---------------- diseases
def test_a_deep_sigmoid_net_vanishes():
    model = deep()
    found = diagnose(model, X, Y)
    assert (
        kinds(found) == {"vanishing gradient"} and found[0].where == "layer 0" and not found.healthy
    )
    loss = mg.mse_loss(model(X), Y)
    loss.backward()
    linear = [n for n in mg.topological_sort(loss) if n.inputs and n.rule.name == "linear"]
    first, last = (f"{np.linalg.norm(n.grad):.3g}" for n in (linear[0], linear[-1]))
    assert f"has norm {first}, at the last layer's (14) {last}:" in found[0].evidence


@pytest.mark.parametrize("act", [nn.Tanh, nn.ReLU])
def test_initial_values_that_are_too_small(act):
    assert kinds(diagnose(deep(6, act, 0.02), X, Y)) == {"vanishing gradient"}


def test_initial_values_that_are_too_large():
    assert kinds(diagnose(deep(8, nn.ReLU, 8.0), X, Y)) == {"exploding gradient"}
    assert "saturation" in kinds(diagnose(deep(8, nn.Tanh, 8.0), X, Y))


def test_dead_relus():
    model = models.mlp("relu")
    model[2].bias.value[...] = -100
    found = diagnose(model, X, Y)
    assert kinds(found) == {"dead ReLU"} and found[0].where.startswith("3 · ReLU, node n")
    assert "25 of 25 units give 0 at all 64 places" in found[0].evidence


def test_dead_channels_of_a_convolution():
    model = models.cnn()
    model[0].bias.value[:7] = -100
    found = diagnose(model, np.random.default_rng(0).random((4, 1, 28, 28)), np.arange(4))
    assert [f.kind for f in found] == ["dead ReLU"] and "7 of 8 units" in found[0].evidence


def test_a_single_sample_is_no_proof_of_death():
    assert diagnose(models.mlp("relu"), X[:1], Y[:1]).healthy


@pytest.mark.parametrize(("act", "kind"), [(nn.Sigmoid, "sigmoid"), (nn.Tanh, "tanh")])
def test_saturation(act, kind):
    model = nn.Sequential(nn.Linear(2, 30, seed=0), act(), nn.Linear(30, 1, seed=1))
    model[0].weight.value *= 1e3
    found = diagnose(model, X, Y)
    assert kinds(found) == {"saturation"} and "1 · " in found[0].where
    y = mg.topological_sort(model[:2](X))[-1].value
    slopes = 4 * y * (1 - y) if kind == "sigmoid" else 1 - y * y
    assert (
        f"{100 * np.mean(slopes < LEAST_SLOPE):.3g} % of the outputs of {kind}" in found[0].evidence
    )


def test_saturation_inside_a_recurrent_layer():
    model = models.RowRNN(28, 16)
    model.rnn.weight_ih_l0.value *= 100
    images = np.random.default_rng(0).random((8, 28, 28))
    assert "saturation" in kinds(diagnose(model, images, np.arange(8)))


def test_certain_and_right_is_healthy_certain_and_wrong_is_not():
    model = nn.Sequential(nn.Linear(1, 1, seed=0), nn.Sigmoid())
    model[0].weight.value[...], model[0].bias.value[...] = 40.0, -20.0
    x = np.array([[0.0], [1.0]] * 10)
    assert diagnose(model, x, x).healthy
    assert kinds(diagnose(model, x, 1 - x, ops.mse_loss)) == {"saturation"}


def test_nan_from_the_logarithm_of_a_negative_number():
    class Logarithm(nn.Module):
        def __init__(self):
            self.a, self.b = nn.Linear(2, 4, seed=0), nn.Linear(4, 1, seed=1)

        def forward(self, x):
            return self.b(ops.log(self.a(x)))

    found = diagnose(Logarithm(), X, Y)
    assert [f.kind for f in found] == ["NaN or inf"]
    assert (
        "node n4 (log)" in found[0].where
        and "First bad node: n4 (log), value ✖ NaN." in found[0].evidence
    )
    low, high = (f"{f:.3g}" for f in (Logarithm().a(X).value.min(), Logarithm().a(X).value.max()))
    assert f"{low} to {high}" in found[0].evidence


def test_inf_in_a_gradient():
    class Root(nn.Module):
        def __init__(self):
            self.w = mg.Variable(np.zeros((2, 1)))

        def forward(self, x):
            return ops.sqrt(ops.maximum(x @ self.w, 0.0))

    found = diagnose(Root(), X, Y)
    assert [f.kind for f in found] == ["NaN or inf"] and "gradient" in found[0].evidence


def test_an_unused_layer():
    class Unused(nn.Module):
        def __init__(self):
            self.a, self.extra = nn.Linear(2, 1, seed=0), nn.Linear(4, 1, seed=1)

        def forward(self, x):
            return self.a(x)

    found = diagnose(Unused(), X, Y)
    assert [(f.kind, f.where) for f in found] == [("unused parameter", "extra.weight, extra.bias")]


def test_a_parameter_behind_an_operator_without_derivative():
    class Blocked(nn.Module):
        def __init__(self):
            self.a, self.b = nn.Linear(2, 4, seed=0), nn.Linear(4, 1, seed=1)

        def forward(self, x):
            return self.b(ops.sign(self.a(x)))

    found = diagnose(Blocked(), X, Y)
    assert [(f.kind, f.where) for f in found] == [("unused parameter", "a.weight, a.bias")]
    assert "gets no gradient" in found[0].evidence


def test_a_frozen_layer():
    model = models.mlp()
    for p in model[2].parameters():
        p.requires_grad = False
    assert [(f.kind, f.where) for f in diagnose(model, X, Y)] == [
        ("frozen parameter", "2.weight, 2.bias")
    ]
    for p in model.parameters():
        p.requires_grad = False
    assert len(diagnose(model, X, Y)) == 4


def test_a_learning_rate_that_is_too_large():
    model = models.mlp("relu")
    optimizer = mg.optim.SGD(model.parameters(), 10.0)
    seen = set()
    for _ in range(6):
        optimizer.zero_grad()
        with np.errstate(all="ignore"):
            mg.mse_loss(model(X), Y).backward()
            optimizer.step()
        seen |= kinds(diagnose(model, X, Y))
    assert "NaN or inf" in seen and not diagnose(model, X, Y).healthy


def test_a_gradient_of_exactly_zero():
    model = models.mlp()
    model[6].weight.value[...] = 0
    found = diagnose(model, X, Y)
    assert [(f.kind, f.where) for f in found] == [("vanishing gradient", "0, 2, 4")]


def test_weights_that_enter_transposed_are_found_at_the_data():
    class Layer(nn.Module):
        def __init__(self, i):
            self.w = mg.Variable(np.random.default_rng(i).normal(size=(9, 9)) / 3)

        def forward(self, x):
            return ops.tanh(x @ self.w.T)

    model = nn.Sequential(*(Layer(i) for i in range(4)))
    assert diagnose(model, np.random.default_rng(9).normal(size=(32, 9)), np.zeros((32, 9))).healthy


# ---------------- healthy models
def digits():
    return data.mnist_sample()


def fives():
    return (digits().y_train == 5).astype(np.float32)[:, None]


HEALTHY = {
    f"mlp-{act}{'-clipped' * clipped}": (
        lambda act=act, clipped=clipped: models.mlp(act, clipped),
        lambda: CIRCLE.x_train,
        lambda: CIRCLE.y_train.reshape(-1, 1),
        ops.mse_loss,
        1e-2,
    )
    for act in models.ACTIVATIONS
    for clipped in (False, True)
} | {
    "cnn-five": (
        models.cnn_five,
        lambda: digits().x_train[:96, None],
        lambda: fives()[:96],
        ops.mse_loss,
        1e-3,
    ),
    "cnn": (
        models.cnn,
        lambda: digits().x_train[:300, None],
        lambda: digits().y_train[:300],
        ops.cross_entropy,
        3e-3,
    ),
    "rnn": (
        lambda: models.RowRNN(196),
        lambda: digits().x_train[:300].reshape(-1, 4, 196),
        lambda: digits().y_train[:300],
        ops.cross_entropy,
        1e-3,
    ),
    "rnn-rows": (
        lambda: models.RowRNN(28, 128),
        lambda: digits().x_train[:300],
        lambda: digits().y_train[:300],
        ops.cross_entropy,
        2e-3,
    ),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_no_false_alarm(name):
    make, x, y, loss, lr = HEALTHY[name]
    model, x, y = make(), x(), y()
    for n in (32, 64):
        assert diagnose(model, x[:n], y[:n]).healthy and diagnose(model, x[:n], y[:n], loss).healthy
    trainer = mg.Trainer(model, loss, mg.optim.Adam(model.parameters(), lr), mode="replay")
    trainer.fit(x, y, epochs=4, batch_size=32, progress=False)
    for n in (32, 64):
        assert diagnose(model, x[:n], y[:n]).healthy and diagnose(model, x[:n], y[:n], loss).healthy


def test_no_false_alarm_for_text():
    rng = np.random.default_rng(0)
    ids, y = rng.integers(0, 300, (48, 130)), rng.integers(0, 2, 48).astype(np.float32)
    ids[y == 1, ::9] = 7  # a word that tells
    model = models.TextCNN(vocabulary=300)
    assert diagnose(model, ids, y).healthy
    trainer = mg.Trainer(
        model, ops.binary_cross_entropy, mg.optim.Adam(model.parameters(), 1e-3), mode="replay"
    )
    trainer.fit(ids, y, epochs=8, batch_size=16, progress=False)
    assert diagnose(model, ids, y).healthy


# ---------------- nothing is touched
def test_everything_is_as_before():
    model = deep(3, nn.ReLU)
    for p in model.parameters()[:2]:
        p.grad = np.full(p.shape, 7.0, p.dtype)
    model[0].train(False)
    flow = GradientFlow()
    handle = flow.watch(model)
    seen = []
    model[1].register_forward_hook(lambda node, value: seen.append(1))
    before = model.state_dict()
    grads = [p.grad for p in model.parameters()]
    modes = [m.training for m in model.modules()]
    hooks = [len(p.hooks or ()) for p in model.parameters()]
    first = diagnose(model, X, Y)
    assert all(np.array_equal(before[k], v) for k, v in model.state_dict().items())
    assert (
        all(p.grad is g for p, g in zip(model.parameters(), grads, strict=True))
        and (grads[0] == 7).all()
    )
    assert [m.training for m in model.modules()] == modes and [
        len(p.hooks or ()) for p in model.parameters()
    ] == hooks
    assert flow.steps == 0 and not seen
    model(X)
    assert seen == [1]  # the hooks are still there
    handle.remove()
    assert str(diagnose(model, X, Y)) == str(first)


def test_a_penalty_on_the_original_weights_leaves_their_gradients():
    model = models.mlp()
    model[0].weight.grad = np.full((25, 2), 3.0, np.float32)
    seen = []
    model[0].weight.register_backward_hook(lambda node, grad: seen.append(1))

    def penalised(output, target):
        return mg.mse_loss(output, target) + sum(mg.sum(p * p) for p in model.parameters()) * 1e-3

    assert diagnose(model, X, Y, penalised).judged_by == "penalised"
    assert (model[0].weight.grad == 3).all() and model[2].weight.grad is None and not seen
    mg.sum(model[0].weight).backward()
    assert seen == [1] and (model[0].weight.grad == 4).all()


# ---------------- which loss
@pytest.mark.parametrize(
    ("output", "y", "loss"),
    [
        (mg.Constant(np.zeros((4, 3))), np.arange(4) % 3, ops.cross_entropy),
        (mg.Constant(np.zeros((4, 3))), np.zeros((4, 3)), ops.mse_loss),
        (
            mg.sigmoid(mg.Variable(np.zeros((4, 1)))),
            np.array([0.0, 1, 1, 0]),
            ops.binary_cross_entropy,
        ),
        (
            mg.sigmoid(mg.Variable(np.zeros((4, 1)))),
            np.array([0, 1, 1, 0]),
            ops.binary_cross_entropy,
        ),
        (mg.sigmoid(mg.Variable(np.zeros((4, 1)))), np.array([0, 0.3, 1, 0]), ops.mse_loss),
        (mg.Variable(np.zeros((4, 1))) * 1.0, np.array([0, 1, 1, 0]), ops.mse_loss),
    ],
)
def test_the_usual_loss(output, y, loss):
    assert _usual_loss(output, y) is loss


def test_a_column_and_whole_numbers_are_understood():
    expected = mg.mse_loss(models_fixed()(X), Y).item()
    for y in (Y, Y[:, 0], Y[:, 0].astype(np.int64)):
        assert diagnose(models_fixed(), X, y).loss == pytest.approx(expected)


def models_fixed():
    return nn.Sequential(nn.Linear(2, 8, seed=0), nn.Tanh(), nn.Linear(8, 1, seed=1))


# ---------------- in words
def test_a_diagnosis_is_a_sequence_that_speaks():
    found = diagnose(deep(), X, Y)
    assert len(found) == 1 and found[0] is list(found)[0] and found[:1] == (found[0],)  # noqa: RUF015
    assert str(found).startswith("Diagnosis: 1 finding (one batch, mse_loss ") and found[
        0
    ].cure in str(found)
    assert repr(found) == str(found)
    well = diagnose(models_fixed(), X, Y)
    assert well.healthy and str(well).startswith(
        "Diagnosis: healthy: nothing found (one batch, mse_loss "
    )
    assert "|" not in well._repr_markdown_()


def test_every_kind_has_a_cure():
    assert all(Finding(kind, "x", "y").cure.endswith(".") for kind in _CURES)


def test_any_name_is_shown_as_it_is():
    filters = pytest.importorskip("nbconvert.filters.markdown_mistune")
    wicked = r"a|b <i>*c*</i> $x$ `q` _z_ ~~s~~ \(y\) [l](http://e.org) &amp; # \\"
    said = Diagnosis([Finding("saturation", wicked, "1 < 2\n3")], 1.0, "f_x")._repr_markdown_()
    html = filters.markdown2html_mistune(said)
    page = ET.fromstring(f"<r>{html}</r>")
    cells = ["".join(cell.itertext()).strip() for cell in page.iter("td")]
    assert cells[:4] == ["1", "saturation", wicked, "1 < 2 3"]
    assert {element.tag for element in page.iter("td") for element in element.iter()} == {
        "td",
        "span",
    }
    assert all(
        text in "$\\" or not set("$\\") & set(text) for text in page.itertext()
    )  # nothing for MathJax to find


# ---------------- bad input
def test_wrong_things():
    with pytest.raises(
        TypeError, match=r"diagnose: a int; a model with named_parameters\(\) was expected"
    ):
        diagnose(3, X, Y)
    with pytest.raises(mg.ShapeError, match=r"diagnose: x has shape \(0, 2\); at least one sample"):
        diagnose(models.mlp(), X[:0], Y[:0])
    with pytest.raises(TypeError, match="diagnose: y holds"):
        diagnose(models.mlp(), X, np.array(["a"] * 64))
    with pytest.raises(TypeError, match="diagnose: the model returned a tuple"):
        diagnose(nn.RNN(2, 3), X[None], Y)
    with pytest.raises(
        mg.ShapeError, match=r"diagnose: the loss has shape \(64, 1\); a single number"
    ):
        diagnose(models.mlp(), X, Y, lambda output, target: output - target)
    with mg.no_grad(), pytest.raises(mg.GraphError, match="diagnose: within no_grad"):
        diagnose(models.mlp(), X, Y)
