"""Operators of the user's own."""

import math

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn

cube = mg.operator(lambda x: x**3, lambda g, y, x: g * 3 * x**2, name="cube", symbol="x³")
scaled = mg.operator(lambda a, b: a * b, lambda g, y, a, b: (g * b, g * a), name="scaled")
norm = mg.operator(lambda x: np.sqrt((x * x).sum()), lambda g, y, x: g * x / y, name="norm")


def test_values_and_gradients_under_broadcasting():
    rng = np.random.default_rng(0)
    assert mg.gradcheck(cube, [rng.normal(size=(2, 3))])
    assert mg.gradcheck(scaled, [rng.normal(size=(2, 1, 3)), rng.normal(size=(4, 1))])
    assert mg.gradcheck(norm, [rng.normal(size=5)])
    assert mg.gradcheck(lambda x: scaled(cube(x), 2.0) + x, [np.array(0.5)])


def test_a_wrong_gradient_is_found():
    wrong = mg.operator(lambda x: x**3, lambda g, y, x: g * 3.003 * x**2)
    with pytest.raises(AssertionError, match=r"gradient .* central difference"):
        mg.gradcheck(wrong, [np.array([1.0, 2.0])])


def test_it_runs_again_and_is_drawn_with_its_symbol():
    x = mg.Variable([1.0, 2.0])
    graph = mg.Graph(cube(x).sum())
    x.value = [3.0, 1.0]
    assert graph.forward() == 28
    graph.backward()
    assert np.array_equal(x.grad, [27, 3])
    assert x.grad.dtype == np.float32
    assert "x³" in mg.draw(graph).describe()


def model_with(function):
    class Model(nn.Module):
        def __init__(self):
            self.first, self.last = nn.Linear(3, 4, seed=0), nn.Linear(4, 1, seed=1)

        def forward(self, x):
            return self.last(function(mg.tanh(self.first(x))))

    return Model()


X, Y = np.random.default_rng(0).normal(size=(18, 3)), np.random.default_rng(1).normal(size=(18, 1))


def losses(function, mode):
    model = model_with(function)
    trainer = mg.Trainer(model, mg.mse_loss, mg.optim.SGD(model.parameters(), lr=0.01), mode=mode)
    return trainer.fit(X, Y, epochs=2, batch_size=6, progress=False).batch_loss


def test_formulas_are_compiled():
    def function(x):
        return cube(x) + x * norm(x) + scaled(x, mg.Constant([[2.0, 1.0, 1.0, 3.0]]))

    np.testing.assert_allclose(losses(function, "compiled"), losses(function, "replay"), rtol=1e-4)


@pytest.mark.parametrize(
    "forward",
    [
        lambda x: np.sort(x, axis=1),
        lambda x: np.array([math.sin(v) for v in x.ravel()]).reshape(x.shape),
        lambda x: x if float(x[0, 0]) > 5 else -x,
    ],
)
def test_what_is_no_formula_is_named_in_compiled_mode_and_runs_in_replay(forward):
    looking = mg.operator(forward, lambda g, y, x: g, name="looking")
    assert np.isfinite(losses(looking, "replay")).all()
    with pytest.raises(mg.GraphError, match='^looking: .*use mode="replay"'):
        losses(looking, "compiled")


def test_arrays_of_the_user_stay_the_users():
    kept = np.ones(2, np.float32)
    same = mg.operator(lambda x: kept, lambda g, y, x: g)
    x = mg.Variable([1.0, 2.0])
    y = same(x)
    kept[:] = 5
    seed = np.ones(2, np.float32)
    y.backward(seed)
    assert np.array_equal(y.value, [1, 1])
    assert not np.shares_memory(x.grad, seed)


@pytest.mark.parametrize(
    ("backward", "error", "words"),
    [
        (lambda g, y, a, b: g, mg.GraphError, "returned 1 gradients for 2 inputs"),
        (
            lambda g, y, a, b: (g, np.ones(5)),
            mg.ShapeError,
            "shape (5,) for input 1; (2,) was expected",
        ),
        (lambda g, y, a, b: (g, np.ones(2) * 1j), mg.DTypeError, "complex128"),
    ],
)
def test_what_does_not_fit_is_explained(backward, error, words):
    crooked = mg.operator(lambda a, b: a + b, backward, name="crooked")
    with pytest.raises(error) as caught:
        crooked(mg.Variable([1.0, 2.0]), mg.Variable([1.0, 2.0])).backward([1, 1])
    assert words in str(caught.value)
    assert str(caught.value).startswith("crooked: ")


def test_a_function_is_expected():
    with pytest.raises(TypeError, match="backward is a int"):
        mg.operator(np.sin, 3)


@pytest.mark.parametrize("mode", ["eager", "replay", "compiled"])
@pytest.mark.parametrize(
    ("backward", "words"),
    [
        (lambda g, y, x: (g, g), "backward returned 2 gradients for 1 inputs"),
        (
            lambda g, y, x: g[:, :2],
            r"backward returned shape \(6, 2\) for input 0; \(6, 4\) was expected",
        ),
        (lambda g, y, x: 1.0, r"backward returned shape \(\) for input 0"),
        (lambda g, y: g, r"backward is called with \(g, y, \*inputs\), 3 arrays"),
    ],
)
def test_a_wrong_gradient_is_explained_in_every_mode(backward, words, mode):
    crooked = mg.operator(lambda x: 2 * x, backward, name="crooked")
    with pytest.raises(
        (mg.GraphError, mg.ShapeError, TypeError), match=f"^crooked: {words}"
    ) as caught:
        losses(crooked, mode)
    assert str(caught.value).count("crooked") == 1


def test_a_wrong_number_of_inputs_is_explained():
    with pytest.raises(TypeError, match=r"^cube: forward is called with \(\*inputs\), 2 arrays"):
        cube(mg.Variable(1.0), 2.0)


def test_a_gradient_with_an_axis_more_is_summed_in_every_mode():
    wider = mg.operator(
        lambda x: 2 * x,
        lambda g, y, x: np.stack([g, g]) if isinstance(g, np.ndarray) else g[None] * 2,
    )
    for mode in ("replay", "compiled"):
        np.testing.assert_allclose(losses(wider, mode), losses(lambda x: 2 * x, mode), rtol=1e-4)
