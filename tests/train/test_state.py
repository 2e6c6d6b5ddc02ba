"""A training that is interrupted, by Ctrl-C or with its process, resumes to the bit; Ctrl-C at any
moment leaves complete steps.
"""

import signal
import threading
import time

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import minigrad as mg
from minigrad import nn
from minigrad.graph import settings
from minigrad.train import batches
from minigrad.train.state import TrainingState

MODES = ("eager", "replay", "compiled")
RNG = np.random.default_rng(0)
X, Y = (
    RNG.normal(size=(23, 4)).astype(np.float32),
    RNG.integers(0, 3, 23),
)  # batches of 5: the last one is smaller
FIT = {"batch_size": 5, "seed": 3, "progress": False}
TIMES = 200


def make(mode, callbacks=()):
    """A trainer with running statistics, a stream of masks, momenta and a generator."""
    mg.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Dropout(0.3, seed=5), nn.Linear(6, 3)
    )
    return mg.Trainer(
        model,
        mg.cross_entropy,
        mg.optim.Adam(model.parameters(), lr=0.01),
        mode=mode,
        callbacks=callbacks,
    )


def same(one, other):
    a, b = one.state_dict(), other.state_dict()
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def numbers(*histories):
    names = ("batch_loss", "epoch_loss", "validation_loss", "accuracy")
    return {name: [x for history in histories for x in getattr(history, name)] for name in names}


def fed(kind, folder):
    """The data as arrays, as maps, or as an iterable of batches: what `fit` is given, in order."""
    if kind == "batches":
        data = [(X[i : i + 5], Y[i : i + 5]) for i in range(0, len(X), 5)]
        return (data,), {name: value for name, value in FIT.items() if name != "batch_size"}
    if kind == "arrays":
        return (X, Y), FIT
    for name, array in (("x", X), ("y", Y)):
        np.save(folder / name, array)
    return tuple(np.load(folder / f"{name}.npy", mmap_mode="r") for name in "xy"), FIT


# ---------------- between two epochs
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("mode", MODES)
def test_another_trainer_resumes_between_epochs(mode, shuffle, tmp_path):
    path, fit = tmp_path / "t.safetensors", {**FIT, "validation": (X, Y), "shuffle": shuffle}
    whole, first, second = make(mode), make(mode), make(mode)
    expected = whole.fit(X, Y, epochs=5, **fit)
    parts = [first.fit(X, Y, epochs=2, **fit)]
    mg.save(first, path)
    mg.load(second, path)
    assert (second.state.epoch, second.state.batch) == (2, 0)
    parts.append(second.fit(X, Y, epochs=5, resume=True, **{**fit, "seed": 99}))
    assert numbers(*parts) == numbers(expected)
    same(second, whole)


def test_a_checkpoint_saved_by_a_callback_resumes(tmp_path):
    whole = make(
        "replay", [lambda trainer, history: mg.save(trainer, tmp_path / f"{trainer.state.epoch}")]
    )
    whole.fit(X, Y, epochs=3, **FIT)
    for epoch in (1, 2, 3):
        again = make("replay")
        mg.load(again, tmp_path / str(epoch))
        history = again.fit(X, Y, epochs=3, resume=True, **FIT)
        assert len(history.epoch_loss) == 3 - epoch and not history.interrupted
        same(again, whole)


def test_resuming_before_the_first_step_starts_and_a_new_fit_restarts():
    whole, other = make("replay"), make("replay")
    expected = whole.fit(X, Y, epochs=2, **FIT)
    assert numbers(other.fit(X, Y, epochs=2, resume=True, **FIT)) == numbers(expected)
    other.fit(X, Y, epochs=1, **FIT)
    assert other.state.epoch == 1
    before = other.state_dict()
    assert not other.fit(X, Y, epochs=1, resume=True, **FIT).batch_loss  # all done
    np.testing.assert_equal(other.state_dict(), before)


# ---------------- within an epoch
class Cut:
    """Raises in the given batch, after the forward and the backward pass."""

    def __init__(self, batch):
        self.left = batch

    def on_batch(self, trainer, graph):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("mode", ["eager", "replay"])
