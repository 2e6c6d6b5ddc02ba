"""Training: modes agree to the bit, seeds determine everything, errors say where they happened."""

import copy
import pickle
import subprocess
import sys
import time

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.run.compiled import CALL, CompiledStep
from minigrad.train.runner import StepRunner


def classifier(seed=0):
    mg.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))


def trainer(mode="replay", model=None, **options):
    model = model or classifier()
    return mg.Trainer(
        model, mg.mse_loss, mg.optim.Adam(model.parameters(), lr=0.01), mode=mode, **options
    )


DATA = mg.data.circle(230, seed=3)
FIT = {"epochs": 3, "batch_size": 32, "progress": False}  # 184 samples: the last batch is smaller


@pytest.mark.parametrize(
    "make",
    [
        lambda: (classifier(), mg.mse_loss, DATA.x_train, DATA.y_train),
        lambda: (
            nn.Sequential(
                nn.Conv2d(1, 3, 3, seed=0),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Flatten(),
                nn.Linear(12, 3, seed=1),
            ),
            mg.cross_entropy,
            np.random.default_rng(0).normal(size=(50, 1, 6, 6)),
            np.arange(50) % 3,
        ),
    ],
)
def test_replay_equals_eager_to_the_bit(make):
    losses = {}
    for mode in ("eager", "replay"):
        model, loss, x, y = make()
        run = mg.Trainer(
            model, loss, mg.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), mode=mode
        )
        losses[mode] = run.fit(x, y, **FIT).batch_loss
    assert losses["eager"] == losses["replay"]


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    def run(seed):
        return trainer().fit(DATA.x_train, DATA.y_train, **FIT, seed=seed).batch_loss

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_it_learns_and_reports():
    run = trainer()
    history = run.fit(
        DATA.x_train, DATA.y_train, validation=(DATA.x_test, DATA.y_test), **{**FIT, "epochs": 60}
    )
    assert len(history.batch_loss) == 60 * 6
    assert len(history.epoch_loss) == len(history.epoch_seconds) == len(history.accuracy) == 60
    assert history.epoch_loss[-1] < 0.5 * history.epoch_loss[0]
    found = run.evaluate(DATA.x_test, DATA.y_test)
    assert found == {"loss": history.validation_loss[-1], "accuracy": history.accuracy[-1]}
    assert run.predict(DATA.x_test).shape == (46, 1)
    assert "60 epochs" in repr(history)


def test_evaluation_counts_every_sample_once_for_any_batch_size(monkeypatch):
    run = trainer()
    whole = run.evaluate(DATA.x_train, DATA.y_train)
    monkeypatch.setattr("minigrad.train.evaluation.EVALUATION_BATCH", 50)
    assert run.evaluate(DATA.x_train, DATA.y_train) == pytest.approx(whole)


def test_a_loss_that_is_not_finite_names_epoch_batch_and_node_and_makes_no_step():
    model = nn.Sequential(nn.Linear(2, 1, seed=0))
    x, y = np.ones((8, 2)), np.ones(8)
    x[5] = np.nan
    sgd = mg.optim.SGD(model.parameters(), lr=0.1)
    run = mg.Trainer(model, lambda out, t: mg.mse_loss(mg.exp(out), t), sgd, mode="replay")
    with pytest.raises(
        mg.GraphError, match=r"nan in epoch 1, batch 2; first bad node: number 0 .*'x'"
    ):
        run.fit(x, y, epochs=1, batch_size=4, shuffle=False, progress=False)
    assert np.isfinite(model[0].weight.value).all()


def test_ctrl_c_leaves_a_usable_model():
    class Impatient:
        def on_batch(self, run, graph):
            if len(seen) == 4:
                raise KeyboardInterrupt
            seen.append(graph)

    seen = []
    run = trainer(callbacks=[Impatient()])
    history = run.fit(DATA.x_train, DATA.y_train, **FIT)
    assert history.interrupted
    assert len(history.batch_loss) == 4
    run.callbacks.clear()
    assert np.isfinite(run.fit(DATA.x_train, DATA.y_train, **FIT).epoch_loss[-1])


