"""minigrad itself, through its public `Trainer`; the modes are the Trainer's."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numba
import numba.core.runtime
import numpy as np

import minigrad as mg
from minigrad.bench import floor
from minigrad.bench.ceilings import ceilings as ceilings  # a message names it
from minigrad.bench.jobs import model_of
from minigrad.train.batch_graph import target_for

from .task import LOOKED, Array, Runner

VERSIONS = {"minigrad": mg.__version__, "numpy": np.__version__, "numba": numba.__version__}


class MinigradModel(Runner):
    """A training job, or a model to look at."""

    distributed = False

    def prepare(self) -> None:
        make, loss = model_of(self.task.kind)
        self.model = make(*self.task.options)
        optimizer: Any = {"sgd": mg.optim.SGD, "adam": mg.optim.Adam}[self.task.optimizer]
        optimizer = optimizer(self.model.parameters(), lr=self.task.lr)
        how: Any = {"mode": self.mode, "distributed": self.distributed}
        self.trainer = mg.Trainer(self.model, loss, optimizer, **how)
        self._fresh = optimizer.state_dict()

    def reset(self) -> None:
        self.model.load_state_dict(self.task.parameters)
        self.trainer.optimizer.load_state_dict(self._fresh)

    def train(self, steps: int, seed: int) -> tuple[int, float]:
        """Train so many steps, rounded up to whole epochs if they are more than one."""
        batch = self.task.batch
        one = max(1, min(steps, self.task.steps_per_epoch))
        x, y = (self.task.arrays[name][: one * batch] for name in "xy")
        self.history = self.trainer.fit(
            x, y, epochs=-(-steps // one), batch_size=batch, seed=seed, progress=False
        )
        losses = self.history.batch_loss
        return len(losses), losses[-1]

    def predict(self) -> list[Array]:
        return [self.trainer.predict(self.task.arrays["x"][:LOOKED])]

    def evaluate(self) -> list[Array]:
        x, y = (self.task.arrays[name][:LOOKED] for name in "xy")
        return [np.array(list(self.trainer.evaluate(x, y).values()))]

    def work(self) -> dict[str, int]:
        """Operations and bytes that one step cannot do without."""
        x, y = (self.task.arrays[name][: self.task.batch] for name in "xy")
        output = self.model(mg.Constant(x, dtype=x.dtype))
        loss = self.trainer.loss(output, target_for(output, y))
        return floor.work_of_step(loss, x.nbytes + y.nbytes, self.trainer.optimizer)

    def allocations(self, steps: int) -> dict[str, Any]:
        """What further steps allocate.

        `rounds`: the peak of NumPy's and Python's memory in so many steps, above what was held
        before, in bytes. `arrays a step`: how many compiled code asks for, from the difference
        between twice as many steps and these, as Numba counts them under NUMBA_NRT_STATS=1; a call
        counts one for each array that it is given.
        """
        runtime: Any = numba.core.runtime.rtsys  # type: ignore[attr-defined]  # has no stub

        def arrays(steps: int) -> int:
            before = runtime.get_allocation_stats().mi_alloc
            self.run(steps, 3)
            return int(runtime.get_allocation_stats().mi_alloc - before)

        tracemalloc.start()
        self.run(steps, 1)
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        made, _ = self.run(steps, 2)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        made_arrays = (arrays(2 * made) - arrays(made)) / made
        return {"rounds": [peak - before], "arrays a step": made_arrays}


class MinigradOperator(Runner):
    """An operator as a graph that runs again, into memory that it has already."""

    def prepare(self) -> None:
        make, loss = model_of(self.task.kind)
        model = make(*self.task.options)
        model.load_state_dict(self.task.parameters)
        x = self.task.arrays["x"]
        node = mg.Variable(x) if x.dtype.kind == "f" else mg.Constant(x, dtype=x.dtype)
        head = model(node)
        head = head[0] if isinstance(head, tuple) else head
        head = loss(head, self.task.arrays["y"]) if loss else head
        self.inputs = [node, *model.parameters()]
        self.graph, self.grad = mg.Graph(head), np.ones(head.shape, head.dtype)

    def forward(self) -> list[Any]:
        return [self.graph.forward()]

    def backward(self) -> list[Any]:
        self.graph.zero_grad()
        self.graph.backward(self.grad)
        return [x.grad for x in self.inputs if x.grad is not None]

    def work(self) -> dict[str, int]:
        """Operations and bytes of one call."""
        return floor.work_of_pass(self.graph.head, self.task.direction)


RUNNERS = MinigradModel, MinigradOperator