@pytest.mark.parametrize("batch", [0, 1, 4, 5, 7])
def test_interruption_within_an_epoch(batch, mode, tmp_path):
    path, fit = tmp_path / "t.safetensors", {**FIT, "epochs": 3, "validation": (X, Y)}
    whole, first, second = make(mode), make(mode, [Cut(batch)]), make(mode)
    expected = whole.fit(X, Y, **fit)
    parts = [first.fit(X, Y, **fit)]
    assert (
        parts[0].interrupted
        and len(parts[0].batch_loss) == batch == 5 * first.state.epoch + first.state.batch
    )
    mg.save(first, path)
    mg.load(second, path)
    parts.append(second.fit(X, Y, resume=True, **fit))
    assert numbers(*parts) == numbers(expected)
    same(second, whole)


@pytest.mark.parametrize(
    "kinds", [("maps", "maps"), ("arrays", "maps"), ("maps", "arrays"), ("batches", "batches")]
)
@pytest.mark.parametrize("mode", MODES)
def test_interruption_of_data_in_pieces(mode, kinds, tmp_path, monkeypatch):
    """Interrupted, saved and interrupted again; a piece is one batch, or two."""
    path, extra = tmp_path / "t.safetensors", {"epochs": 3, "validation": (X, Y)}
    monkeypatch.setattr(batches, "PIECE", 1 if mode == "eager" else 2 * 5 * (16 + 8))
    (before, fit), (after, _) = fed(kinds[0], tmp_path), fed(kinds[1], tmp_path)
    whole = make(mode)
    expected = numbers(whole.fit(*before, **fit, **extra))

    def fit_until(run, steps, data, resume):
        """Raise before a step or, where one call makes many, before a call."""
        left, take = [steps], batches.Chunk.rest

        def cut(chunk, number):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return take(chunk, number)

        with monkeypatch.context() as patch:
            patch.setattr(batches.Chunk, "rest", cut)
            return run.fit(*data, resume=resume, **fit, **extra)

    for steps in (0, 1, 2, 5):
        first, second = make(mode), make(mode)
        parts = [fit_until(first, steps, before, False)]
        mg.save(first, path)
        mg.load(second, path)
        parts.append(fit_until(second, 1, after, True))
        parts.append(second.fit(*after, resume=True, **fit, **extra))
        assert parts[0].interrupted and parts[1].interrupted
        assert numbers(*parts) == expected
        same(second, whole)


def test_interruption_among_batches_of_many_sizes():
    """Which batches are compiled does not depend on the interruption."""
    sizes, at = (5, 3, 5, 5, 2, 3), 0
    data, fit = [], {"epochs": 2, "progress": False}
    for size in sizes:
        data.append((X[at : at + size], Y[at : at + size]))
        at += size
    whole = make("compiled")
    expected = numbers(whole.fit(data, **fit))
    for batch in range(1, 2 * len(sizes)):
        run = make("compiled")

        class Stop(list):
            left = batch

            def __iter__(self):
                for each in super().__iter__():
                    Stop.left -= 1
                    if Stop.left < 0:
                        raise KeyboardInterrupt
                    yield each

        parts = [run.fit(Stop(data), **fit), run.fit(data, resume=True, **fit)]
        assert parts[0].interrupted
        assert numbers(*parts) == expected
        same(run, whole)


def test_interruption_while_validating(monkeypatch):
    """All steps of the epoch are made, its numbers not recorded: no step is repeated."""
    fit = {**FIT, "epochs": 3, "validation": (X, Y)}
    whole, run = make("replay"), make("replay")
    expected = whole.fit(X, Y, **fit)

    def stop(*data):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "evaluate", stop)
        first = run.fit(X, Y, **fit)
    assert (
        first.interrupted and (run.state.epoch, run.state.batch) == (0, 5) and not first.epoch_loss
    )
    assert numbers(first, run.fit(X, Y, resume=True, **fit)) == numbers(expected)
    same(run, whole)


def test_an_interrupted_step_leaves_statistics_and_masks_unchanged():
    run = make("replay", [Cut(2)])
    run.fit(X, Y, epochs=1, **FIT)
    assert run.model[1].num_batches_tracked.value == run.model[3].stream.value[1] == 2
    run.callbacks.clear()
    before = {name: b.value.copy() for name, b in run.model.named_buffers()}
    with pytest.raises(mg.GraphError, match="nan in epoch 1, batch 1"):
        run.fit(np.full_like(X, np.nan), Y, epochs=1, **FIT)
    np.testing.assert_equal({name: b.value for name, b in run.model.named_buffers()}, before)