def test_callbacks_come_after_each_epoch():
    seen = []
    run = trainer(callbacks=[lambda who, history: seen.append(len(history.epoch_loss))])
    run.fit(DATA.x_train, DATA.y_train, **FIT)
    assert seen == [1, 2, 3]


class Impatient:
    def on_batch(self, run, graph):
        raise KeyboardInterrupt


def test_the_default_is_compiled_and_refuses_batch_callbacks_by_name():
    model = classifier()
    sgd = mg.optim.SGD(model.parameters(), lr=0.1)
    assert mg.Trainer(model, mg.mse_loss, sgd).mode == "compiled"
    with pytest.raises(mg.GraphError, match='Impatient.* has on_batch.* use mode="replay"'):
        mg.Trainer(model, mg.mse_loss, sgd, callbacks=iter([Impatient()]))
    run = mg.Trainer(model, mg.mse_loss, sgd)
    run.callbacks.append(Impatient())
    with pytest.raises(mg.GraphError, match='Impatient.* has on_batch.* use mode="replay"'):
        run.fit(DATA.x_train, DATA.y_train, **FIT)
    run.mode = "replay"
    assert run.fit(DATA.x_train, DATA.y_train, **FIT).interrupted


def test_evaluation_and_partial_batches_run_in_replay(monkeypatch):
    monkeypatch.setattr(StepRunner, "compile", None)
    run = trainer(mode="compiled")
    assert len(run.fit(DATA.x_train[:20], DATA.y_train[:20], **FIT).batch_loss) == 3
    assert np.isfinite(run.evaluate(DATA.x_test, DATA.y_test)["loss"]) and run.predict(
        DATA.x_test
    ).shape == (46, 1)


@pytest.mark.parametrize(
    ("soon", "progress", "said"), [(0.0, True, True), (0.0, False, False), (60.0, True, False)]
)
def test_a_long_compilation_is_announced_and_the_message_disappears(
    soon, progress, said, monkeypatch, capsys
):
    class Slow:
        """A step that takes a while to compile and then does nothing."""

        def check(self, x, y):
            pass

        def worth_loading(self, steps):
            return True

        def load(self):
            time.sleep(0.05)

        def run(self, x, y, order, losses, schedule):
            losses[:] = 1
            return len(losses)

    monkeypatch.setattr("minigrad.train.progress.SOON", soon)
    run = trainer(mode="compiled")
    monkeypatch.setattr(StepRunner, "compile", lambda self, *more: Slow())
    run.fit(DATA.x_train[:160], DATA.y_train[:160], **{**FIT, "epochs": 1, "progress": progress})
    err = capsys.readouterr().err
    assert ("compiling the step …" in err) == said
    assert "compiling" not in err.rpartition("5/5")[2] and not err.rpartition("\r")[2].strip()
    assert bool(err) == progress


@pytest.fixture
def worth_ten_steps(monkeypatch):
    """Ten steps of `classifier` in batches of 32 are worth compiling, nine are not."""
    step = trainer().compile(DATA.x_train, DATA.y_train, batch_size=32)
    effort = sum(node.size + CALL for node in step.order)
    monkeypatch.setattr("minigrad.run.compiled.LOADING", 9.5 * effort / len(set(step.texts)))
    loaded = []
    monkeypatch.setattr(CompiledStep, "load", lambda self: loaded.append(self) or LOAD(self))
    return loaded


LOAD = CompiledStep.load
FULL = {**FIT, "epochs": 1}, DATA.x_train[:160], DATA.y_train[:160]  # five batches


def test_few_steps_run_in_replay_until_the_optimiser_has_made_more(worth_ten_steps):
    few, replay = trainer("compiled"), trainer("replay")
    options, x, y = FULL
    assert few.fit(x, y, **options).batch_loss == replay.fit(x, y, **options).batch_loss
    assert not worth_ten_steps
    few.fit(x, y, **options)
    assert worth_ten_steps


