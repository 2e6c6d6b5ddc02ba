"""Machine code belongs to the structure of a step: sizes are numbers that it reads."""

import numpy as np
import pytest
from numba import config

import minigrad as mg
from minigrad import nn


class Attention(nn.Module):
    """Several heads of scaled products, between embedding and mean."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.embedding, self.out = nn.Embedding(11, width, seed=0), nn.Linear(width, 3, seed=1)
        self.project = nn.Linear(width, 3 * width, seed=2)

    def forward(self, ids):
        n, t = ids.shape
        x = self.project(self.embedding(ids)).reshape(n, t, 3, self.heads, -1)
        q, k, v = (x[:, :, i].transpose(0, 2, 1, 3) for i in range(3))
        weights = mg.softmax(q @ k.transpose(0, 1, 3, 2) * self.scale, axis=-1)
        mixed = np.einsum("nhts,nhsd->nthd", weights, v)
        return self.out(mixed.reshape(n, t, -1).mean(axis=1))


class LastStep(nn.Module):
    """A recurrent layer over rows, and a layer on its last output."""

    def __init__(self, kind, width):
        super().__init__()
        self.rnn, self.out = kind(5, width, seed=0), nn.Linear(width, 3, seed=1)

    def forward(self, x):
        output, _ = self.rnn(x.transpose(1, 0, 2))
        return self.out(output[-1])


def cnn(width):
    return nn.Sequential(
        *(nn.Conv2d(1, width, 3, padding=1, seed=0), nn.BatchNorm2d(width), nn.ReLU()),
        *(nn.MaxPool2d(2), nn.Dropout(0.1, seed=3), nn.Flatten()),
        nn.Linear(width * 16, 3, seed=1),
    )


def mlp(width):
    return nn.Sequential(nn.Linear(5, width, seed=0), nn.Tanh(), nn.Linear(width, 3, seed=1))


#: name -> model of a width, shape of a sample with some length
MODELS = {
    "mlp": (mlp, lambda length: (5,)),
    "cnn": (cnn, lambda length: (1, 8, 8)),
    "attention": (lambda width: Attention(width, 2), lambda length: length),
    "rnn": (lambda width: LastStep(nn.RNN, width), lambda length: (length, 5)),
    "lstm": (lambda width: LastStep(nn.LSTM, width), lambda length: (length, 5)),
    "gru": (lambda width: LastStep(nn.GRU, width), lambda length: (length, 5)),
}


def training(name, width, batch, length, mode="compiled", lr=0.1):
    """A trainer, and four batches."""
    make, shape = MODELS[name]
    model, rng, n = make(width), np.random.default_rng(0), 4 * batch
    kind = shape(length)
    x = rng.integers(0, 11, (n, kind)) if isinstance(kind, int) else rng.normal(size=(n, *kind))
    optimizer = mg.optim.Adam(model.parameters(), lr=lr)
    return mg.Trainer(model, mg.cross_entropy, optimizer, mode=mode), x, rng.integers(0, 3, n)


def pieces_of(name, *sizes, **options):
    """The pieces of a step, and whether threads share it, which is a matter of structure."""
    trainer, x, y = training(name, *sizes, **options)
    step = trainer.compile(x, y, batch_size=sizes[1])
    return (*step.texts,), step.parts > 1


@pytest.mark.parametrize("name", MODELS)
def test_other_sizes_share_all_pieces(name):
    sizes = [(12, 6, 9), (20, 6, 9), (12, 8, 9), (12, 6, 13), (16, 16, 16), (64, 16, 20)]
    steps = {pieces_of(name, *each) for each in sizes}
    assert len(steps) == len({shared for _, shared in steps})
    assert pieces_of(name, 12, 6, 9, lr=0.01) == pieces_of(name, 12, 6, 9)


def test_another_structure_has_other_pieces():
    steps = [pieces_of(name, 12, 6, 9) for name in MODELS]
    assert len({*steps, pieces_of("mlp", 12, 1, 9)}) == len(MODELS) + 1  # one sample: fewer loops


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
@pytest.mark.parametrize("name", ["cnn", "attention", "lstm"])
def test_shared_machine_code_trains_as_replay_does(name):
    known = []
    for sizes in [(12, 6, 9), (16, 8, 7), (10, 7, 9)]:
        trainer, x, y = training(name, *sizes)
        losses = trainer.fit(x, y, epochs=2, batch_size=sizes[1], progress=False).batch_loss
        replay, *_ = training(name, *sizes, mode="replay")
        expected = replay.fit(x, y, epochs=2, batch_size=sizes[1], progress=False).batch_loss
        np.testing.assert_allclose(losses, expected, rtol=1e-4)
        known.append(set(pieces_of(name, *sizes)[0]))
    assert known[0] == known[1] == known[2]


def test_the_source_does_not_grow_with_the_number_of_products():
    def lines(width, batch, length):
        trainer, x, y = training("attention", width, batch, length)
        source = trainer.compile(x, y, batch_size=batch).source
        return source.partition("def part")[2].partition("def update")[0].count("\n")

    assert {lines(*sizes) for sizes in [(24, 4, 9), (24, 32, 9), (96, 8, 40)]} == {lines(12, 6, 9)}


def test_a_node_may_be_named_like_a_size():
    rng, w = np.random.default_rng(0), mg.Variable(np.ones((3, 1)), name="k0")

    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = w

        def forward(self, x):
            y = x @ self.w
            y.name = "k123456 c9"
            return y

    model = Named()
    trainer = mg.Trainer(model, mg.mse_loss, mg.optim.SGD(model.parameters(), lr=0.1))
    x = rng.normal(size=(8, 3))
    source = trainer.compile(x, x[:, :1], batch_size=4).source
    assert "matmul 'k123456 c9' (4, 1)" in source


def test_the_source_shows_sizes_as_numbers():
    trainer, x, y = training("mlp", 12, 6, 9)
    source = trainer.compile(x, y, batch_size=6).source
    assert "linear (6, 3)" in source and "range(72)" in source and "sizes[" not in source