# ---------------- Ctrl-C
class CtrlC:
    """Send the signal of Ctrl-C after so many seconds of this process's computing time."""

    def __init__(self):
        self.armed = False

    def ring(self, number, frame):
        if not self.armed:
            return
        if within_numbas_lock(frame):
            self.start(1e-5)
            return
        self.armed = False
        signal.raise_signal(signal.SIGINT)

    def start(self, seconds):
        self.armed = True
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)

    def stop(self):
        self.armed = False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def within_numbas_lock(frame):
    """Ctrl-C there would leave Numba's lock taken, for which other threads would wait for ever."""
    while frame is not None and not frame.f_code.co_filename.endswith("ufunc/parallel.py"):
        frame = frame.f_back
    return frame is not None


@pytest.fixture
def ctrl_c():
    if not hasattr(signal, "setitimer"):
        pytest.skip("this system has no timers that send a signal")
    made = CtrlC()
    before = signal.signal(signal.SIGVTALRM, made.ring)
    yield made
    made.stop()
    signal.signal(signal.SIGVTALRM, before)


def settings_now():
    return settings.recording(), settings.advancing(), settings.scope(), settings.float_dtype()


def cut(run, ctrl_c, seconds, fit, data=(X, Y)):
    """Continue the training until Ctrl-C; returns whether it came."""
    try:
        ctrl_c.start(seconds)
        history = run.fit(*data, resume=True, **fit)
        ctrl_c.stop()
        return history.interrupted
    except KeyboardInterrupt:  # before the first step or after the last
        return True
    finally:  # an error, too, must not be hidden by a Ctrl-C that comes later
        ctrl_c.stop()


def an_epoch(run, data, fit):
    """CPU seconds of an epoch, 5 ms at least: where a process has become slow, a Ctrl-C that always
    came earlier would let no training ever end.
    """
    began = time.process_time()
    run.fit(*data, **{**fit, "epochs": 1})
    return max(5e-3, time.process_time() - began)


@pytest.mark.parametrize("mode", MODES)
def test_ctrl_c_at_random_moments(mode, ctrl_c, tmp_path):
    """Two hundred times: the model is usable, settings are unchanged, the result is the same."""
    start, path, fit = (
        tmp_path / "start",
        tmp_path / "cut",
        {**FIT, "epochs": 20, "validation": (X, Y)},
    )
    whole, run, other = make(mode), make(mode), make(mode)
    mg.save(whole, start)
    for each in (run, other):
        each.fit(X, Y, **{**fit, "epochs": 1})  # what is compiled, is
    whole.fit(X, Y, **fit)
    mg.load(run, start)
    latest = an_epoch(run, (X, Y), fit)
    rng, heard, within, usual = np.random.default_rng(0), 0, 0, settings_now()
    while heard < TIMES:
        mg.load(run, start)
        while run.state.epoch < fit["epochs"]:
            if not cut(run, ctrl_c, float(rng.uniform(1e-5, latest)), fit):
                continue
            heard, within = heard + 1, within + (0 < run.state.batch < 5)
            assert (
                settings_now() == usual
                and signal.getsignal(signal.SIGINT) is signal.default_int_handler
            )
            if heard % 10 == 0:
                assert np.isfinite(run.predict(X)).all()
            if heard % 25 == 0:
                mg.save(run, path)
                mg.load(other, path)
                run, other = other, run
        same(run, whole)
    assert (
        within > TIMES / 10 or mode == "compiled"
    )  # where all full batches of an epoch are one call


@pytest.mark.parametrize("kind", ["maps", "batches"])
def test_ctrl_c_at_random_moments_of_data_in_pieces(kind, ctrl_c, tmp_path, monkeypatch):
    """A quarter as often; no thread is left over, either."""
    monkeypatch.setattr(batches, "PIECE", 1)
    data, fit = fed(kind, tmp_path)
    fit, start = {**fit, "epochs": 6, "validation": (X, Y)}, tmp_path / "start"
    whole, run = make("replay"), make("replay")
    mg.save(whole, start)
    whole.fit(*data, **fit)
    mg.load(run, start)
    latest = an_epoch(run, data, fit)
    rng, heard, within = np.random.default_rng(0), 0, 0
    while heard < TIMES / 4:
        mg.load(run, start)
        while run.state.epoch < fit["epochs"]:
            if cut(run, ctrl_c, float(rng.uniform(1e-5, latest)), fit, data):
                heard, within = heard + 1, within + (0 < run.state.batch < 5)
                assert not [
                    thread for thread in threading.enumerate() if thread.name == "minigrad batches"
                ]
        same(run, whole)
    assert within > TIMES / 40