def test_a_resumed_training_runs_as_it_had_begun(worth_ten_steps):
    whole, parts = trainer("compiled"), trainer("compiled")
    options, x, y = FULL
    losses = whole.fit(x, y, **options | {"epochs": 2}).batch_loss

    def stop(run, history):
        raise KeyboardInterrupt

    parts.callbacks.append(stop)
    first = parts.fit(x, y, **options | {"epochs": 2})
    assert first.interrupted and worth_ten_steps
    parts.callbacks.clear()
    assert (
        first.batch_loss + parts.fit(x, y, resume=True, **options | {"epochs": 2}).batch_loss
        == losses
    )


@pytest.mark.parametrize(("epochs", "said"), [(1, "replay, for few steps"), (2, "compiled")])
def test_the_progress_bar_says_what_runs(worth_ten_steps, epochs, said, capsys):
    options, x, y = FULL
    trainer("compiled").fit(x, y, **options | {"epochs": epochs, "progress": True})
    assert f"{said}:" in capsys.readouterr().err


# ---------------- copies and pickles
def pickled(thing):
    return pickle.loads(pickle.dumps(thing))


COPIES = pytest.mark.parametrize("duplicate", [copy.deepcopy, pickled], ids=["deepcopy", "pickle"])
SAMPLES = np.random.default_rng(5).normal(size=(20, 3)).astype(np.float32), np.arange(20) % 2
OPTIONS = {"batch_size": 8, "progress": False}


def all_of_it(given):
    """Every number that belongs to a training."""
    state = {
        **given.model.state_dict(),
        **given.optimizer.state_dict(),
        **given.state.state_dict(),
    }
    buffers = {f"buffer {name}": buffer.value for name, buffer in given.model.named_buffers()}
    return {name: array.tobytes() for name, array in {**state, **buffers}.items()}


def fitted(mode, optimizer=mg.optim.Adam):
    mg.manual_seed(0)
    hidden = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.3), nn.Tanh())
    model = nn.Sequential(hidden, nn.Linear(4, 2))
    given = mg.Trainer(model, mg.cross_entropy, optimizer(model.parameters(), lr=0.01), mode=mode)
    given.fit(*SAMPLES, epochs=2, **OPTIONS)
    return given


@COPIES
@pytest.mark.parametrize("mode", ["eager", "replay", "compiled"])
def test_a_copy_trains_on_independently_to_the_same_bits(mode, duplicate):
    """After a fit in each mode; a compiled step, of generated code, could not be copied."""
    first = fitted(mode)
    second, before = duplicate(first), all_of_it(first)
    assert all_of_it(second) == before
    assert list(map(id, second.optimizer.params)) == list(map(id, second.model.parameters()))
    held = zip(
        (*first.model.parameters(), *first.model.buffers()),
        (*second.model.parameters(), *second.model.buffers()),
        strict=True,
    )
    assert not any(np.shares_memory(one._data, other._data) for one, other in held)
    losses = second.fit(*SAMPLES, epochs=4, resume=True, **OPTIONS).batch_loss
    assert all_of_it(first) == before != all_of_it(second)
    assert first.fit(*SAMPLES, epochs=4, resume=True, **OPTIONS).batch_loss == losses
    assert all_of_it(first) == all_of_it(second)
    assert first.evaluate(*SAMPLES) == second.evaluate(*SAMPLES)


@COPIES
@pytest.mark.parametrize("mode", ["eager", "replay", "compiled"])
def test_parts_of_a_trainer_can_be_copied(mode, duplicate):
    given = fitted(mode)
    before = all_of_it(given)
    model, optimizer = duplicate(given.model), duplicate(given.optimizer)
    assert {
        name: array.tobytes() for name, array in model.state_dict().items()
    }.items() <= before.items()
    assert {
        name: array.tobytes() for name, array in optimizer.state_dict().items()
    }.items() <= before.items()
    for leaf in (*model.parameters(), *model.buffers(), *optimizer.params):
        leaf._data[...] = 0
    assert all_of_it(given) == before


