"""Saliency: the gradients are those of the model, and the model is none the wiser."""

from __future__ import annotations

import numpy as np
import pytest
from viz.views.models import after_a_step, cnn, images, state

import minigrad as mg
from minigrad import nn
from minigrad.viz import saliency


def test_the_gradient_is_that_of_the_largest_output():
    model, x = cnn(), images()
    made = saliency(model, x)
    for i in range(3):
        leaf = mg.Variable(x[i : i + 1])
        output = model(leaf)
        best = int(output.value.argmax())
        output[0, best].backward()
        assert np.array_equal(made.numbers["gradient"][i], leaf.grad[0])
        assert made.numbers["score"][i] == output.value[0, best]
        share = np.exp(output.value[0] - output.value.max())
        told = f"predicted {best} ({100 * share.max() / share.sum():.0f} %)"
        assert f"{told}, at most" in made.description
        size = np.abs(made.numbers["gradient"][i, 0])
        above, below = made.axes[i], made.axes[3 + i]
        assert above.get_title("left") == told
        assert np.array_equal(above.images[0].get_array(), x[i, 0])
        assert np.allclose(below.images[0].get_array(), size / size.max())


def test_the_gradient_of_the_loss_agrees_with_central_differences():
    model = cnn().to(np.float64)
    x, y = images(2).astype(float), np.array([1, 4])
    gradient = saliency(model, x, y).numbers["gradient"]
    for i, place in ((0, (0, 3, 4)), (1, (0, 7, 7)), (1, (0, 2, 9))):

        def loss(step, i=i, place=place):
            moved = x[i : i + 1].copy()
            moved[(0, *place)] += step
            return mg.cross_entropy(
                model(mg.Constant(moved, dtype=np.float64)), y[i : i + 1]
            ).item()

        assert gradient[(i, *place)] == pytest.approx(
            (loss(1e-6) - loss(-1e-6)) / 2e-6, rel=1e-5, abs=1e-9
        )


@pytest.mark.parametrize("last", [mg.softmax, mg.log_softmax, mg.sin])
def test_prediction_and_truth_stand_above_each_sample(last):
    linear = nn.Linear(2, 2, seed=0)
    linear.weight.value[:] = [[0, 0], [0.5, 0]]
    chance = np.exp(0.5) / (1 + np.exp(0.5))
    if last is mg.sin:  # outputs are taken for scores
        chance = np.exp(np.sin(0.5)) / (1 + np.exp(np.sin(0.5)))
    x = np.array([[1.0, 0.0], [-1.0, 0.0]], np.float32)
    made = saliency(lambda x: last(linear(x)), x, np.array([1, 1]))
    shown = [ax.get_title("left") for ax in made.axes[:2]]
    share = f"({100 * chance:.0f} %)"
    assert shown == [f"predicted 1 {share}, true 1", f"predicted 0 {share}, true 1"]


def test_a_single_output_has_classes_where_it_is_a_probability():
    x, linear = np.ones((1, 2), np.float32), nn.Linear(2, 1, seed=0)
    linear.weight.value[:] = [[0, -np.log(4)]]
    made = saliency(nn.Sequential(linear, nn.Sigmoid()), x, [[1.0]], mg.binary_cross_entropy)
    assert "predicted 0 (80 %), true 1, at most" in made.description
    assert "output -1.39, at most" in saliency(linear, x).description


def test_a_sigmoid_is_stepped_over():
    x = np.array([[40.0, -1.0]], np.float32)  # where the sigmoid itself is flat in float32
    linear = nn.Linear(2, 1, seed=0)
    with_sigmoid = nn.Sequential(linear, nn.Sigmoid())
    assert np.array_equal(saliency(with_sigmoid, x).numbers["gradient"], linear.weight.value)
    made = saliency(with_sigmoid, x, np.array([1.0]), mg.binary_cross_entropy)
    assert "gradient of its loss" in made.description


def test_rows_for_a_recurrent_model():
    class Last(nn.Module):
        def __init__(self):
            self.rnn = nn.RNN(5, 4)

        def forward(self, x):
            return self.rnn(mg.transpose(x, (1, 0, 2)))[0][-1]

    made = saliency(Last(), np.ones((2, 6, 5), np.float32))
    assert made.numbers["gradient"].shape == (2, 6, 5)
    assert made._repr_png_()


@pytest.mark.parametrize("shape", [(2, 40), (1, 3, 4, 4), (12, 2, 30)])
def test_other_shapes_are_drawn(shape):
    model = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape[1:])), 2, seed=0))
    made = saliency(model, np.random.default_rng(0).random(shape).astype(np.float32))
    assert made._repr_png_()
    assert made.numbers["input"].shape == (min(8, shape[0]), *shape[1:])


def test_the_model_is_left_as_it_was():
    model, x = cnn(), images()
    after_a_step(model, x)
    before, x_before = state(model), x.copy()
    saliency(model, x)
    saliency(model, x, np.array([0, 1, 2]))
    with pytest.raises(ZeroDivisionError):
        saliency(model, x, np.array([0, 1, 2]), lambda *_: 1 / 0)
    assert state(model) == before
    assert np.array_equal(x, x_before)


def test_training_goes_on_as_if_nobody_had_looked():
    def train(look):
        model, x, y = cnn(), images(8), np.arange(8) % 5
        trainer = mg.Trainer(
            model, mg.cross_entropy, mg.optim.Adam(model.parameters()), mode="replay"
        )
        for _ in range(2):
            trainer.fit(x, y, epochs=1, batch_size=4, progress=False)
            if look:
                saliency(model, x[:2])
        return model.state_dict()

    plain, looked = train(False), train(True)
    assert all(np.array_equal(plain[name], looked[name]) for name in plain)


def test_what_does_not_fit():
    model, x = cnn(), images()
    with pytest.raises(TypeError, match="saliency: cannot call a int; a model was expected"):
        saliency(3, x)
    with pytest.raises(mg.DTypeError, match="x holds int64, which has no gradient"):
        saliency(model, x.astype(int))
    with pytest.raises(mg.ShapeError, match=r"x has shape \(12,\)"):
        saliency(model, x[0, 0, 0])
    with pytest.raises(mg.ShapeError, match="as many targets as samples"):
        saliency(model, x, np.array([1]))
    with pytest.raises(ValueError, match="y without loss="):
        saliency(nn.Sequential(nn.Flatten(), nn.Linear(144, 1)), x, np.ones(3))
    with pytest.raises(
        mg.ShapeError, match=r"the model gave shape \(1, 1, 12, 12\); outputs \(N, classes\)"
    ):
        saliency(nn.ReLU(), x)
    with pytest.raises(mg.ShapeError, match="does not depend on x"):
        saliency(lambda x: mg.Constant([[1.0, 2.0]]), x)
    with pytest.raises(mg.DTypeError, match="x holds <U1"):
        saliency(model, ["a"])
