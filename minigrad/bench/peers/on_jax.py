"""JAX in its own best style: pure functions under `jit`, donated weights, channels last.

Modes: "step", a call of a jitted function for each step; "scan", all steps of an epoch in one
jitted loop (as fast as `lax.scan`, but compiled once for any number of steps).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.example_libraries import optimizers

from .models import MODELS, Layer, loss_of
from .task import Array, Runner

VERSIONS = {"jax": jax.__version__}


class JaxRunner(Runner):
    """Gradient and update of a step are compiled as one function.

    A layer is a method of its name in lower case, with the weights, the beginning of its weights'
    names, the samples and its options; `plain` has those without weights and options.
    """

    plain: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
        {
            "ReLU": jax.nn.relu,
            "Sigmoid": jax.nn.sigmoid,
            "Tanh": jnp.tanh,
            "GELU": partial(jax.nn.gelu, approximate=False),
            "Mean": lambda x: x.mean(1),
        }
    )

    def prepare(self) -> None:
        self.layers = MODELS[self.task.kind](*self.task.options)
        self.loss = getattr(self, str(loss_of(self.task.kind)))
        self.first = {name: np.ascontiguousarray(a) for name, a in self.layout().items()}
        x, y = (self.task.arrays[name] for name in "xy")
        self.x = jnp.asarray(np.moveaxis(x, 1, -1) if x.ndim == 4 else x)
        self.y = jnp.asarray(y)
        self.p = jax.tree.map(jnp.asarray, self.first)  # to look at
        statistics = [name for name in self.first if "running" in name or "num_" in name]
        self.kept = {name: self.first.pop(name) for name in statistics}
        optimizer = getattr(optimizers, self.task.optimizer)(self.task.lr)
        self._initial, self._apply, self._weights = optimizer
        self._step = jax.jit(self._update, donate_argnums=0)
        self._epoch = jax.jit(self._updates, donate_argnums=0)
        self._output, self._judged = jax.jit(self.model), jax.jit(self._judge)

    def layout(self) -> dict[str, Array]:
        """The initial weights as (…, in, out), with the channels last before a dense layer."""
        embeddings = {f"{i}.weight" for i, each in enumerate(self.layers) if each[0] == "Embedding"}
        p, channels = dict(self.task.parameters), 1
        for i, (kind, *options) in enumerate(self.layers):
            if "Conv" in kind:
                channels = options[1]
            elif kind == "Linear" and self.layers[i - 1][0] == "Flatten":
                weight = p[f"{i}.weight"]
                blocks = weight.reshape(len(weight), channels, -1)
                p[f"{i}.weight"] = blocks.swapaxes(1, 2).reshape(weight.shape)
        return {
            name: a if a.ndim < 2 or name in embeddings else np.moveaxis(a, (1, 0), (-2, -1))
            for name, a in p.items()
        }

    def model(self, p: Any, x: Any) -> Any:
        """The output (N, classes), or (N,) where it is one number."""
        output = self.chain(p, "", x, *self.layers)
        return output[:, 0] if output.shape[1] == 1 else output

    def chain(self, p: Any, name: str, x: Any, *layers: Layer) -> Any:
        for i, (kind, *options) in enumerate(layers):
            if kind in self.plain:
                x = self.plain[kind](x)
            else:
                x = getattr(self, kind.lower())(p, f"{name}{i}.", x, *options)
        return x

    # ---------------- layers; in training p has the number of the step, and takes new statistics
    def linear(self, p: Any, name: str, x: Any, *_: int) -> Any:
        return x @ p[f"{name}weight"] + p[f"{name}bias"]

    def embedding(self, p: Any, name: str, ids: Any, *_: int) -> Any:
        return p[f"{name}weight"][ids]

    def channelsfirst(self, p: Any, name: str, x: Any) -> Any:
        return x

    def flatten(self, p: Any, name: str, x: Any) -> Any:
        return x.reshape((len(x), -1))

    def conv2d(self, p: Any, name: str, x: Any, *sizes: int) -> Any:
        """A convolution along all axes but the first and the last; `sizes` as in PyTorch."""
        stride, padding = sizes[3:] or (1, 0)
        sides = "HW"[4 - x.ndim :]
        layouts, n = (f"N{sides}C", f"{sides}IO", f"N{sides}C"), len(sides)
        how: Any = {"dimension_numbers": layouts, "padding": [(padding, padding)] * n}
        h = lax.conv_general_dilated(x, p[f"{name}weight"], (stride,) * n, **how)
        return h + p[f"{name}bias"]

    def conv1d(self, p: Any, name: str, x: Any, *sizes: int) -> Any:
        if self.mode == "scan":  # in a loop, XLA's own convolution takes ten times as long
            n, weight = x.shape[1] - 2, p[f"{name}weight"]
            products = (x[:, t : t + n] @ weight[t] for t in range(3))
            return sum(products) + p[f"{name}bias"]
        return self.conv2d(p, name, x, *sizes)

    def maxpool1d(self, p: Any, name: str, x: Any, pool: int) -> Any:
        return jnp.max(x.reshape((len(x), -1, pool, x.shape[2])), axis=2)

    def maxpool2d(self, p: Any, name: str, x: Any, k: int) -> Any:
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, k, k, 1), (1, k, k, 1), "VALID")

    def avgpool2d(self, p: Any, name: str, x: Any, k: int) -> Any:
        n, height, width, channels = x.shape
        return x.reshape(n, height // k, k, width // k, k, channels).mean((2, 4))

    def batchnorm2d(self, p: Any, name: str, x: Any, _: int) -> Any:
        mean, var = p[f"{name}running_mean"], p[f"{name}running_var"]
        if "step" in p:
            count, before = x.size // x.shape[-1], (mean, var)
            mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
            p[f"{name}running_mean"] = 0.9 * before[0] + 0.1 * mean
            p[f"{name}running_var"] = 0.9 * before[1] + 0.1 * var * count / (count - 1)
        scale = p[f"{name}weight"] * lax.rsqrt(var + 1e-5)
        return (x - mean) * scale + p[f"{name}bias"]

    def layernorm(self, p: Any, name: str, x: Any, _: int) -> Any:
        return jax.nn.standardize(x, epsilon=1e-5) * p[f"{name}weight"] + p[f"{name}bias"]

    def dropout(self, p: Any, name: str, x: Any, rate: float) -> Any:
        if not rate or "step" not in p:
            return x
        key = jax.random.fold_in(jax.random.key(0), p["step"])
        return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)

    def residual(self, p: Any, name: str, x: Any, *layers: Layer) -> Any:
        return x + self.chain(p, f"{name}layers.", x, *layers)

    def attention(self, p: Any, name: str, x: Any, heads: int, _: int) -> Any:
        parts = self.linear(p, f"{name}inputs.", x).reshape(*x.shape[:2], 3, heads, -1)
        found = jax.nn.dot_product_attention(*(parts[:, :, i] for i in range(3)))
        return self.linear(p, f"{name}outputs.", found.reshape(x.shape))

    def recurrent(self, p: Any, name: str, x: Any, cell: str, *_: int) -> Any:
        """The last state of a layer, whose method gets the input's part of each step."""
        name = f"{name}layer."
        rows = jnp.matmul(jnp.swapaxes(x, 0, 1), p[f"{name}weight_ih_l0"])
        own, bias = p[f"{name}weight_hh_l0"], p[f"{name}bias_hh_l0"]
        return getattr(self, cell.lower())(rows + p[f"{name}bias_ih_l0"], own, bias)

    def rnn(self, rows: Any, weight: Any, bias: Any) -> Any:
        rows, unrolled = rows + bias, len(rows) <= 4
        h = jnp.tanh(rows[0])
        return lax.scan(
            lambda h, row: (jnp.tanh(row + h @ weight), None), h, rows[1:], unroll=unrolled
        )[0]

    def lstm(self, rows: Any, weight: Any, bias: Any) -> Any:
        def cell(state: Any, row: Any) -> Any:
            h, c = state
            i, f, g, o = jnp.split(row + h @ weight + bias, 4, 1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

        zero = jnp.zeros((rows.shape[1], len(weight)), jnp.float32)
        return lax.scan(cell, (zero, zero), rows)[0][0]

    def gru(self, rows: Any, weight: Any, bias: Any) -> Any:
        def cell(h: Any, row: Any) -> Any:
            r, z, n = jnp.split(row, 3, 1)
            own_r, own_z, own_n = jnp.split(h @ weight + bias, 3, 1)
            z = jax.nn.sigmoid(z + own_z)
            n = jnp.tanh(n + jax.nn.sigmoid(r + own_r) * own_n)
            return (1 - z) * n + z * h, None

        return lax.scan(cell, jnp.zeros((rows.shape[1], len(weight)), jnp.float32), rows)[0]

    # ---------------- losses
    def mse_loss(self, output: Any, y: Any) -> Any:
        return jnp.mean((output - y) ** 2)

    def binary_cross_entropy(self, output: Any, y: Any) -> Any:
        return -jnp.mean(y * jnp.log(output) + (1 - y) * jnp.log(1 - output))

    def cross_entropy(self, output: Any, y: Any) -> Any:
        return -jnp.mean(jax.nn.log_softmax(output)[jnp.arange(len(y)), y])

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
