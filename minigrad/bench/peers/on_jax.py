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

from .functional import FunctionalRunner

VERSIONS = {"jax": jax.__version__}


class JaxRunner(FunctionalRunner):
    """Gradient and update of a step are compiled as one function."""

    xp = jnp
    relu, sigmoid = staticmethod(jax.nn.relu), staticmethod(jax.nn.sigmoid)

    def prepare(self) -> None:
        super().prepare()
        x = np.moveaxis(self.x, 1, -1) if self.task.kind == "cnn" else self.x
        self.x, self.y = jnp.asarray(x), jnp.asarray(self.y)
        optimizer = getattr(optimizers, self.task.optimizer)(self.task.lr)
        self._initial, self._apply, self._weights = optimizer
        self._step = jax.jit(self._update, donate_argnums=0)
        self._epoch = jax.jit(self._updates, donate_argnums=0)

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

    def _update(self, carry: Any, x: Any, y: Any, chosen: Any) -> Any:
        """One step; `carry` is the step's number, the optimiser's state, and the last loss."""
        i, state, _ = carry

        def loss(p: Any) -> Any:
            return self.loss(self.model(p, x[chosen]), y[chosen])

        value, gradients = jax.value_and_grad(loss)(self._weights(state))
        return i + 1, self._apply(i, gradients, state), value

    def _updates(self, carry: Any, x: Any, y: Any, order: Any, steps: Any) -> Any:
        def body(k: Any, carry: Any) -> Any:
            return self._update(carry, x, y, order[k])

        return lax.fori_loop(0, steps, body, carry)

    def reset(self) -> None:
        state = self._initial(jax.tree.map(jnp.array, self.first))
        self.carry = jnp.int32(0), state, jnp.float32(0)

    def run(self, steps: int, seed: int) -> tuple[int, float]:
        for order in self.task.orders(steps, seed):
            order = order.astype(np.int32)
            if self.mode == "step":
                for chosen in order:
                    self.carry = self._step(self.carry, self.x, self.y, chosen)
            else:  # padded to one shape, so that no number of steps compiles again
                padded = np.zeros((self.task.steps_per_epoch, self.task.batch), np.int32)
                padded[: len(order)] = order
                self.carry = self._epoch(self.carry, self.x, self.y, padded, len(order))
        return steps, float(self.carry[-1])


RUNNERS = (JaxRunner,)