@COPIES
def test_a_graph_is_copied_after_its_variables_have_moved(duplicate):
    given = fitted("compiled")
    graph = mg.Graph(given.model(SAMPLES[0]).sum())
    given.fit(*SAMPLES, epochs=1, **OPTIONS)
    given.model.eval()
    graph.forward()
    twin = duplicate(graph)
    assert twin.forward() == graph.forward()
    assert not {id(node) for node in twin.order} & {id(node) for node in graph.order}


def test_a_silent_training_loads_no_bar_for_notebooks():
    script = """
import sys, numpy as np, minigrad as mg
model, x = mg.nn.Linear(2, 1), np.ones((4, 2))
run = mg.Trainer(model, mg.mse_loss, mg.optim.SGD(model.parameters(), lr=0.1), mode="eager")
run.fit(x, x[:, :1], epochs=1, batch_size=2, progress=False)
print("tqdm" in sys.modules, "tqdm.auto" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, encoding="utf-8"
    )
    assert done.stdout.split() == ["True", "False"]


def test_integers_stay_integers():
    mg.manual_seed(0)

    class Words(nn.Module):
        def __init__(self):
            self.table, self.dense = nn.Embedding(20, 3), nn.Linear(12, 2)

        def forward(self, ids):
            assert ids.dtype == np.int32
            return self.dense(mg.flatten(self.table(ids), 1))

    model = Words()
    ids, classes = (
        np.random.default_rng(0).integers(0, 20, (40, 4)).astype(np.int32),
        np.arange(40) % 2,
    )
    run = mg.Trainer(
        model, mg.cross_entropy, mg.optim.Adam(model.parameters(), lr=0.05), mode="replay"
    )
    run.fit(ids, classes, epochs=30, batch_size=10, progress=False)
    assert run.evaluate(ids, classes)["accuracy"] > 0.9


def test_accuracy_of_logits_is_measured_at_zero_and_of_numbers_is_not_a_number():
    model = nn.Sequential(nn.Linear(1, 1, seed=0))
    model[0].weight.value[...] = 1
    x, y = np.array([[0.2], [-0.2]]), np.array([1.0, 0.0])
    on_logits = mg.Trainer(
        model, mg.binary_cross_entropy_with_logits, mg.optim.SGD(model.parameters(), lr=1)
    )
    assert on_logits.evaluate(x, y)["accuracy"] == 1
    on_numbers = mg.Trainer(model, mg.mse_loss, mg.optim.SGD(model.parameters(), lr=1))
    assert np.isnan(on_numbers.evaluate(x, np.array([1.5, 2.5]))["accuracy"])


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: trainer(mode="fast"), ValueError, "mode='fast'"),
        (
            lambda: trainer().fit(DATA.x_train, DATA.y_test, **FIT),
            mg.ShapeError,
            "(184, 2) and (46,)",
        ),
        (lambda: trainer().fit(DATA.x_train[:0], DATA.y_train[:0], **FIT), mg.ShapeError, "(0, 2)"),
        (
            lambda: trainer().fit(DATA.x_train, DATA.y_train, epochs=0, batch_size=1),
            ValueError,
            "epochs=0",
        ),
        (
            lambda: trainer().fit(DATA.x_train, DATA.y_train, epochs=1, batch_size=2.5),
            ValueError,
            "batch_size=2.5",
        ),
        (lambda: trainer().fit(np.array(["a"]), np.array([1.0]), **FIT), mg.DTypeError, "<U1"),
        (lambda: trainer().predict(DATA.x_test[:0]), mg.ShapeError, "at least one sample"),
    ],
)
def test_bad_use_is_explained(call, error, words):
    with pytest.raises(error) as caught:
        call()
    assert words in str(caught.value)
