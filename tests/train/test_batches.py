"""Data that is read in pieces: the same numbers as from arrays, bounded memory, clear errors."""

import threading
import time
import tracemalloc

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.train import batches, prefetch
from minigrad.train.runner import StepRunner

MODES = ["eager", "replay", "compiled"]
DATA = mg.data.circle(230, seed=3)  # 184 samples to train on: the last batch of 32 is smaller


def trainer(mode="replay", inputs=2, **options):
    model = nn.Sequential(nn.Linear(inputs, 8, seed=0), nn.Tanh(), nn.Linear(8, 1, seed=1))
    return mg.Trainer(
        model, mg.mse_loss, mg.optim.Adam(model.parameters(), lr=0.01), mode=mode, **options
    )


def mapped(folder, name, array):
    np.save(folder / name, array)
    return np.load(folder / name, mmap_mode="r")


def cut(x, y, size):
    return [(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]


def no_thread_is_left():
    return not [thread for thread in threading.enumerate() if thread.name == "minigrad batches"]


@pytest.fixture
def small_pieces(monkeypatch):
    """Pieces of three batches of the circle's samples."""
    monkeypatch.setattr(batches, "PIECE", 3 * 32 * 12)


# ---------------- the same numbers
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("mode", MODES)
def test_maps_give_the_same_bits_as_arrays(mode, shuffle, tmp_path, small_pieces):
    fit = {"epochs": 2, "batch_size": 32, "progress": False, "shuffle": shuffle, "seed": 4}
    x, y = DATA.x_train, DATA.y_train
    validation = (DATA.x_test, DATA.y_test)
    expected = trainer(mode).fit(x, y, validation=validation, **fit)
    maps = mapped(tmp_path, "x.npy", x.astype(np.float64)), mapped(tmp_path, "y.npy", y)
    for feed in (maps, (maps[0], y), (x, maps[1])):
        run = trainer(mode)
        found = run.fit(
            *feed, validation=(mapped(tmp_path, "v.npy", DATA.x_test), DATA.y_test), **fit
        )
        assert found.batch_loss == expected.batch_loss
        assert found.epoch_loss == pytest.approx(expected.epoch_loss)
        assert found.validation_loss == expected.validation_loss
    assert run.evaluate(*maps) == run.evaluate(x, y)
    np.testing.assert_array_equal(run.predict(maps[0]), run.predict(x))
    assert no_thread_is_left()


@pytest.mark.parametrize("mode", MODES)
def test_batches_give_the_same_bits_as_arrays_in_their_order(mode):
    x, y = DATA.x_train, DATA.y_train
    expected = trainer(mode).fit(x, y, epochs=2, batch_size=32, shuffle=False, progress=False)
    found = trainer(mode).fit(cut(x, y, 32), epochs=2, progress=False)
    assert found.batch_loss == expected.batch_loss
    assert found.epoch_loss == pytest.approx(expected.epoch_loss)
    assert no_thread_is_left()


class Loader:
    """A loader as users write them: it fills one buffer with each batch."""

    def __init__(self, x, y, size):
        self.parts, self.epochs = cut(x, y, size), 0

    def __len__(self):
        return len(self.parts)

    def __iter__(self):
        self.epochs += 1
        x, y = np.empty_like(self.parts[0][0]), np.empty_like(self.parts[0][1])
        for some_x, some_y in self.parts:
            x[: len(some_x)], y[: len(some_y)] = some_x, some_y
            yield x[: len(some_x)], y[: len(some_y)]


@pytest.mark.parametrize("mode", ["replay", "compiled"])
def test_a_loader_may_fill_the_same_memory_again(mode):
    x, y = DATA.x_train, DATA.y_train
    loader = Loader(x, y, 32)
    found = trainer(mode).fit(loader, epochs=3, progress=False)
    assert found.batch_loss == trainer(mode).fit(cut(x, y, 32), epochs=3, progress=False).batch_loss
    assert loader.epochs == 3


def test_smaller_batches_use_the_machine_code_of_the_usual_size(monkeypatch):
    seen = []
    compiled, x, y = StepRunner.compile, DATA.x_train, DATA.y_train
    monkeypatch.setattr(
        StepRunner,
        "compile",
        lambda self, x, y, n: seen.append(n) or compiled(self, x, y, n),
    )
    monkeypatch.setattr(StepRunner, "gradients", None)  # of replay
    parts = [(x[:20], y[:20]), (x[:32], y[:32]), (x[:20], y[:20]), (x[:32], y[:32])]
    assert len(trainer("compiled").fit(parts, epochs=1, progress=False).batch_loss) == 4
    assert seen == [20, 32, 20]
    seen.clear()
    trainer("compiled").fit([parts[1]] * 7, epochs=1, progress=False)
    assert seen == [32]  # one chunk


def test_the_first_batches_do_not_wait_for_the_last(monkeypatch):
    monkeypatch.setattr(batches, "PAUSE", 0.0)
    made, seen = [], []

    class Each(list):
        def __iter__(self):
            for batch in super().__iter__():
                made.append(batch)
                yield batch

    class Watch:
        def on_batch(self, run, graph):
            seen.append(len(made))

    trainer(callbacks=[Watch()]).fit(
        Each(cut(DATA.x_train, DATA.y_train, 4)), epochs=1, progress=False
    )
    assert seen[0] < len(made) == 46


# ---------------- memory, and how far ahead is read
def peak(run, x, y):
    tracemalloc.start()
    try:
        run.fit(x, y, epochs=1, batch_size=64, progress=False)
        run.evaluate(x, y)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("mode", ["replay", "compiled"])
def test_memory_does_not_grow_with_the_data(mode, tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "PIECE", 2**19)
    peaks = []
    for size in (8192, 16384):  # 32 and 64 MiB in the file, half of that in float32
        x = np.lib.format.open_memmap(tmp_path / f"{size}.npy", "w+", np.float64, (size, 512))
        for start in range(0, size, 1024):
            x[start : start + 1024] = start / size
        x.flush()
        run, x = trainer(mode, 512), np.load(tmp_path / f"{size}.npy", mmap_mode="r")
        run.fit(
            x[:64], np.zeros(64), epochs=1, batch_size=64, progress=False
        )  # what is compiled and built once
        peaks.append(peak(run, x, np.zeros(size, np.float32)))
    assert max(peaks) < 2**23  # 8 MiB
    assert peaks[1] < peaks[0] + 2**20


def test_few_pieces_are_read_ahead(monkeypatch):
    monkeypatch.setattr(batches, "PIECE", 1)  # each batch is one
    read, ahead = [], []

    class Slow(list):
        def __iter__(self):
            for batch in super().__iter__():
                read.append(batch)
                yield batch

    class Watch:
        def on_batch(self, run, graph):
            time.sleep(0.01)  # the thread could read on
            made.append(graph)
            ahead.append(len(read) - len(made))

    made = []
    x, y = DATA.x_train, DATA.y_train
    trainer(callbacks=[Watch()]).fit(Slow(cut(x, y, 4)), epochs=1, progress=False)
    assert len(made) == 46
    assert 1 <= max(ahead) <= prefetch.AHEAD


# ---------------- what goes wrong
def with_batch(number, batch):
    parts = cut(DATA.x_train, DATA.y_train, 32)
    parts[number - 1] = batch
    return parts


X, Y = DATA.x_train[:32], DATA.y_train[:32]


@pytest.mark.parametrize("mode", ["replay", "compiled"])
@pytest.mark.parametrize(
    ("batch", "error", "words"),
    [
        (
            (X[:, :1], Y),
            mg.ShapeError,
            r"batch 4 of the data has shapes \(32, 1\) and \(32,\); samples of shape \(2,\)",
        ),
        (
            (X, Y[:, None]),
            mg.ShapeError,
            r"batch 4 of the data has shapes \(32, 2\) and \(32, 1\); samples of shape \(\)",
        ),
        (
            (X.astype(int), Y),
            mg.DTypeError,
            "batch 4 of the data is int64 and float32; float32 was expected, as in batch 1",
        ),
        ((X * np.nan, Y), mg.GraphError, "the loss is nan in epoch 1, batch 4; first bad node"),
    ],
)
def test_a_batch_that_is_not_like_the_others_is_named(mode, batch, error, words):
    run = trainer(mode)
    with pytest.raises(error, match=words):
        run.fit(with_batch(4, batch), epochs=1, progress=False)
    assert no_thread_is_left()
    assert all(np.isfinite(p.value).all() for p in run.model.parameters())


@pytest.mark.parametrize(
    ("batch", "error", "words"),
    [
        (X, TypeError, "a batch of ndarray; a pair (x, y) was expected"),
        ((X, Y, Y), TypeError, "a batch of 3 things; a pair (x, y) was expected"),
        (None, TypeError, "a batch of NoneType"),
        ((np.array(["a"]), Y), mg.DTypeError, "x is a ndarray of dtype <U1; numbers were expected"),
        (([[1.0], [1.0, 2.0]], Y), mg.ShapeError, "x has rows of different lengths"),
        (
            (X, Y[:7]),
            mg.ShapeError,
            "x and y have shapes (32, 2) and (7,); the same number of samples was expected",
        ),
        ((X[:0], Y[:0]), mg.ShapeError, "x and y have shapes (0, 2) and (0,)"),
    ],
)
def test_an_invalid_batch_is_named_by_number(batch, error, words):
    with pytest.raises(error) as caught:
        trainer().fit(with_batch(3, batch), epochs=1, progress=False)
    assert words in str(caught.value)
    assert caught.value.__notes__ == ["in batch 3 of the data"]
    assert no_thread_is_left()


class Breaking(list):
    def __iter__(self):
        yield from self[:2]
        raise OSError("the disk is gone")


def test_an_error_in_the_iterable_is_raised_with_a_note():
    run = trainer()
    with pytest.raises(OSError, match="the disk is gone") as caught:
        run.fit(Breaking(cut(DATA.x_train, DATA.y_train, 32)), epochs=1, progress=False)
    assert caught.value.__notes__ == ["in batch 3 of the data"]
    assert any(entry.name == "__iter__" for entry in caught.traceback)
    assert run.optimizer.steps == 2  # the batches before it were trained on
    assert no_thread_is_left()


class Lying(list):
    def __len__(self):
        return 5


@pytest.mark.parametrize(
    ("gives", "said"), [(4, "4 batches"), (6, "more batches"), (9, "more batches")]
)
def test_a_wrong_length_is_reported(gives, said):
    run = trainer()
    with pytest.raises(ValueError, match=f"the length 5, and gave {said}"):
        run.fit(Lying([(X, Y)] * gives), epochs=1, progress=False)
    assert run.optimizer.steps == min(gives, 5)
    assert no_thread_is_left()


@pytest.mark.parametrize("mode", ["replay", "compiled"])
def test_numbers_of_batches_in_a_map_count_from_its_beginning(mode, tmp_path, small_pieces):
    x = DATA.x_train.copy()
    x[4 * 32 + 3] = np.nan
    with pytest.raises(mg.GraphError, match="nan in epoch 1, batch 5"):
        trainer(mode).fit(
            mapped(tmp_path, "x.npy", x),
            DATA.y_train,
            epochs=1,
            batch_size=32,
            shuffle=False,
            progress=False,
        )
    assert no_thread_is_left()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: trainer().fit(iter([(X, Y)]), epochs=1),
            TypeError,
            "x is a list_iterator, and there is no y",
        ),
        (lambda: trainer().fit([], epochs=1), mg.ShapeError, "there are no batches"),
        (
            lambda: trainer().fit([(X, Y)], epochs=1, batch_size=3),
            ValueError,
            "batch_size=3 without y",
        ),
        (lambda: trainer().fit(X, Y, epochs=1), ValueError, "batch_size=None; an integer ≥ 1"),
        (lambda: trainer().fit([(X, Y)], epochs=0), ValueError, "epochs=0"),
    ],
)
def test_bad_use_is_explained(call, error, words):
    with pytest.raises(error) as caught:
        call()
    assert words in str(caught.value)


