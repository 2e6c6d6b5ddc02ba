"""Callbacks that ship, metrics, and what a fit leaves behind."""

import functools

import numpy as np
import pytest
from sklearn import metrics as oracle

import minigrad as mg
from minigrad import nn
from minigrad.train import metrics
from minigrad.train.runner import StepRunner
from minigrad.train.state import TrainingState

MODES = ("eager", "replay", "compiled")
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(23, 4)), RNG.integers(0, 3, 23)
FIT = {"batch_size": 5, "progress": False}


def make(mode="replay", callbacks=(), **options):
    model = nn.Sequential(nn.Linear(4, 6, seed=0), nn.Tanh(), nn.Linear(6, 3, seed=1))
    optimizer = mg.optim.Adam(model.parameters(), lr=0.05)
    return mg.Trainer(model, mg.cross_entropy, optimizer, mode=mode, callbacks=callbacks, **options)


class Scripted:
    """Sets the validation losses, so that tests know them, and keeps the parameters."""

    def __init__(self, *losses):
        self.losses, self.kept = losses, []

    def __call__(self, trainer, history):
        history.validation_loss[-1] = self.losses[trainer.state.epoch - 1]
        self.kept.append(trainer.model[0].weight.value.copy())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("patience", "min_delta", "ends", "best"),
    [(2, 0, 5, 3), (1, 0, 2, 1), (2, 0.5, 3, 1), (9, 0, 6, 3)],
)
def test_early_stopping_restores_the_best_epoch(patience, min_delta, ends, best, mode):
    script = Scripted(3.0, 3.1, 2.6, 2.7, 2.8, 2.9)
    stop = mg.train.EarlyStopping(patience, min_delta)
    run = make(mode, [script, stop])
    history = run.fit(X, Y, epochs=6, validation=(X, Y), **FIT)
    assert len(history.epoch_loss) == ends and history.stopped == (ends < 6)
    assert not history.interrupted
    np.testing.assert_array_equal(run.model[0].weight.value, script.kept[best - 1])


def test_early_stopping_without_restoring_and_in_the_next_fit():
    script = Scripted(1.0, 2.0, 3.0)
    run = make(callbacks=[script, mg.train.EarlyStopping(1, restore_best=False)])
    for _ in range(2):
        history = run.fit(X, Y, epochs=3, validation=(X, Y), **FIT)
        assert len(history.epoch_loss) == 2
        np.testing.assert_array_equal(run.model[0].weight.value, script.kept[-1])


@pytest.mark.parametrize("mode", MODES)
def test_any_callback_ends_the_training_and_it_can_be_resumed(mode):
    run, whole = make(mode, [lambda trainer, history: len(history.epoch_loss) == 2]), make(mode)
    first = run.fit(X, Y, epochs=4, **FIT)
    assert first.stopped and len(first.epoch_loss) == 2
    second = run.fit(X, Y, epochs=4, resume=True, **FIT)
    losses = whole.fit(X, Y, epochs=4, **FIT).batch_loss
    assert first.batch_loss + second.batch_loss == losses and second.stopped


def test_a_callback_ends_the_training_after_a_batch():
    class Third:
        def on_batch(self, trainer, graph):
            return trainer.state.batch == 2

    run, whole = make(callbacks=[Third()]), make()
    first = run.fit(X, Y, epochs=2, **FIT)
    assert first.stopped and len(first.batch_loss) == 3 and not first.epoch_loss
    run.callbacks.clear()
    rest = run.fit(X, Y, epochs=2, resume=True, **FIT)
    assert first.batch_loss + rest.batch_loss == whole.fit(X, Y, epochs=2, **FIT).batch_loss


def test_the_best_model_is_saved(tmp_path):
    path, script = tmp_path / "best.safetensors", Scripted(3.0, 2.0, 2.5)
    run, other = make(callbacks=[script, mg.train.SaveBest(path)]), make()
    run.fit(X, Y, epochs=3, validation=(X, Y), **FIT)
    mg.load(other.model, path)
    np.testing.assert_array_equal(other.model[0].weight.value, script.kept[1])


@pytest.mark.parametrize(("name", "best"), [("accuracy", 1), ("some_error", 0)])
def test_accuracies_are_better_when_larger_and_errors_when_smaller(name, best, tmp_path):
    path, script, numbers = tmp_path / "best", Scripted(1.0, 1.0, 1.0), iter([0.2, 0.9, 0.5])
    run = make(
        callbacks=[script, mg.train.SaveBest(path, monitor=name)],
        metrics={name: lambda output, target: next(numbers)},
    )
    run.fit(X, Y, epochs=3, validation=(X, Y), **FIT)
    mg.load(run.model, path)
    np.testing.assert_array_equal(run.model[0].weight.value, script.kept[best])


