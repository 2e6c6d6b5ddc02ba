"""Several inputs, outputs and targets: tuples and dicts of arrays, in all modes alike."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(70, 3)).astype(np.float32), RNG.normal(size=(70, 4)).astype(np.float32)
IDS, TARGET = RNG.integers(0, 5, 70), RNG.normal(size=(70, 1)).astype(np.float32)
FIT = {"epochs": 3, "batch_size": 16, "progress": False}
MODES = ["eager", "replay", "compiled"]


class Two(nn.Module):
    """Two inputs, and two outputs or one."""

    def __init__(self, outputs):
        self.a, self.b = nn.Linear(3, 6, seed=0), nn.Linear(4, 6, seed=1)
        self.score, self.classes = nn.Linear(6, 1, seed=2), nn.Linear(6, 5, seed=3)
        self.outputs = outputs

    def forward(self, a, b):
        h = mg.tanh(self.a(a) + self.b(b))
        if self.outputs is dict:
            return {"score": self.score(h), "class": self.classes(h)}
        return (self.score(h), self.classes(h)) if self.outputs is tuple else self.score(h)


def both(output, target):
    first, second = output.values() if isinstance(output, dict) else output
    y, ids = target.values() if isinstance(target, dict) else target
    return mg.mse_loss(first, y) + mg.cross_entropy(second, ids)


CASES = {
    "two inputs": (None, (A, B), TARGET, mg.mse_loss),
    "by name": (None, {"b": B, "a": A}, TARGET, mg.mse_loss),
    "two outputs": (tuple, (A, B), (TARGET, IDS), both),
    "a column for each": (tuple, (A, B), (TARGET[:, 0], IDS), both),
    "all by name": (dict, {"a": A, "b": B}, {"score": TARGET, "class": IDS}, both),
}


def fitted(case, mode, **options):
    outputs, x, y, loss = CASES[case]
    model = Two(outputs)
    trainer = mg.Trainer(model, loss, mg.optim.Adam(model.parameters(), lr=0.05), mode=mode)
    history = trainer.fit(x, y, **FIT | options)
    return history.batch_loss, trainer.evaluate(x, y), trainer.predict(x)


@pytest.mark.parametrize("case", CASES)
def test_modes_agree(case):
    found = {mode: fitted(case, mode) for mode in MODES}
    for losses, scores, outputs in found.values():
        expected_losses, expected_scores, expected = found["eager"]
        np.testing.assert_allclose(losses, expected_losses, rtol=1e-4)
        np.testing.assert_allclose(scores["loss"], expected_scores["loss"], rtol=1e-4)
        assert losses[-1] < losses[0]
        if isinstance(expected, dict):
            outputs, expected = tuple(outputs.values()), tuple(expected.values())
        if not isinstance(expected, tuple):
            outputs, expected = (outputs,), (expected,)
        for one, other in zip(outputs, expected, strict=True):
            assert len(one) == 70
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_a_tuple_is_the_same_as_one_wide_input():
    """The numbers are those of a model that cuts its input."""

    class Cut(Two):
        def forward(self, x):
            return super().forward(x[:, :3], x[:, 3:])

    losses = {}
    for name, make, x in (("two", Two, (A, B)), ("one", Cut, np.concatenate([A, B], 1))):
        model = make(None)
        trainer = mg.Trainer(model, mg.mse_loss, mg.optim.SGD(model.parameters(), lr=0.1))
        losses[name] = trainer.fit(x, TARGET, **FIT).batch_loss
    np.testing.assert_allclose(losses["two"], losses["one"], rtol=1e-5)


def test_iterables_and_maps_of_several_arrays(tmp_path):
    np.save(tmp_path / "a.npy", A)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    found = []
    for x in ((A, B), (mapped, B)):
        model = Two(None)
        trainer = mg.Trainer(model, mg.mse_loss, mg.optim.SGD(model.parameters(), lr=0.1))
        found.append(trainer.fit(x, TARGET, shuffle=False, **FIT).batch_loss)
    model = Two(None)
    trainer = mg.Trainer(model, mg.mse_loss, mg.optim.SGD(model.parameters(), lr=0.1))
    parts = [slice(i, i + 16) for i in range(0, 70, 16)]
    batches = [((A[part], B[part]), TARGET[part]) for part in parts]
    found.append(trainer.fit(batches, epochs=3, progress=False).batch_loss)
    assert found[0] == found[1] == found[2]


def test_predictions_of_many_samples_come_in_batches():
    model = Two(tuple)
    trainer = mg.Trainer(model, both, mg.optim.SGD(model.parameters(), lr=0.1))
    many = (np.tile(A, (9, 1)), np.tile(B, (9, 1)))
    score, classes = trainer.predict(many)
    assert score.shape == (630, 1) and classes.shape == (630, 5)
    np.testing.assert_allclose(score[70:140], score[:70], rtol=1e-5)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        ((A, B[:5]), r"x and y have shapes \(\(70, 3\), \(5, 4\)\) and \(70, 1\); the same number"),
        ((), r"x and y have shapes \(\) and \(70, 1\)"),
        ((A, [[1], [1, 2]]), r"x\[1\] has rows of different lengths"),
        ({"a": A, "b": ["x"] * 70}, r"x\['b'\] is a list of dtype"),
    ],
)
def test_wrong_data(x, said):
    model = Two(None)
    trainer = mg.Trainer(model, mg.mse_loss, mg.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises((mg.ShapeError, mg.DTypeError), match=said):
        trainer.fit(x, TARGET, **FIT)


def test_batches_of_another_structure():
    model = Two(None)
    trainer = mg.Trainer(model, mg.mse_loss, mg.optim.SGD(model.parameters(), lr=0.1))
    batches = [((A, B), TARGET), ({"a": A, "b": B}, TARGET)]
    with pytest.raises(TypeError, match="batch 2 of the data has other arrays than batch 1"):
        trainer.fit(batches, epochs=1, progress=False)


def test_several_outputs_have_no_accuracy():
    assert np.isnan(fitted("two outputs", "replay")[1]["accuracy"])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("loss", [mg.mse_loss, mg.cross_entropy])
def test_weights_of_samples(mode, loss):
    """Weight 0 leaves a sample out, weight 2 counts it twice: as repeated samples do."""
    target = TARGET if loss is mg.mse_loss else IDS
    weights, chosen = np.tile([0.0, 2.0, 1.0, 1.0], 8), np.tile([False, True, True, True], 8)
    twice = np.concatenate([np.flatnonzero(chosen), np.arange(1, 32, 4)])
    losses = []
    for rows, options in ((np.arange(32), {"sample_weight": weights}), (twice, {})):
        model = nn.Linear(3, 1 if loss is mg.mse_loss else 5, seed=0)
        trainer = mg.Trainer(model, loss, mg.optim.SGD(model.parameters(), lr=0.1), mode=mode)
        history = trainer.fit(
            A[rows], target[rows], epochs=3, batch_size=32, progress=False, shuffle=False, **options
        )
        losses.append(history.batch_loss)
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_weights_that_do_not_fit():
    model = nn.Linear(3, 1, seed=0)
    trainer = mg.Trainer(model, mg.mse_loss, mg.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(mg.ShapeError, match="the same number of samples was expected"):
        trainer.fit(A, TARGET, sample_weight=np.ones(5), **FIT)
    with pytest.raises(ValueError, match="^Trainer: sample_weight is for arrays x and y on one"):
        trainer.fit([(A, TARGET)], epochs=1, sample_weight=np.ones(70))
