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
        x = np.moveaxis(self.x, 1, -1) if self.x.ndim == 4 else self.x
        self.x, self.y = jnp.asarray(x), jnp.asarray(self.y)
        self.p = jax.tree.map(jnp.asarray, self.first)  # to look at
        statistics = [name for name in self.first if "running" in name or "num_" in name]
        self.kept = {name: self.first.pop(name) for name in statistics}
        optimizer = getattr(optimizers, self.task.optimizer)(self.task.lr)
        self._initial, self._apply, self._weights = optimizer
        self._step = jax.jit(self._update, donate_argnums=0)
        self._epoch = jax.jit(self._updates, donate_argnums=0)
        self._output, self._judged = jax.jit(self.model), jax.jit(self._judge)

    # ---------------- layers; in training p has the number of the step, and takes new statistics
    def conv(self, p: Any, name: str, x: Any, stride: int = 1, padding: int = 0) -> Any:
        return self.convolved(x, p[f"{name}.weight"], stride, padding) + p[f"{name}.bias"]

    def convolved(self, x: Any, weight: Any, stride: int = 1, padding: int = 0) -> Any:
        sides = "HW"[4 - x.ndim :]
        layouts, n = (f"N{sides}C", f"{sides}IO", f"N{sides}C"), len(sides)
        pads = [(padding, padding)] * n
        return lax.conv_general_dilated(x, weight, (stride,) * n, pads, dimension_numbers=layouts)

    def conv1d(self, x: Any, weight: Any) -> Any:
        if self.mode == "scan":  # in a loop, XLA's own convolution takes ten times as long
            return super().conv1d(x, weight)
        return self.convolved(x, weight)

    def batch_norm(self, p: Any, name: str, x: Any) -> Any:
        mean, var = (p[f"{name}.running_{which}"] for which in ("mean", "var"))
        if "step" in p:
            new, axes = x.size // x.shape[-1], tuple(range(x.ndim - 1))
            old_mean, old_var, mean, var = mean, var, x.mean(axes), x.var(axes)
            p[f"{name}.running_mean"] = 0.9 * old_mean + 0.1 * mean
            p[f"{name}.running_var"] = 0.9 * old_var + 0.1 * var * new / (new - 1)
        scale = p[f"{name}.weight"] * lax.rsqrt(var + 1e-5)
        return (x - mean) * scale + p[f"{name}.bias"]

    def layer_norm(self, p: Any, name: str, x: Any) -> Any:
        normal = jax.nn.standardize(x, epsilon=1e-5)
        return normal * p[f"{name}.weight"] + p[f"{name}.bias"]

    def dropout(self, p: Any, rate: float, x: Any) -> Any:
        if not rate or "step" not in p:
            return x
        kept = jax.random.bernoulli(
            jax.random.fold_in(jax.random.key(0), p["step"]), 1 - rate, x.shape
        )
        return jnp.where(kept, x / (1 - rate), 0)

    def pool(self, x: Any) -> Any:
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    def recur(self, rows: Any, weight: Any) -> Any:
        if len(rows) <= 4:
            return super().recur(rows, weight)
        h = jnp.tanh(rows[0])
        return lax.scan(lambda h, row: (jnp.tanh(row + h @ weight), None), h, rows[1:])[0]

    # ---------------- models
    def cnn(self, p: Any, x: Any) -> Any:
        h = self.relu(self.conv(p, "0", x)).reshape(len(x), -1)
        return self.sigmoid(self.dense(p, "3", h))[:, 0]

    def lenet(self, p: Any, x: Any) -> Any:
        for conv, norm in ("01", "45"):
            x = self.pool(self.relu(self.batch_norm(p, norm, self.conv(p, conv, x))))
        h = self.relu(self.dense(p, "9", x.reshape(len(x), -1)))
        return self.dense(p, "12", self.dropout(p, self.task.options[0], h))

    def residual(self, p: Any, x: Any) -> Any:
        def conv(name: str, x: Any, stride: int = 1) -> Any:
            return self.batch_norm(p, f"{name}.1", self.conv(p, f"{name}.0", x, stride, 1))

        for down, first, second in (("first", "a", "b"), ("down", "c", "d")):
            h = self.relu(conv(down, x, 2))
            x = self.relu(h + conv(second, self.relu(conv(first, h))))
        return self.dense(p, "dense", x.mean((1, 2)))

    def lstm(self, p: Any, ids: Any) -> Any:
        def cell(state: Any, row: Any) -> Any:
            i, f, g, o = jnp.split(
                row + state[0] @ p["rnn.weight_hh_l0"] + p["rnn.bias_hh_l0"], 4, 1
            )
            c = self.sigmoid(f) * state[1] + self.sigmoid(i) * jnp.tanh(g)
            return (self.sigmoid(o) * jnp.tanh(c), c)

        return self.scanned(p, ids, cell, 2)

    def gru(self, p: Any, ids: Any) -> Any:
        def cell(state: Any, row: Any) -> Any:
            own = jnp.split(state[0] @ p["rnn.weight_hh_l0"] + p["rnn.bias_hh_l0"], 3, 1)
            r, z, n = jnp.split(row, 3, 1)
            r, z = self.sigmoid(r + own[0]), self.sigmoid(z + own[1])
            return ((1 - z) * jnp.tanh(n + r * own[2]) + z * state[0],)

        return self.scanned(p, ids, cell, 1)

    def scanned(self, p: Any, ids: Any, cell: Any, states: int) -> Any:
        """Logits from the last state, after `cell(state, row)` for the ids of each step."""
        rows = p["embedding.weight"][ids.T] @ p["rnn.weight_ih_l0"] + p["rnn.bias_ih_l0"]
        zero = jnp.zeros((len(ids), self.task.options[-1]), jnp.float32)
        state, _ = lax.scan(lambda state, row: (cell(state, row), None), (zero,) * states, rows)
        return self.dense(p, "dense", state[0])

    def wide(self, p: Any, x: Any) -> Any:
        return self.dense(p, "4", self.relu(self.dense(p, "2", self.relu(self.dense(p, "0", x)))))

    def transformer(self, p: Any, ids: Any) -> Any:
        x = p["embedding.weight"][ids]
        shape = (*ids.shape, 3, self.task.options[1], -1)
        parts = self.dense(p, "inputs", self.layer_norm(p, "norm1", x)).reshape(shape)
        attended = jax.nn.dot_product_attention(*(parts[:, :, i] for i in range(3)))
        x = x + self.dense(p, "outputs", attended.reshape(x.shape))
        h = self.dense(p, "up", self.layer_norm(p, "norm2", x))
        x = x + self.dense(p, "down", jax.nn.gelu(h, approximate=False))
        return self.dense(p, "dense", x.mean(1))

    # ---------------- training and looking
    def _update(self, carry: Any, x: Any, y: Any, chosen: Any) -> Any:
        """One step; `carry` is its number, the optimiser's state, the statistics, the last loss."""
        i, state, kept, _ = carry

        def loss(weights: Any) -> Any:
            p = {"step": i, **weights, **kept}
            value = self.loss(self.model(p, x[chosen]), y[chosen])
            return value, {name: p[name] for name in kept}

        weights = self._weights(state)
        (value, kept), gradients = jax.value_and_grad(loss, has_aux=True)(weights)
        return i + 1, self._apply(i, gradients, state), kept, value

    def _updates(self, carry: Any, x: Any, y: Any, order: Any, steps: Any) -> Any:
        def body(k: Any, carry: Any) -> Any:
            return self._update(carry, x, y, order[k])

        return lax.fori_loop(0, steps, body, carry)

    def reset(self) -> None:
        first, kept = jax.tree.map(jnp.array, (self.first, self.kept))
        self.carry = jnp.int32(0), self._initial(first), kept, jnp.float32(0)

    def train(self, steps: int, seed: int) -> tuple[int, float]:
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

    def output(self, batch: slice) -> Any:
        return self._output(self.p, self.x[batch])

    def judged(self, batch: slice) -> Any:
        return self._judged(self.p, self.x[batch], self.y[batch])

    def _judge(self, p: Any, x: Any, y: Any) -> Any:
        output = self.model(p, x)
        return self.loss(output, y), self.right(output, y)


RUNNERS = (JaxRunner,)
