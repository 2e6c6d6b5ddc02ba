"""Computed indices out of range are refused in compiled steps, too, and nothing is written."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn

rng = np.random.default_rng(0)
X = rng.normal(size=(30, 4)).astype(np.float32)
IDS = rng.integers(0, 6, (30, 4))
Y = rng.normal(size=(30, 1)).astype(np.float32)

#: name -> where ids come from: (model, x) -> a node of integers
SOURCES = {
    "largest of a row": lambda m, x: mg.argmax(x, axis=1),
    "largest of a column": lambda m, x: mg.argmax(x, axis=0),
    "computed from parameters": lambda m, x: mg.argmax(x @ m.logits, axis=1),
    "a counter": lambda m, x: m.norm.num_batches_tracked.reshape(1),
}
#: name -> what uses them: (model, ids) -> a node
USES = {
    "embedding": lambda m, ids: mg.embedding(ids, m.table),
    "getitem": lambda m, ids: m.table[ids],
    "two axes": lambda m, ids: m.table[ids, ids],
    "columns": lambda m, ids: m.table[:, ids],
}


class Looking(nn.Module):
    """A table of few rows between parameters that a stray write would hit."""

    def __init__(self, source, use, rows):
        self.before = mg.Variable(np.ones(16))
        self.table = mg.Variable(np.arange(rows * 3.0).reshape(rows, 3) / 10)
        self.after = mg.Variable(np.ones(16))
        self.logits = mg.Variable(rng.normal(size=(4, 6)))
        self.norm = nn.BatchNorm1d(4)
        self.source, self.use = source, use

    def forward(self, x):
        h = self.norm(x)
        found = mg.mean(self.use(self, self.source(self, x)))
        return mg.mean(h, axis=1, keepdims=True) * (
            found + mg.mean(self.before) + mg.mean(self.after)
        )


def outcome(mode, source, use, rows, shuffle):
    """The error, or the losses; and the parameters."""
    global rng
    rng = np.random.default_rng(1)
    model = Looking(SOURCES[source], USES[use], rows)
    t = mg.Trainer(model, mg.mse_loss, mg.optim.SGD(model.parameters(), lr=0.1), mode=mode)
    try:
        told = t.fit(X, Y, epochs=2, batch_size=10, shuffle=shuffle, progress=False).batch_loss
    except IndexError as error:
        told = str(error)
    return told, np.concatenate([p.value.ravel() for p in model.parameters()])


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("source", SOURCES)
def test_a_computed_index_is_refused_or_gives_the_same(source, use):
    refused = 0
    for rows in (2, 3, 12):
        if use == "two axes" and rows != 3:
            continue
        (told, values), (expected, parameters) = (
            outcome(m, source, use, rows, False) for m in ("compiled", "eager")
        )
        assert type(told) is type(expected), (rows, told, expected)
        if isinstance(told, str):
            refused += 1
        else:
            np.testing.assert_allclose(told, expected, rtol=1e-4)
        np.testing.assert_allclose(values, parameters, rtol=1e-4, err_msg=f"{rows} rows")
    assert refused


@pytest.mark.parametrize("source", ["largest of a column", "a counter"])
def test_computed_indices_of_shuffled_samples(source):
    for rows in (4, 12):
        told, values = outcome("compiled", source, "embedding", rows, True)
        expected, parameters = outcome("eager", source, "embedding", rows, True)
        if not isinstance(told, str):
            np.testing.assert_allclose(told, expected, rtol=1e-4)
            np.testing.assert_allclose(values, parameters, rtol=1e-4)


@pytest.mark.parametrize("wrong", [-1, 6, 10**12, -(10**12)])
def test_indices_in_views_of_samples_are_checked_in_the_step(wrong):
    """The error comes with the batch that has the index, as in the other modes, before its step."""
    found = {}
    for mode in ("eager", "compiled"):
        ids = IDS.copy()
        ids[17, 2] = wrong
        table = nn.Embedding(6, 3, seed=0)
        model = nn.Sequential(Sliced(table), nn.Linear(3, 1, seed=0))
        t = mg.Trainer(model, mg.mse_loss, mg.optim.SGD(model.parameters(), lr=0.1), mode=mode)
        with pytest.raises(
            IndexError, match=f"embedding: .*id {wrong} is out of range, 0 to 5 were expected"
        ):
            t.fit(ids, Y, epochs=1, batch_size=10, shuffle=False, progress=False)
        found[mode] = np.concatenate([p.value.ravel() for p in model.parameters()])
    np.testing.assert_allclose(found["compiled"], found["eager"], rtol=1e-5)
    assert t.state.batch == 1


class Sliced(nn.Module):
    def __init__(self, table):
        self.table = table

    def forward(self, ids):
        return mg.mean(self.table(ids.reshape(-1, 4)[:, 1:]), axis=1)


def test_fed_ids_cost_nothing_in_the_step():
    """All of them are checked before the first step, so the source has no comparisons."""
    model = nn.Sequential(nn.Embedding(6, 3), nn.Flatten(), nn.Linear(12, 1))
    t = mg.Trainer(model, mg.mse_loss, mg.optim.SGD(model.parameters(), lr=0.1))
    assert "outside" not in t.compile(IDS, Y, batch_size=10).source
    model = nn.Sequential(Sliced(nn.Embedding(6, 3)), nn.Linear(3, 1))
    t = mg.Trainer(model, mg.mse_loss, mg.optim.SGD(model.parameters(), lr=0.1))
    assert "embedding_mark_outside" in t.compile(IDS, Y, batch_size=10).source


class OwnCheck(mg.graph.rule.Rule):
    """A user's rule that checks its numbers."""

    def __init__(self):  # in the class, a name would register the rule for all other tests
        self.name, self.symbol = "own check", "!"

    def shape(self, node):
        return node.inputs[0].shape

    def check(self, node, x):
        if (x > 100).any():
            raise ValueError("too large")

    def forward(self, node, out, x):
        out[...] = x * 2

    def backward(self, node, grads, g, y, x):
        grads[0][...] = g * 2


def test_a_users_check_runs_before_the_first_step_or_is_refused():
    double = OwnCheck()
    for function, refused in ((lambda x: double(x), False), (lambda x: double(x * 2), True)):
        dense = nn.Linear(4, 1, seed=0)
        model = Called(function, dense)
        t = mg.Trainer(model, mg.mse_loss, mg.optim.SGD(dense.parameters(), lr=0.1))
        if refused:
            with pytest.raises(
                mg.GraphError,
                match=r'own check: a check of numbers .* `limits` .*use mode="replay"',
            ):
                t.fit(X, Y, epochs=1, batch_size=10, progress=False)
        else:
            t.fit(X, Y, epochs=1, batch_size=10, progress=False)
            with pytest.raises(ValueError, match="too large"):
                t.fit(X * 1000, Y, epochs=1, batch_size=10, progress=False)


class Called(nn.Module):
    def __init__(self, function, dense):
        self.function, self.dense = function, dense

    def forward(self, x):
        return self.dense(self.function(x))
