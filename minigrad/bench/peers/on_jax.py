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
        self._step = jax.jit(self._update, donate_argnums=(0, 1))
        self._epoch = jax.jit(self._updates, donate_argnums=(0, 1))

    def cnn(self, p: Any, x: Any) -> Any:
        layouts = ("NHWC", "HWIO", "NHWC")
        h = lax.conv_general_dilated(x, p["0.weight"], (1, 1), "VALID", dimension_numbers=layouts)
        h = self.relu(h + p["0.bias"]).reshape(len(x), -1)
        return self.sigmoid(h @ p["3.weight"] + p["3.bias"])[:, 0]

    def conv1d(self, x: Any, weight: Any) -> Any:
        layouts = ("NWC", "WIO", "NWC")
        return lax.conv_general_dilated(x, weight, (1,), "VALID", dimension_numbers=layouts)

    def recur(self, rows: Any, weight: Any) -> Any:
        if len(rows) <= 4:
            return super().recur(rows, weight)
        h = jnp.tanh(rows[0])
        return lax.scan(lambda h, row: (jnp.tanh(row + h @ weight), None), h, rows[1:])[0]

    def _update(self, p: Any, state: Any, x: Any, y: Any, chosen: Any) -> Any:
        """One step: (weights, state of the optimiser, loss)."""

        def loss(p: Any) -> Any:
            return self.loss(self.model(p, x[chosen]), y[chosen])

        value, grads = jax.value_and_grad(loss)(p)
        if self.task.optimizer == "sgd":
            return jax.tree.map(lambda p, g: p - self.task.lr * g, p, grads), state, value
        m, v, t = state
        t = t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
        rate, root = self.task.lr / (1 - 0.9**t), jnp.sqrt(1 - 0.999**t)
        p = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) / root + 1e-8), p, m, v)
        return p, (m, v, t), value

    def _updates(self, p: Any, state: Any, x: Any, y: Any, order: Any, steps: Any) -> Any:
        def body(i: Any, carry: Any) -> Any:
            return self._update(*carry[:2], x, y, order[i])

        return lax.fori_loop(0, steps, body, (p, state, jnp.float32(0)))

    def reset(self) -> None:
        self.p = jax.tree.map(jnp.array, self.first)
        zeros = [jax.tree.map(jnp.zeros_like, self.p) for _ in range(2)]
        self.state = (*zeros, jnp.float32(0)) if self.task.optimizer == "adam" else ()

    def run(self, steps: int, seed: int) -> tuple[int, float]:
        p, state, loss = self.p, self.state, 0.0
        for order in self.task.orders(steps, seed):
            order = order.astype(np.int32)
            if self.mode == "step":
                for chosen in order:
                    p, state, loss = self._step(p, state, self.x, self.y, chosen)
            else:  # padded to one shape, so that no number of steps compiles again
                padded = np.zeros((self.task.steps_per_epoch, self.task.batch), np.int32)
                padded[: len(order)] = order
                p, state, loss = self._epoch(p, state, self.x, self.y, padded, len(order))
        self.p, self.state = p, state
        return steps, float(loss)


runner = JaxTraining