def test_a_line_an_epoch_and_a_file(tmp_path, capsys):
    path = tmp_path / "log.csv"
    callbacks = [mg.train.LogEpochs(), mg.train.CSVLogger(path)]
    run = make(callbacks=callbacks, metrics={"f1": metrics.f1})
    fit = {**FIT, "validation": (X, Y)}
    history = run.fit(X, Y, epochs=2, **fit)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[0].startswith(
        f"epoch 1/2  loss {history.epoch_loss[0]:.4g}  validation_loss "
        f"{history.validation_loss[0]:.4g}  accuracy {history.accuracy[0]:.4g}  f1 "
    )
    run.fit(X, Y, epochs=3, resume=True, **fit)
    rows = path.read_text(encoding="utf-8").splitlines()
    assert rows[0] == "epoch,loss,validation_loss,accuracy,f1,seconds,lr" and len(rows) == 4
    assert [row.split(",")[0] for row in rows[1:]] == ["1", "2", "3"]
    assert float(rows[1].split(",")[1]) == history.epoch_loss[0]
    with pytest.raises(ValueError, match="log.csv has the columns epoch, loss, validation_loss"):
        run.fit(X, Y, epochs=4, resume=True, **FIT)
    run.callbacks = [mg.train.CSVLogger(path)]
    run.fit(X, Y, epochs=1, **FIT)
    assert path.read_text(encoding="utf-8").splitlines()[0] == "epoch,loss,seconds,lr"


def test_callbacks_that_only_look_cost_no_new_graphs(tmp_path, monkeypatch):
    made, compiled = [], StepRunner.compile
    monkeypatch.setattr(
        StepRunner, "compile", lambda self, *args: made.append(args) or compiled(self, *args)
    )
    looking = [
        mg.train.EarlyStopping(9),
        mg.train.SaveBest(tmp_path / "best"),
        mg.train.LogEpochs(),
        mg.train.CSVLogger(tmp_path / "log"),
    ]
    make("compiled", looking).fit(X, Y, epochs=4, drop_last=True, **FIT)
    assert len(made) == 1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: mg.train.EarlyStopping(0), "patience=0"),
        (lambda: mg.train.EarlyStopping(1, -1), "min_delta=-1"),
        (
            lambda: make(callbacks=[mg.train.EarlyStopping(1, monitor="f1")]).fit(
                X, Y, epochs=1, **FIT
            ),
            "monitor='f1'; one of loss, seconds was expected",
        ),
    ],
)
def test_bad_callbacks_are_explained(call, words):
    with pytest.raises(ValueError) as caught:
        call()
    assert words in str(caught.value)


# ---------------- metrics
def test_metrics_of_all_samples_in_evaluate_and_history_and_in_the_bar(capsys):
    seen = []

    def count(output, target):
        seen.append((output.shape, target.shape))
        return len(output)

    given = {"count": count, "f1": metrics.f1, "accuracy": lambda output, target: 0.25}
    run = make(metrics=given)
    history = run.fit(X, Y, epochs=2, validation=(X, Y), **{**FIT, "progress": True})
    assert f"f1={history.metrics['f1'][-1]:.4f}" in capsys.readouterr().err
    found = run.evaluate(X, Y)
    assert list(found) == ["loss", "accuracy", "count", "f1"]
    expected = oracle.f1_score(Y, run.predict(X).argmax(1), average="macro")
    assert found["f1"] == history.metrics["f1"][-1] == pytest.approx(expected)
    assert history.metrics["count"] == [23.0, 23.0] and seen[0] == ((23, 3), (23,))
    assert history.accuracy == [0.25, 0.25] and "accuracy" not in history.metrics


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"loss": len}, ValueError, "a metric has the name loss"),
        ({"f1": 3}, TypeError, "the metric f1 is a int; a function of output and target"),
        ({"c": metrics.confusion}, mg.ShapeError, "the metric c has shape (3, 3); a single number"),
    ],
)
def test_bad_metrics_are_explained(given, error, words):
    with pytest.raises(error) as caught:
        make(metrics=given).evaluate(X, Y)
    assert words in str(caught.value)


LOGITS = RNG.normal(size=(40, 4))
IDS = RNG.integers(0, 4, 40)


