"""JAX, in its own best style: pure functions under `jit`, parameters donated, pictures and texts
with channels last.

Modes: "step", one call of a jitted function per step; "scan", all steps of an epoch within one
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

from .task import Task


def set_threads(threads: int) -> None:
    """XLA takes a thread for each processor of the process, which the worker has set already."""


def versions() -> dict[str, str]:
    return {"jax": jax.__version__}


def cnn(p: Any, x: Any, sizes: Any) -> Any:
    h = lax.conv_general_dilated(
        x, p["0.weight"], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    h = jax.nn.relu(h + p["0.bias"]).reshape(len(x), -1)
    return jax.nn.sigmoid(h @ p["3.weight"] + p["3.bias"])[:, 0]


def textcnn(p: Any, ids: Any, sizes: Any) -> Any:
    words = p["embedding.weight"][ids]
    h = lax.conv_general_dilated(
        words, p["conv.weight"], (1,), "VALID", dimension_numbers=("NWC", "WIO", "NWC")
    )
    h = (
        jax.nn.relu(h + p["conv.bias"])
        .reshape(len(ids), -1, sizes["pool"], sizes["filters"])
        .max(2)
    )
    return jax.nn.sigmoid(h.reshape(len(ids), -1) @ p["dense.weight"] + p["dense.bias"])[:, 0]


def rnn(p: Any, x: Any, sizes: Any) -> Any:
    before = (
        jnp.swapaxes(x, 0, 1) @ p["rnn.weight_ih_l0"] + p["rnn.bias_ih_l0"] + p["rnn.bias_hh_l0"]
    )
    weight, h = p["rnn.weight_hh_l0"], jnp.tanh(before[0])
    if len(before) <= 4:
        for row in before[1:]:
            h = jnp.tanh(row + h @ weight)
    else:
        h, _ = lax.scan(lambda h, row: (jnp.tanh(row + h @ weight), None), h, before[1:])
    return h @ p["dense.weight"] + p["dense.bias"]


def mlp(p: Any, x: Any, sizes: Any) -> Any:
    for i in (0, 2, 4):
        x = jnp.tanh(x @ p[f"{i}.weight"] + p[f"{i}.bias"])
    return (x @ p["6.weight"] + p["6.bias"])[:, 0]


MODELS = {"cnn": cnn, "textcnn": textcnn, "rnn": rnn, "mlp": mlp}


def mse(output: Any, y: Any) -> Any:
    return jnp.mean((output - y) ** 2)


def bce(output: Any, y: Any) -> Any:
    return -jnp.mean(y * jnp.log(output) + (1 - y) * jnp.log(1 - output))


def cross_entropy(output: Any, y: Any) -> Any:
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(output), y[:, None], 1))


LOSSES = {"mse": mse, "bce": bce, "cross_entropy": cross_entropy}


def channels_last(task: Task) -> tuple[dict[str, Any], Any]:
    """Parameters and samples in JAX's layouts: weights (in, out), channels last."""
    p, x = (
        {
            name: a.T if name.endswith("weight") or "weight_" in name else a
            for name, a in task.parameters.items()
        },
        task.x,
    )
    if task.kind == "cnn":
        s = task.sizes
        rest = s["pixels"] - s["kernel"] + 1
        p["0.weight"] = task.parameters["0.weight"].transpose(2, 3, 1, 0)
        p["3.weight"] = (
            task.parameters["3.weight"]
            .reshape(s["filters"], rest, rest)
            .transpose(1, 2, 0)
            .reshape(-1, 1)
        )
        x = x.transpose(0, 2, 3, 1)
    if task.kind == "textcnn":
        p["embedding.weight"] = task.parameters["embedding.weight"]
        filters = task.sizes["filters"]
        p["dense.weight"] = task.parameters["dense.weight"].reshape(filters, -1).T.reshape(-1, 1)
    return {name: np.ascontiguousarray(a) for name, a in p.items()}, np.ascontiguousarray(x)


def adam(lr: float, p: Any, grads: Any, state: Any) -> tuple[Any, Any]:
    m, v, t = state
    t = t + 1
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
    rate, root = lr / (1 - 0.9**t), jnp.sqrt(1 - 0.999**t)
    return jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) / root + 1e-8), p, m, v), (
        m,
        v,
        t,
    )


class Training:
    """One task in one mode."""

    def __init__(self, task: Task, mode: str) -> None:
        self.task, self.mode = task, mode
        self.first, x = channels_last(task)
        y = task.y.astype(np.int32) if task.y.dtype.kind == "i" else task.y
        self.x, self.y = jnp.asarray(x), jnp.asarray(y)
        model, loss = MODELS[task.kind], LOSSES[task.loss]

        def total(p: Any, x: Any, y: Any) -> Any:
            return loss(model(p, x, task.sizes), y)

        def step(p: Any, state: Any, x: Any, y: Any, chosen: Any) -> Any:
            value, grads = jax.value_and_grad(total)(p, x[chosen], y[chosen])
            if task.optimizer == "adam":
                return *adam(task.lr, p, grads, state), value
            return jax.tree.map(lambda p, g: p - task.lr * g, p, grads), state, value

        def stretch(p: Any, state: Any, x: Any, y: Any, order: Any, steps: Any) -> Any:
            def body(i: Any, carry: Any) -> Any:
                return step(*carry[:2], x, y, order[i])

            return lax.fori_loop(0, steps, body, (p, state, jnp.float32(0)))

        self.step = jax.jit(step, donate_argnums=(0, 1))
        self.stretch = jax.jit(stretch, donate_argnums=(0, 1))
        self.reset()

    def reset(self) -> None:
        def zeros() -> Any:
            return jax.tree.map(jnp.zeros_like, self.p)

        self.p = jax.tree.map(jnp.array, self.first)
        self.state = (zeros(), zeros(), jnp.float32(0)) if self.task.optimizer == "adam" else ()

    def train(self, steps: int, seed: int) -> tuple[int, float]:
        p, state, loss = self.p, self.state, 0.0
        for order in self.task.orders(steps, seed):
            order = order.astype(np.int32)
            if (
                self.mode == "scan"
            ):  # the number of steps is no part of the shape, so nothing is compiled again
                padded = np.zeros((self.task.per_epoch, self.task.batch), np.int32)
                padded[: len(order)] = order
                p, state, loss = self.stretch(p, state, self.x, self.y, padded, len(order))
            else:
                for chosen in order:
                    p, state, loss = self.step(p, state, self.x, self.y, chosen)
        self.p, self.state = p, state
        return steps, float(loss)


def contender(task: Task, mode: str) -> Training:
    return Training(task, mode)
