"""The worker's side: messages in, answers out."""

import sys
import types

import numpy as np
import pytest
from bench.tasks import small_task

from minigrad.bench.peers.on_minigrad import MinigradModel
from minigrad.bench.peers.task import Runner, load
from minigrad.bench.peers.worker import Worker
from minigrad.train.state import TrainingState


class Counter(Runner):
    def run(self, steps, seed):
        return steps, float(seed)


LIBRARY = types.SimpleNamespace(RUNNERS=[Counter], ceilings=lambda: {"flops": 1.0})


def test_messages_are_obeyed(path):
    worker = Worker(LIBRARY)
    assert worker.answer(do="load", path=path, mode="fast") == {"result": None}
    assert worker.runner.mode == "fast" and worker.runner.task.kind == "mlp"
    found = worker.answer(do="measure", steps=3, seed=4)["result"]
    assert (found["steps"], found["loss"]) == (3, 4.0) and found["seconds"] >= 0
    assert worker.answer(do="ceilings") == {"result": {"flops": 1.0}}


@pytest.mark.parametrize(
    "message",
    [{"do": "sing"}, {"do": "measure"}, {"do": "load", "path": "nowhere", "mode": ""}],
)
def test_errors_are_answers(message):
    answer = Worker(LIBRARY).answer(**message)
    assert set(answer) == {"error"} and "\n" not in answer["error"]


def test_peak_memory_counts_what_was_held_at_once():
    worker = Worker(LIBRARY)
    before = worker.peak_memory()
    held = np.ones(1 << 25)  # 256 MiB, every page written
    assert worker.peak_memory() - before > 100 * 2**20 or before > held.nbytes
    del held


def test_a_system_that_does_not_report_peak_memory(monkeypatch):
    monkeypatch.setattr("pathlib.Path.read_text", lambda *args, **options: "")
    monkeypatch.setitem(sys.modules, "resource", None)
    answer = Worker(LIBRARY).answer(do="peak_memory")
    assert answer == {"error": "OSError: this system does not report a process's peak memory"}


def test_a_task_comes_back_as_it_was(tmp_path):
    task = small_task("cnn")
    task.save(str(tmp_path / "t.npz"))
    again = load(str(tmp_path / "t.npz"))
    for name in ("title", "kind", "optimizer", "lr", "batch", "direction"):
        assert getattr(again, name) == getattr(task, name)
    assert tuple(again.options) == task.options
    assert list(again.arrays) == list(task.arrays)
    for mine, its in zip(task.arrays.values(), again.arrays.values(), strict=True):
        assert mine.dtype == its.dtype and np.array_equal(mine, its)
    assert set(task.parameters) == set(task.arrays) - {"x", "y"}


@pytest.mark.parametrize(("steps", "made"), [(2, [2]), (6, [6]), (8, [6, 2]), (12, [6, 6])])
def test_orders_are_those_of_the_trainer(steps, made, monkeypatch):
    task, drawn, order = small_task(), [], TrainingState.order
    monkeypatch.setattr(
        TrainingState,
        "order",
        lambda self, shuffle: drawn.append(order(self, shuffle)) or drawn[-1],
    )
    mine = list(task.orders(steps, seed=5))
    assert [len(order) for order in mine] == made
    MinigradModel(task, "replay").measure(steps, seed=5)
    for order, its in zip(mine, drawn, strict=True):
        assert np.array_equal(order.reshape(-1), its[: order.size])