def test_metrics_of_classes_are_scikit_learns():
    ids = LOGITS.argmax(1)
    assert metrics.accuracy(LOGITS, IDS) == oracle.accuracy_score(IDS, ids)
    assert metrics.f1(LOGITS, IDS) == oracle.f1_score(IDS, ids, average="macro")
    assert metrics.f1(LOGITS, IDS, average="micro") == oracle.f1_score(IDS, ids, average="micro")
    np.testing.assert_array_equal(metrics.confusion(LOGITS, IDS), oracle.confusion_matrix(IDS, ids))
    for k in (1, 2, 4, 9):
        expected = oracle.top_k_accuracy_score(IDS, LOGITS, k=min(k, 4)) if k < 4 else 1.0
        assert metrics.top_k(LOGITS, IDS, k) == expected


@pytest.mark.parametrize("shape", [(40,), (40, 1)])
def test_metrics_of_one_output_have_a_threshold(shape):
    ids = IDS % 2
    shares, target = RNG.random(40), ids.astype(np.float32).reshape(shape)
    found = shares > 0.5
    assert metrics.f1(shares.reshape(shape), target) == oracle.f1_score(ids, found)
    assert metrics.accuracy(shares.reshape(shape), target) == oracle.accuracy_score(ids, found)
    two = np.stack([1 - shares, shares], axis=1)
    assert metrics.f1(two, target) == oracle.f1_score(ids, found)
    on_logits = functools.partial(metrics.f1, threshold=0)
    assert on_logits(LOGITS[:, :1], target) == oracle.f1_score(ids, LOGITS[:, 0] > 0)
    with pytest.raises(ValueError, match="are no probabilities; a threshold was expected"):
        metrics.f1(LOGITS[:, 0], target)
    numbers = LOGITS[:, 0].reshape(shape)
    assert metrics.mean_absolute_error(numbers, shares) == pytest.approx(
        np.abs(LOGITS[:, 0] - shares).mean()
    )


def test_bad_shapes_of_metrics_are_explained():
    for call in (
        lambda: metrics.top_k(LOGITS[:, 0], IDS),
        lambda: metrics.accuracy(LOGITS, LOGITS),
        lambda: metrics.f1(LOGITS[:, 0], IDS[:-1]),
        lambda: metrics.accuracy(LOGITS[None], IDS),
    ):
        with pytest.raises(mg.ShapeError, match="expected"):
            call()


# ---------------- drop_last, seeds, modes
@pytest.mark.parametrize("mode", MODES)
def test_a_smaller_last_batch_is_left_out(mode, tmp_path):
    run = make(mode)
    history = run.fit(X, Y, epochs=2, drop_last=True, **FIT)
    assert len(history.batch_loss) == 8 and run.state.epoch == 2
    np.save(tmp_path / "x", X.astype(np.float32))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert (
        make(mode).fit(mapped, Y, epochs=2, drop_last=True, **FIT).batch_loss == history.batch_loss
    )
    whole = make(mode).fit(X[:20], Y[:20], epochs=1, shuffle=False, **FIT).batch_loss
    dropped = make(mode).fit(X, Y, epochs=1, shuffle=False, drop_last=True, **FIT).batch_loss
    assert dropped == whole


def test_drop_last_that_leaves_nothing_is_refused():
    with pytest.raises(ValueError, match="drop_last=True, batch_size=24 and 23 samples"):
        make().fit(X, Y, epochs=1, batch_size=24, drop_last=True)
    with pytest.raises(ValueError, match="an iterable decides its batches"):
        make().fit([(X, Y)], epochs=1, drop_last=True)


def orders(run, fits, **options):
    """The orders of the samples of each epoch of some fits."""
    seen, take = [], TrainingState.order
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingState, "order", lambda *a: seen.append(take(*a)) or seen[-1])
        for _ in range(fits):
            run.fit(X, Y, **{**FIT, "epochs": 1, **options})
    return [tuple(order) for order in seen]


def test_a_second_fit_goes_on_with_new_orders(tmp_path):
    many, whole, seeded = make(), make(), make()
    found = orders(many, 3)
    assert found == orders(whole, 1, epochs=3)
    assert len(set(found)) == 3
    assert found[:1] * 2 == orders(seeded, 2, seed=0)
    mg.save(many, tmp_path / "t")
    mg.load(seeded, tmp_path / "t")
    assert orders(seeded, 1) == orders(many, 1) != found[-1:]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("mode", MODES)
def test_a_fit_leaves_the_model_in_the_mode_in_which_it_was(mode, training):
    run = make(mode)
    run.model.train(training)
    run.fit(X, Y, epochs=1, validation=(X, Y), **FIT)
    assert [module.training for module in run.model.modules()] == [training] * 4
