"""Pieces: loop nests that are alike are one function, whatever model or time step they are of."""

import numpy as np
import pytest
from numba import config

import minigrad as mg
from minigrad import kernels, nn
from minigrad.run.pieces import Piece
from minigrad.run.symbolic import Program

pytestmark = pytest.mark.skipif(
    config.DISABLE_JIT or not kernels.simd.ON, reason="all loop nests are one piece"
)
RNG = np.random.default_rng(0)


class Cell(nn.Module):
    """A gated cell, called on each step of x (n, steps, 3) by a loop in Python."""

    def __init__(self, width=5):
        self.x, self.h = nn.Linear(3, 2 * width, seed=0), nn.Linear(width, 2 * width, seed=1)
        self.out, self.width = nn.Linear(width, 2, seed=2), width

    def forward(self, x):
        h = mg.Constant(np.zeros((len(x), self.width)))
        for t in range(x.shape[1]):
            seen = (x[:, t, :1] > -1.0) * 1.0
            both = self.x(x[:, t]) + self.h(h)
            new = mg.sigmoid(both[:, : self.width]) * mg.tanh(both[:, self.width :])
            h = seen * new + (1.0 - seen) * h
        return self.out(h)


def trainer(model, mode="compiled"):
    return mg.Trainer(model, mg.cross_entropy, mg.optim.Adam(model.parameters()), mode=mode)


def step_of(steps):
    x, y = RNG.normal(size=(8, steps, 3)), RNG.integers(0, 2, 8)
    return trainer(Cell()).compile(x, y, batch_size=8)


def test_more_time_steps_need_no_more_pieces():
    few, many = step_of(6), step_of(24)
    assert len(many.texts) > 3 * len(few.texts) and len(set(many.texts)) < 50
    assert set(many.texts) == set(few.texts)


def test_a_loop_over_time_steps_trains_as_replay_does():
    x, y = RNG.normal(size=(40, 12, 3)), RNG.integers(0, 2, 40)
    found, expected = (
        trainer(Cell(), mode).fit(x, y, epochs=3, batch_size=16, progress=False).batch_loss
        for mode in ("compiled", "replay")
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_deeper_model_has_hardly_other_pieces():
    def pieces(layers):
        model = nn.Sequential(
            *(part for i in range(layers) for part in (nn.Linear(6, 6, seed=i), nn.Tanh())),
            nn.Linear(6, 2, seed=9),
        )
        x, y = RNG.normal(size=(8, 6)), RNG.integers(0, 2, 8)
        return set(trainer(model).compile(x, y, batch_size=8).texts)

    assert pieces(7) == pieces(4)


def test_names_and_sizes_are_not_in_a_piece():
    texts = []
    for name, size in (("first", 4), ("second", 9)):
        program, piece = Program(), Piece(np.dtype(np.float32))
        whole, part = (program.allocate(f"{name}{i}", (size,), np.float32) for i in range(2))
        for view in (whole, part):
            view.storage.array = "V"
        goal, source = piece.name(whole.storage), piece.name(part.storage)
        assignment = f"    {goal}[j] = {source}[j] * {piece.number(size)}"
        piece.lines = ["# a comment", f"for j in range({piece.size(size)}):", assignment]
        texts.append(piece.compiled({}))
        shown = [*piece.shown({whole.storage: "a", part.storage: "b"})]
        assert shown == ["# a comment", f"for j in range({size}):", f"    a[j] = b[j] * f({size})"]
    assert texts[0] == texts[1] and "first" in texts[0] and "comment" not in texts[0]


def test_what_takes_another_ones_place_is_the_same_array_in_a_piece():
    program, piece, table = Program(), Piece(np.dtype(np.float32)), {}
    old, new = (program.allocate(name, (4,), np.float32).storage for name in ("old", "new"))
    old.array = new.array = "V"
    new.takes = old
    piece.lines = [f"{piece.name(new)}[0] = {piece.name(old)}[0]"]
    text = piece.compiled(table)
    assert text.count("view(table, ") == 1 and "a1 = a0" in text and len(table) == 1
