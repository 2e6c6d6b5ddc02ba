"""HIPS autograd: NumPy functions, differentiated as they run. Convolution is a product with shifted
views.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import value_and_grad

from .task import Task
from .update import update


def set_threads(threads: int) -> None:
    """Only NumPy's BLAS has threads; the environment says how many."""


def versions() -> dict[str, str]:
    return {"autograd": version("autograd")}


def sigmoid(x: Any) -> Any:
    return 1 / (1 + anp.exp(-x))


def relu(x: Any) -> Any:
    """With derivative 0 at 0, as everywhere; that of `maximum` is one half there."""
    return anp.where(x > 0, x, np.float32(0))


def cnn(p: Any, x: Any, sizes: Any) -> Any:
    """The picture's windows are a view that needs no gradient, so that the convolution is one
    product of matrices.
    """
    k, filters = sizes["kernel"], sizes["filters"]
    windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(2, 3)).transpose(
        0, 2, 3, 1, 4, 5
    )
    rest = windows.shape[1]
    product = (
        windows.reshape(len(x) * rest * rest, -1) @ anp.reshape(p["0.weight"], (filters, -1)).T
    )
    h = relu(product + p["0.bias"]).reshape((len(x), rest * rest, filters))
    return sigmoid(
        anp.transpose(h, (0, 2, 1)).reshape((len(x), -1)) @ p["3.weight"].T + p["3.bias"]
    )[:, 0]


def textcnn(p: Any, ids: Any, sizes: Any) -> Any:
    words, weight = p["embedding.weight"][ids], p["conv.weight"]
    places = words.shape[1] - 2
    h = sum(words[:, t : t + places] @ weight[:, :, t].T for t in range(3)) + p["conv.bias"]
    h = relu(h).reshape((len(ids), -1, sizes["pool"], sizes["filters"]))
    features = anp.transpose(anp.max(h, axis=2), (0, 2, 1)).reshape((len(ids), -1))
    return sigmoid(features @ p["dense.weight"].T + p["dense.bias"])[:, 0]


def rnn(p: Any, x: Any, sizes: Any) -> Any:
    before = (
        x.transpose(1, 0, 2) @ p["rnn.weight_ih_l0"].T + p["rnn.bias_ih_l0"] + p["rnn.bias_hh_l0"]
    )
    h, weight = anp.tanh(before[0]), p["rnn.weight_hh_l0"].T
    for t in range(1, len(before)):
        h = anp.tanh(before[t] + h @ weight)
    return h @ p["dense.weight"].T + p["dense.bias"]


def mlp(p: Any, x: Any, sizes: Any) -> Any:
    for i in (0, 2, 4):
        x = anp.tanh(x @ p[f"{i}.weight"].T + p[f"{i}.bias"])
    return (x @ p["6.weight"].T + p["6.bias"])[:, 0]


MODELS = {"cnn": cnn, "textcnn": textcnn, "rnn": rnn, "mlp": mlp}


def mse(output: Any, y: Any) -> Any:
    return anp.mean((output - y) ** 2)


def bce(output: Any, y: Any) -> Any:
    return -anp.mean(y * anp.log(output) + (1 - y) * anp.log(1 - output))


def cross_entropy(output: Any, y: Any) -> Any:
    shifted = output - np.max(getattr(output, "_value", output), axis=1, keepdims=True)
    return anp.mean(anp.log(anp.sum(anp.exp(shifted), axis=1)) - shifted[np.arange(len(y)), y])


LOSSES = {"mse": mse, "bce": bce, "cross_entropy": cross_entropy}


class Training:
    """One task; autograd has one mode."""

    def __init__(self, task: Task, mode: str) -> None:
        self.task = task
        model, loss = MODELS[task.kind], LOSSES[task.loss]
        self.gradient = value_and_grad(lambda p, x, y: loss(model(p, x, task.sizes), y))
        self.reset()

    def reset(self) -> None:
        self.p = {name: p.copy() for name, p in self.task.parameters.items()}
        self.memory = {name: (np.zeros_like(p), np.zeros_like(p)) for name, p in self.p.items()}
        self.steps = 0

    def train(self, steps: int, seed: int) -> tuple[int, float]:
        loss = 0.0
        for order in self.task.orders(steps, seed):
            for chosen in order:
                self.steps += 1
                loss, grads = self.gradient(self.p, self.task.x[chosen], self.task.y[chosen])
                update(self.task, self.p, grads, self.memory, self.steps)
        return steps, float(loss)


def contender(task: Task, mode: str) -> Training:
    return Training(task, mode)
