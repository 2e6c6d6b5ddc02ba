"""minigrad itself, through its public `Trainer`. The modes are the Trainer's: "eager", "replay",
"compiled".
"""

from __future__ import annotations

from typing import Any

import numpy as np

import minigrad as mg
from minigrad import nn
from minigrad.bench import floor
from minigrad.bench.jobs import LOSSES, MODELS, OPTIMIZERS
from minigrad.train.batch_graph import target_for

from .task import Task


def set_threads(threads: int) -> None:
    """Numba reads how many from the environment."""


def versions() -> dict[str, str]:
    import numba

    return {"minigrad": mg.__version__, "numpy": np.__version__, "numba": numba.__version__}


def ceilings() -> dict[str, Any]:
    """What this machine can do at most; see `ceilings.py`."""
    from minigrad.bench.ceilings import ceilings

    return ceilings()


class Training:
    """One task in one mode."""

    def __init__(self, task: Task, mode: str) -> None:
        self.task = task
        self.model = MODELS[task.kind](**task.sizes)
        optimizer = OPTIMIZERS[task.optimizer](self.model.parameters(), lr=task.lr)
        self.trainer = mg.Trainer(self.model, LOSSES[task.loss], optimizer, mode=mode)
        self.memory = optimizer.state_dict()
        self.reset()

    def reset(self) -> None:
        self.model.load_state_dict(self.task.parameters)
        self.trainer.optimizer.load_state_dict(self.memory)

    def train(self, steps: int, seed: int) -> tuple[int, float]:
        """Whole epochs where there are more steps than one has."""
        task = self.task
        epochs, one = max(1, -(-steps // task.per_epoch)), min(steps, task.per_epoch)
        x, y = task.x[: one * task.batch], task.y[: one * task.batch]
        history = self.trainer.fit(
            x, y, epochs=epochs, batch_size=task.batch, seed=seed, progress=False
        )
        return epochs * one, history.batch_loss[-1]

    def work(self) -> dict[str, int]:
        """Operations and bytes that one step cannot do without; see `floor.py`."""
        x, y = self.task.x[: self.task.batch], self.task.y[: self.task.batch]
        output = self.model(mg.Constant(x, dtype=x.dtype))
        return floor.work_of(
            self.trainer.loss(output, target_for(output, y)),
            x.nbytes + y.nbytes,
            self.trainer.optimizer,
        )

    def allocations(self, steps: int) -> dict[str, float]:
        """What further steps allocate: NumPy's and Python's bytes held at once above those before,
        in `steps` of them; and by how many arrays more compiled code asks for in twice as many
        (Numba counts them where NUMBA_NRT_STATS=1 is set; a call counts one for each array that it
        is given).
        """
        import tracemalloc

        from numba.core.runtime import rtsys

        def arrays(steps: int) -> int:
            before = rtsys.get_allocation_stats().mi_alloc
            self.train(steps, 3)
            return int(rtsys.get_allocation_stats().mi_alloc - before)

        self.train(steps, 0)
        tracemalloc.start()
        self.train(steps, 1)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        made, _ = self.train(steps, 2)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return {"steps": made, "bytes": peak - before, "arrays": arrays(2 * made) - arrays(made)}


def contender(task: Task, mode: str) -> Training:
    return Training(task, mode)


class Kernel:
    """One operator, forward or backward alone, as a graph that runs again runs it: into memory that
    is there already.
    """

    def __init__(self, kernel: dict[str, Any], mode: str) -> None:
        self.way = kernel["way"]
        name, arrays = kernel["operator"], [np.load(path) for path in kernel["arrays"]]
        if name in ("rnn", "lstm"):
            layer = getattr(nn, name.upper())(arrays[0].shape[2], arrays[2].shape[1])
            layer.load_state_dict(dict(zip(layer.state_dict(), arrays[1:], strict=True)))
            x = mg.Variable(arrays[0])
            self.head, self.inputs = layer(x)[0], [x, *layer.parameters()]
        else:
            nodes = [
                mg.Variable(a) if a.dtype.kind == "f" else mg.Constant(a, dtype=a.dtype)
                for a in arrays
            ]
            self.head, self.inputs = getattr(mg, name)(*nodes, **kernel["options"]), nodes
        self.order: list[Any] = [node for node in mg.topological_sort(self.head) if node.inputs]
        self.grad = np.ones(self.head.shape, self.head.dtype)

    def run(self, times: int) -> float:
        if self.way == "forward":
            for _ in range(times):
                for node in self.order:
                    node.rule.run(node, node._data)
            return float(np.abs(self.head.value).mean(dtype=np.float64))
        for _ in range(times):
            for node in (*self.inputs, *self.order):
                node.recycle_grad()
            for node in reversed(self.order):
                node.rule.vjp(node, self.grad if node is self.head else node.grad)
        return sum(
            float(np.abs(x.grad).mean(dtype=np.float64)) for x in self.inputs if x.grad is not None
        )

    def work(self) -> dict[str, int]:
        """Operations and bytes of one call."""
        return floor.work_of_kernel(self.order, self.way)


def kernel(kernel: dict[str, Any], mode: str) -> Kernel:
    return Kernel(kernel, mode)
