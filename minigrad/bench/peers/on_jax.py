"""JAX in its own best style: pure functions under `jit`, donated weights, channels last.

Modes: "step", a call of a jitted function for each step; "scan", all steps of an epoch in one
jitted loop (as fast as `lax.scan`, but compiled once for any number of steps).
"""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.example_libraries import optimizers

from .functional import FunctionalTraining
from .task import Task

VERSIONS = {"jax": jax.__version__}


class JaxTraining(FunctionalTraining):
    """Gradient and update of a step are compiled as one function."""

    xp = jnp
    relu, sigmoid = staticmethod(jax.nn.relu), staticmethod(jax.nn.sigmoid)

    def __init__(self, task: Task, mode: str) -> None:
        super().__init__(task, mode)
        x = np.moveaxis(self.x, 1, -1) if task.kind == "cnn" else self.x
        y = self.y.astype(np.int32) if self.y.dtype.kind == "i" else self.y
        self.x, self.y = jnp.asarray(np.ascontiguousarray(x)), jnp.asarray(y)
        optimizer = getattr(optimizers, task.optimizer)(task.lr)
        self._initial, self._apply, self._weights = optimizer
        self._step = jax.jit(self._update, donate_argnums=(0, 1))
        self._epoch = jax.jit(self._updates, donate_argnums=(0, 1))

    def cnn(self, p: Any, x: Any) -> Any:
        layouts = ("NHWC", "HWIO", "NHWC")
        h = lax.conv_general_dilated(x, p["0.weight"], (1, 1), "VALID", dimension_numbers=layouts)
        h = self.relu(h + p["0.bias"]).reshape(len(x), -1)
        return self.sigmoid(self.dense(p, "3", h))[:, 0]

    def conv1d(self, x: Any, weight: Any) -> Any:
        if self.mode == "scan":  # in a loop, XLA's own convolution takes ten times as long
            return super().conv1d(x, weight)
        layouts = ("NWC", "WIO", "NWC")
        return lax.conv_general_dilated(x, weight, (1,), "VALID", dimension_numbers=layouts)

    def recur(self, rows: Any, weight: Any) -> Any:
        if len(rows) <= 4:
            return super().recur(rows, weight)
        h = jnp.tanh(rows[0])
        return lax.scan(lambda h, row: (jnp.tanh(row + h @ weight), None), h, rows[1:])[0]

    def _update(self, i: Any, state: Any, x: Any, y: Any, chosen: Any) -> Any:
        """Step i: the number of the next, the optimiser's state with the weights, the loss."""

        def loss(p: Any) -> Any:
            return self.loss(self.model(p, x[chosen]), y[chosen])

        value, gradients = jax.value_and_grad(loss)(self._weights(state))
        return i + 1, self._apply(i, gradients, state), value

    def _updates(self, i: Any, state: Any, x: Any, y: Any, order: Any, steps: Any) -> Any:
        def body(k: Any, carry: Any) -> Any:
            i, state, _ = carry
            return self._update(i, state, x, y, order[k])

        return lax.fori_loop(0, steps, body, (i, state, jnp.float32(0)))

    def reset(self) -> None:
        self.state = jnp.int32(0), self._initial(jax.tree.map(jnp.array, self.first))

    def run(self, steps: int, seed: int) -> tuple[int, float]:
        i, state = self.state
        loss = jnp.float32(0)
        for order in self.task.orders(steps, seed):
            order = order.astype(np.int32)
            if self.mode == "step":
                for chosen in order:
                    i, state, loss = self._step(i, state, self.x, self.y, chosen)
            else:  # padded to one shape, so that no number of steps compiles again
                padded = np.zeros((self.task.steps_per_epoch, self.task.batch), np.int32)
                padded[: len(order)] = order
                i, state, loss = self._epoch(i, state, self.x, self.y, padded, len(order))
        self.state = i, state
        return steps, float(loss)


runner = JaxTraining
