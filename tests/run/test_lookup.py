"""Fusing a lookup with a convolution: where it is done, and that it computes the same."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.run.compiled import CompiledStep
from minigrad.run.symbolic import Call

rng = np.random.default_rng(0)
IDS, Y = rng.integers(0, 30, (24, 20)), rng.integers(0, 2, (24, 1)).astype(np.float32)


class Text(nn.Module):
    def __init__(self, between=None, out=None, padding_idx=None, **options):
        self.table = nn.Embedding(30, 6, seed=0, padding_idx=padding_idx)
        self.conv = nn.Conv1d(6, options.pop("filters", 4), 3, seed=1, **options)
        self.last = nn.Linear(self.conv.weight.shape[0], 1, seed=2)
        self.between = between or (lambda x: mg.transpose(x, (0, 2, 1)))
        self.out = out or (lambda found, y: y)

    def forward(self, ids):
        found = self.table(ids)
        y = self.out(found, mg.relu(self.conv(self.between(found))))
        return mg.sigmoid(self.last(mg.max(y, axis=2)))


def step_of(model, parts=1):
    n = 8 // parts
    ids, y = mg.Constant(IDS[:n], dtype=IDS.dtype), mg.Constant(Y[:n])
    loss = mg.binary_cross_entropy(model(ids), y)
    optimizer = mg.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    return CompiledStep(mg.topological_sort(loss), {"x": ids, "y": y}, optimizer, parts)


def kernels(step):
    statements = [s for group in step.arena.groups for s in group]
    return {
        f"{s.kernel.__module__.rpartition('.')[2]}.{s.kernel.__name__}"
        for s in statements
        if isinstance(s, Call)
    }


AS_ONE = {"lookup_conv.forward", "lookup_conv.backward_more"}


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize(
    "options", [{}, {"padding": 1}, {"bias": False}, {"padding_idx": 3}, {"filters": 20}], ids=str
)
def test_fused_lookups_train_as_replay_does(options, parts):
    step, losses = step_of(model := Text(**options), parts), np.zeros(6, np.float32)
    assert "lookup_conv.forward" in kernels(step) and not kernels(step) & {
        "embedding.gather",
        "conv.forward",
    }
    step.run(IDS, Y, np.tile(np.arange(24), 2), losses)
    twin = Text(**options)
    trainer = mg.Trainer(
        twin, mg.binary_cross_entropy, mg.optim.Adam(twin.parameters(), lr=1e-2), mode="replay"
    )
    told = trainer.fit(IDS, Y, epochs=2, batch_size=8, shuffle=False, progress=False)
    np.testing.assert_allclose(losses, told.batch_loss, rtol=1e-4)
    for mine, expected in zip(model.parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(mine.value, expected.value, atol=2e-5)


def test_both_calls_name_all_their_nodes_and_stale_rows_are_cleared():
    step = step_of(Text())
    assert kernels(step) >= AS_ONE and len(step.arena.clearing) == 1
    assert "# n2 embedding (8, 20, 6); n3 transpose (8, 6, 20); n6 conv1d (8, 4, 18)" in step.source
    assert (
        "# back through n6 conv1d (8, 4, 18); n3 transpose (8, 6, 20); n2 embedding (8, 20, 6)"
        in step.source
    )
    step.run(
        np.array([[7] * 20, [9] * 20]), Y[:2], np.array([0] * 8 + [1] * 8), np.zeros(2, np.float32)
    )
    gradient = step.arena.G[0][: 30 * 6].reshape(30, 6)
    assert set(np.flatnonzero(gradient.any(1))) == {9}


def test_frozen_weights_stay_and_a_frozen_table_is_not_fused():
    model = Text()
    model.conv.weight.requires_grad = False
    before = model.conv.weight.value.copy()
    step = step_of(model)
    assert kernels(step) >= AS_ONE
    step.run(IDS, Y, np.arange(24), np.zeros(3, np.float32))
    np.testing.assert_array_equal(model.conv.weight.value, before)

    model = Text()
    model.table.weight.requires_grad = False
    assert not kernels(step_of(model)) & AS_ONE


@pytest.mark.parametrize(
    "options",
    [
        {"stride": 2},
        {"dilation": 2},
        {"groups": 2},
        {"between": lambda x: mg.transpose(x * 2, (0, 2, 1))},
        {"out": lambda found, y: y + mg.sum(found)},
        {
            "between": lambda x: mg.concatenate(
                [mg.transpose(x, (0, 2, 1))[:, :3], mg.transpose(x, (0, 2, 1))[:, 3:]], axis=1
            )
        },
    ],
    ids=["stride", "dilation", "groups", "scaled", "used elsewhere", "in pieces"],
)
def test_other_patterns_are_not_fused(options):
    assert not kernels(step_of(Text(**options))) & AS_ONE


def test_two_convolutions_of_one_lookup_are_not_fused():
    class Two(Text):
        def forward(self, ids):
            x = self.between(self.table(ids))
            return mg.sigmoid(
                self.last(mg.max(self.conv(x), axis=2) + mg.mean(self.conv(x), axis=2))
            )

    assert not kernels(step_of(Two())) & AS_ONE


def test_two_lookups_are_fused_separately():
    class Pair(nn.Module):
        def __init__(self):
            self.left, self.right = Text(), Text()

        def forward(self, ids):
            return (self.left(ids) + self.right(ids)) * 0.5

    step = step_of(Pair())
    assert step.source.count("lookup_conv_backward_more(") == 2
    step.run(IDS, Y, np.arange(24), losses := np.zeros(3, np.float32))
    assert np.isfinite(losses).all()