def test_the_programs_signal_handler_stays_and_threads_set_none():
    heard = []
    before = signal.signal(signal.SIGINT, lambda *_: heard.append(1))
    try:
        make("replay", [lambda *_: signal.raise_signal(signal.SIGINT)]).fit(X, Y, epochs=2, **FIT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(heard) == 2
    histories = []
    thread = threading.Thread(
        target=lambda: histories.append(make("replay").fit(X, Y, epochs=1, **FIT))
    )
    thread.start()
    thread.join()
    assert histories[0].epoch_loss == make("replay").fit(X, Y, epochs=1, **FIT).epoch_loss


@pytest.mark.parametrize(
    "block",
    [
        mg.no_grad,
        settings.state_kept,
        lambda: mg.default_dtype("float64"),
        lambda: settings.inside(1),
    ],
)
def test_ctrl_c_at_any_moment_leaves_settings_as_they_were(block, ctrl_c):
    usual, rng = settings_now(), np.random.default_rng(0)
    for _ in range(TIMES):
        with pytest.raises(KeyboardInterrupt):
            ctrl_c.start(float(rng.uniform(1e-6, 3e-4)))
            while True:
                with block():
                    pass
        assert settings_now() == usual


# ---------------- what does not fit
def test_resuming_an_epoch_with_other_batches_is_refused():
    run = make("replay", [Cut(2)])
    run.fit(X, Y, epochs=1, **FIT)
    before = run.state_dict()
    with pytest.raises(
        mg.ShapeError, match="23 samples in batches of 5; the data is 20 samples in batches of 5"
    ):
        run.fit(X[:20], Y[:20], epochs=1, resume=True, **FIT)
    with pytest.raises(mg.ShapeError, match="23 samples in batches of 6"):
        run.fit(X, Y, epochs=1, resume=True, **{**FIT, "batch_size": 6})
    with pytest.raises(
        mg.ShapeError,
        match="23 samples in batches of 5; the data is 2 batches of an iterable",
    ):
        run.fit([(X[:5], Y[:5])] * 2, epochs=1, progress=False, resume=True)
    np.testing.assert_equal(run.state_dict(), before)
    for seed in (-1, 2.5, "a", np.random.default_rng(0)):
        with pytest.raises((ValueError, TypeError), match="an integer ≥ 0"):
            run.fit(X, Y, epochs=1, **{**FIT, "seed": seed})


@pytest.mark.parametrize(
    "change",
    [
        {"done": np.array([1, -1, 5, 23, 5])},
        {"done": np.array([1.0, 1, 5, 23, 5])},
        {"total": np.zeros(2)},
        {"generator": np.zeros(5, np.uint64)},
    ],
)
def test_an_invalid_training_state_changes_nothing(change, tmp_path):
    run, path = make("replay"), tmp_path / "t.safetensors"
    run.fit(X, Y, epochs=1, **FIT)
    mg.save(run, path)
    state = load_file(path)
    save_file(
        {name: array + 1 if array.dtype.kind == "f" else array for name, array in state.items()}
        | {f"course.{name}": array for name, array in change.items()},
        path,
    )
    before = run.state_dict()
    with pytest.raises(mg.GraphError, match="no valid training state"):
        mg.load(run, path)
    np.testing.assert_equal(run.state_dict(), before)


def test_the_order_of_an_epoch_is_that_of_numpys_generator():
    state, rng = TrainingState(7), np.random.default_rng(7)
    state.enter(11, 2)
    for _ in range(3):
        expected = rng.permutation(11)
        for each in (state, TrainingState.from_state_dict(state.state_dict())):
            np.testing.assert_array_equal(each.order(True), expected)
        state.end_epoch()
    np.testing.assert_array_equal(state.order(False), np.arange(11))
