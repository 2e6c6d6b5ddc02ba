"""Random numbers in graphs: the same in every mode, in parts of a batch, and after a restart."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.graph.settings import state_kept
from minigrad.run import batch

X = np.random.default_rng(0).normal(size=(70, 8)).astype(np.float32)
MODES = ("eager", "replay", "compiled")


class Encoder(nn.Module):
    """A variational autoencoder that also drops and chooses."""

    def __init__(self, shapes=lambda z: (z.shape, z.shape)):
        self.inner, self.outer = nn.Linear(8, 6, seed=0), nn.Linear(3, 8, seed=1)
        self.shapes = shapes

    def forward(self, x):
        h = self.inner(x)
        mu, sigma = h[:, :3], mg.exp(h[:, 3:])
        first, second = self.shapes(mu)
        z = mg.random.normal(first) * sigma + mu
        z = z * mg.random.bernoulli(second, 0.8) + mg.random.uniform(3, -0.1, 0.1)
        return self.outer(mg.dropout(mg.tanh(z), 0.2, self.training))


def trainer(mode, model=None):
    mg.manual_seed(3)
    model = model or Encoder()
    return mg.Trainer(model, mg.mse_loss, mg.optim.SGD(model.parameters(), lr=0.05), mode=mode)


def fit(t, epochs=2, **options):
    """Two full batches and half of one, with an evaluation after each epoch."""
    mg.manual_seed(3)  # from which the streams are made
    options = {"batch_size": 28, "validation": (X, X), "progress": False, **options}
    return t.fit(X, X, epochs=epochs, **options)


@pytest.mark.parametrize("mode", MODES)
def test_an_autoencoder_draws_the_same_in_every_mode(mode, tmp_path):
    (eager, one), (history, other) = ((fit(t), t) for t in map(trainer, ("eager", mode)))
    np.testing.assert_allclose(history.batch_loss, eager.batch_loss, rtol=1e-5)
    np.testing.assert_allclose(history.validation_loss, eager.validation_loss, rtol=1e-5)
    for (name, a), (_, b) in zip(
        one.model.named_buffers(), other.model.named_buffers(), strict=True
    ):
        np.testing.assert_array_equal(a.value, b.value, err_msg=name)
    assert len(other.model.buffers()) == 4 and not set(other.model.state_dict()) - {
        f"{layer}.{part}" for layer in ("inner", "outer") for part in ("weight", "bias")
    }


@pytest.mark.parametrize("mode", MODES)
def test_a_training_resumes_to_the_bit(mode, tmp_path):
    t = trainer(mode)
    mg.save(t, tmp_path / "new.safetensors")
    fit(t)
    mg.save(t, tmp_path / "t.safetensors")
    again = trainer(mode)
    mg.load(again, tmp_path / "t.safetensors")  # streams that this model has not made yet
    losses = [fit(each, 1, resume=True).batch_loss for each in (t, again)]
    np.testing.assert_array_equal(*losses)
    seed = t.model._stream_0.value[0]
    mg.load(t, tmp_path / "new.safetensors")  # from before streams were made: they begin anew
    assert t.model._stream_0.value.tolist() == [seed, 0]


def test_a_file_that_does_not_fit_makes_no_streams(tmp_path):
    t, other = trainer("eager"), trainer("eager", nn.Sequential(Encoder()))
    fit(t, 1)
    mg.save(t, tmp_path / "t.safetensors")
    with pytest.raises(mg.GraphError, match="another trainer"):
        mg.load(other, tmp_path / "t.safetensors")
    wrong = trainer("eager")
    wrong.model.outer = nn.Linear(3, 9, seed=1)
    wrong.optimizer = mg.optim.SGD(wrong.model.parameters(), lr=0.1)
    with pytest.raises(mg.ShapeError, match=r"outer\.weight"):
        mg.load(wrong, tmp_path / "t.safetensors")
    assert not wrong.model.buffers() and not other.model.buffers()


@pytest.fixture
def _parts(monkeypatch):
    monkeypatch.setattr(batch, "WORTH_THREADS", 0)


needs_threads = pytest.mark.skipif(mg.kernels.jit.threads(28) < 2, reason="there is one thread")


@needs_threads
@pytest.mark.usefixtures("_parts")
def test_parts_of_a_batch_draw_what_the_whole_batch_draws():
    t = trainer("compiled")
    assert t.compile(X, X, batch_size=28).parts == 2
    np.testing.assert_allclose(fit(t).batch_loss, fit(trainer("eager")).batch_loss, rtol=1e-5)


#: shapes of two draws, which broadcast against (n, 3)
SHAPES = {
    "one for all samples": lambda z: ((3,), (1, 3)),
    "a number for each sample": lambda z: ((len(z), 1), z.shape),
    "a number": lambda z: ((), z.shape[:0]),
}


@needs_threads
@pytest.mark.usefixtures("_parts")
@pytest.mark.parametrize("name", SHAPES)
def test_other_shapes_in_parts(name):
    t = trainer("compiled", Encoder(SHAPES[name]))
    assert t.compile(X, X, batch_size=28).parts == 2
    expected = fit(trainer("eager", Encoder(SHAPES[name]))).batch_loss
    np.testing.assert_allclose(fit(t).batch_loss, expected, rtol=1e-5)


class NoisyWeights(nn.Module):
    """Noise in a shape of its own, `n` rows, that does not come from the batch."""

    def __init__(self, n):
        self.weight, self.n = mg.Variable(np.ones((1, 8))), n

    def forward(self, x):
        noise = mg.random.normal((self.n, 8))
        return x * self.weight * mg.mean(self.weight * noise, axis=0) + mg.mean(noise)


@needs_threads
@pytest.mark.usefixtures("_parts")
@pytest.mark.parametrize("n", [28, 14, 5])
def test_rows_that_are_as_many_as_samples_by_chance_are_drawn_as_a_whole(n):
    t = trainer("compiled", NoisyWeights(n))
    expected = fit(trainer("eager", NoisyWeights(n)), shuffle=False).batch_loss
    np.testing.assert_allclose(fit(t, shuffle=False).batch_loss, expected, rtol=1e-5)


@needs_threads
@pytest.mark.usefixtures("_parts")
def test_a_shape_that_is_the_batchs_by_hand_is_not_split():
    class Fixed(nn.Module):
        def __init__(self):
            self.weight = mg.Variable(np.ones(8))

        def forward(self, x):
            return x * self.weight + mg.random.normal((28, 8))

    found = []
    for mode in ("eager", "compiled"):
        t = trainer(mode, Fixed())
        found.append(t.fit(X[:56], X[:56], epochs=2, batch_size=28, progress=False).batch_loss)
    np.testing.assert_allclose(*found, rtol=1e-5)


# ---------------- functions
def test_numbers_follow_the_seed_and_each_run_draws_others():
    z = mg.random.normal((2, 3), seed=5)
    expected = mg.kernels.random.normal_reference(6, 5, 1).reshape(2, 3)
    np.testing.assert_allclose(z.value, expected, rtol=1e-5)
    np.testing.assert_array_equal(mg.random.normal((2, 3), seed=5).value, z.value)
    graph, before = mg.Graph(mg.sum(z)), z.value.copy()
    graph.forward()
    assert (z.value != before).all()
    with state_kept():
        last = z.value.copy()
        graph.forward()
    np.testing.assert_array_equal(z.value, last)
    mg.manual_seed(1)
    first, second = mg.random.uniform(4).value, mg.random.uniform(4).value
    mg.manual_seed(1)
    np.testing.assert_array_equal(mg.random.uniform(4).value, first)
    assert (first != second).all()


def test_a_module_that_is_called_again_goes_on_whatever_the_seed():
    class Noise(nn.Module):
        def forward(self, n):
            return [mg.random.normal((3,), seed=0).value for _ in range(n)]

    made = Noise()
    draws = [*made(2), *made(3), *made(1)]
    assert len({tuple(numbers) for numbers in draws}) == 6
    assert [b.value[1] for b in made.buffers()] == [3, 2, 1] and made._stream_0.value[0] == 0


def test_parameters_get_gradients_and_say_the_dtype():
    loc, scale = mg.Variable([1.0, 2.0], dtype=np.float64), mg.Variable(3.0, dtype=np.float64)
    y = mg.random.normal((4, 2), loc, scale, seed=1)
    assert y.dtype == np.float64
    z = (y.value - loc.value) / 3
    mg.sum(y).backward()
    np.testing.assert_array_equal(loc.grad, [4, 4])
    assert scale.grad == pytest.approx(z.sum())
    u = mg.random.uniform((1000,), -1, [1.0] * 1000, dtype=np.float64, seed=2)
    assert u.dtype == np.float64 and -1 <= u.value.min() < -0.9 < 0.9 < u.value.max() < 1
    p = mg.Variable([0.0, 0.3, 1.0])
    coins = mg.random.bernoulli((1000, 3), p, seed=3)
    assert coins.dtype == np.float32 and not coins.requires_grad
    np.testing.assert_allclose(coins.value.mean(0), p.value, atol=0.05)


def test_reading_a_drawn_number_while_a_graph_is_built_is_refused():
    class Reads(nn.Module):
        def __init__(self):
            self.weight = mg.Variable(np.ones(8))

        def forward(self, x):
            return x * self.weight * mg.random.uniform(()).item()

    with pytest.raises(mg.GraphError, match="is read as a number"):
        fit(trainer("replay", Reads()))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: mg.random.normal(-1), ValueError, r"random\.normal: shape=-1; an integer ≥ 0"),
        (lambda: mg.random.normal((2, 1.5)), ValueError, r"random\.normal: shape=1\.5"),
        (lambda: mg.random.uniform(2, seed="x"), TypeError, "seed='x'"),
        (lambda: mg.random.bernoulli(2, 1.5), ValueError, r"random\.bernoulli: p=1\.5; a number"),
        (lambda: mg.random.normal(2, dtype=int), mg.DTypeError, "float32 or float64"),
        (
            lambda: mg.random.normal(2, seed=nn.Buffer([1, 2])),
            ValueError,
            r"random\.normal: shapes \(\); seed=.*a Buffer of two int64",
        ),
    ],
)
def test_what_does_not_fit_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
