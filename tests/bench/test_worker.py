"""The worker's side: messages in, answers out."""

import sys
import types

import numpy as np
import pytest
from bench.tasks import small_task

from minigrad.bench.peers.on_minigrad import Training
from minigrad.bench.peers.task import load
from minigrad.bench.peers.worker import Worker, peak_memory
from minigrad.train.state import TrainingState


class Counter:
    def __init__(self, task, mode):
        self.task, self.mode = task, mode

    def train(self, steps, seed):
        return steps + seed


LIBRARY = types.SimpleNamespace(contender=Counter, kernel=Counter, ceilings=lambda: {"flops": 1.0})


def test_messages_are_obeyed(folder):
    worker = Worker(LIBRARY)
    assert worker.do({"do": "make", "id": 7, "folder": folder, "mode": "fast"}) is None
    assert worker.made[7].mode == "fast" and worker.made[7].task.kind == "mlp"
    assert worker.do({"do": "ask", "id": 7, "what": "train", "with": {"steps": 3, "seed": 4}}) == 7
    assert worker.do({"do": "call", "what": "ceilings"}) == {"flops": 1.0}
    worker.do({"do": "make", "id": 8, "kernel": {"operator": "linear"}, "mode": "NCHW"})
    assert worker.made[8].task == {"operator": "linear"}
    worker.do({"do": "drop", "id": 7})
    assert list(worker.made) == [8]


@pytest.mark.parametrize(
    "message", [{"do": "sing"}, {"do": "drop", "id": 1}, {"do": "ask", "id": 1, "what": "train"}]
)
def test_errors_are_answers(message):
    answer = Worker(LIBRARY).answer(message)
    assert set(answer) == {"error"} and "\n" not in answer["error"]


def test_peak_memory_counts_what_was_held_at_once():
    before = peak_memory()
    held = np.ones(1 << 25)  # 256 MiB, every page written
    assert peak_memory() - before > 100 * 2**20 or before > held.nbytes
    del held


def test_a_system_that_does_not_say_how_much_memory_a_process_held(monkeypatch):
    monkeypatch.setattr("pathlib.Path.read_text", lambda *args, **options: "")
    monkeypatch.setitem(sys.modules, "resource", None)
    answer = Worker(LIBRARY).answer({"do": "memory"})
    assert answer == {
        "error": "OSError: this system does not say how much memory a process has held"
    }


def test_a_task_comes_back_as_it_was(tmp_path):
    task = small_task("cnn")
    task.save(tmp_path / "t")
    again = load(tmp_path / "t")
    assert (again.kind, again.sizes, again.loss, again.optimizer, again.lr, again.batch) == (
        task.kind,
        task.sizes,
        task.loss,
        task.optimizer,
        task.lr,
        task.batch,
    )
    for mine, its in (
        (task.x, again.x),
        (task.y, again.y),
        *((p, again.parameters[n]) for n, p in task.parameters.items()),
    ):
        assert mine.dtype == its.dtype and np.array_equal(mine, its)


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
    Training(task, "replay").train(steps, seed=5)
    for order, its in zip(mine, drawn, strict=True):
        assert np.array_equal(order.reshape(-1), its[: order.size])