# ---------------- the thread ends
class Impatient:
    def on_batch(self, run, graph):
        raise KeyboardInterrupt


def test_ctrl_c_ends_the_thread(tmp_path, small_pieces):
    x, y = DATA.x_train, DATA.y_train
    assert trainer(callbacks=[Impatient()]).fit(cut(x, y, 4), epochs=1, progress=False).interrupted
    assert no_thread_is_left()
    run = trainer(callbacks=[Impatient()])
    assert run.fit(
        mapped(tmp_path, "x.npy", x), y, epochs=1, batch_size=4, progress=False
    ).interrupted
    assert no_thread_is_left()


def test_an_iterable_that_hangs_does_not_block(monkeypatch):
    monkeypatch.setattr(prefetch, "PATIENCE", 0.05)
    monkeypatch.setattr(batches, "PIECE", 1)
    go = threading.Event()

    class Hanging(list):
        def __iter__(self):
            yield self[0]
            go.wait(60)

    run = trainer(callbacks=[Impatient()])
    started = time.monotonic()
    assert run.fit(Hanging([(X, Y)] * 2), epochs=1, progress=False).interrupted
    assert time.monotonic() - started < 30
    go.set()
    for thread in threading.enumerate():
        if thread.name == "minigrad batches":
            thread.join()


@pytest.mark.parametrize("mode", MODES)
def test_data_in_the_other_byte_order(mode, tmp_path):
    """Big-endian data, as in old formats, from memory and from a file: the same training."""
    rng = np.random.default_rng(0)
    ids, classes = rng.integers(0, 6, (20, 3)), rng.integers(0, 2, 20)
    losses = []
    for kind, where in (("<i8", "memory"), (">i8", "memory"), (">i8", "file")):
        x, y = ids.astype(kind), classes.astype(f"{kind[0]}i4")
        x = mapped(tmp_path, f"{mode}.npy", x) if where == "file" else x
        model = nn.Sequential(nn.Embedding(6, 4, seed=0), nn.Flatten(), nn.Linear(12, 2, seed=1))
        t = mg.Trainer(model, mg.cross_entropy, mg.optim.SGD(model.parameters(), lr=0.1), mode=mode)
        history = t.fit(x, y, epochs=2, batch_size=10, progress=False, seed=0)
        losses.append([*history.batch_loss, t.evaluate(x, y)["loss"], *t.predict(x).ravel()])
    np.testing.assert_allclose(losses[1:], losses[:1] * 2, rtol=1e-6)
