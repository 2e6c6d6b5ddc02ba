"""The models as functions of their weights, for libraries whose functions are NumPy's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .models import MODELS, Layer, loss_of
from .task import Array, Runner


class FunctionalRunner(Runner):
    """Models, losses and optimisers in the functions of a NumPy-like module `xp`.

    A layer is a method of its name in lower case, with the weights, the beginning of its weights'
    names, the samples and its options; `plain` has those without weights and options. Channels come
    last. A library adds `gradients(x, y)`, which returns the loss and a dictionary with the
    gradient of each of the weights `self.p`.
    """

    xp: Any
    plain: Mapping[str, Callable[[Any], Any]]

    def prepare(self) -> None:
        self.layers = MODELS[self.task.kind](*self.task.options)
        self.loss = getattr(self, str(loss_of(self.task.kind)))
        self.x, self.y = (self.task.arrays[name] for name in "xy")
        self.first = {name: np.ascontiguousarray(a) for name, a in self.layout().items()}

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
            elif not hasattr(self, kind.lower()):
                raise NotImplementedError(f"{kind} is not written for this library")
            else:
                x = getattr(self, kind.lower())(p, f"{name}{i}.", x, *options)
        return x

    # ---------------- layers
    def linear(self, p: Any, name: str, x: Any, *_: int) -> Any:
        return x @ p[f"{name}weight"] + p[f"{name}bias"]

    def embedding(self, p: Any, name: str, ids: Any, *_: int) -> Any:
        return p[f"{name}weight"][ids]

    def channelsfirst(self, p: Any, name: str, x: Any) -> Any:
        return x

    def flatten(self, p: Any, name: str, x: Any) -> Any:
        return x.reshape((len(x), -1))

    def conv1d(self, p: Any, name: str, x: Any, *_: int) -> Any:
        """A sum of products, one for each place in the window."""
        n, weight = x.shape[1] - 2, p[f"{name}weight"]
        return sum(x[:, t : t + n] @ weight[t] for t in range(3)) + p[f"{name}bias"]

    def conv2d(self, p: Any, name: str, x: Array, channels: int, filters: int, k: int) -> Any:
        """One product of matrices: the windows of the model's input need no gradient."""
        windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(2, 3))
        rows = windows.transpose(0, 2, 3, 4, 5, 1).reshape(-1, k * k * channels)
        h = rows @ p[f"{name}weight"].reshape((-1, filters)) + p[f"{name}bias"]
        return h.reshape((len(x), -1))

    def maxpool1d(self, p: Any, name: str, x: Any, pool: int) -> Any:
        return self.xp.max(x.reshape((len(x), -1, pool, x.shape[2])), axis=2)

    def recurrent(self, p: Any, name: str, x: Any, cell: str, *_: int) -> Any:
        """The last state of a layer, whose method gets the input's part of each step."""
        name = f"{name}layer."
        rows = self.xp.matmul(self.xp.swapaxes(x, 0, 1), p[f"{name}weight_ih_l0"])
        own, bias = p[f"{name}weight_hh_l0"], p[f"{name}bias_hh_l0"]
        return getattr(self, cell.lower())(rows + p[f"{name}bias_ih_l0"], own, bias)

    def rnn(self, rows: Any, weight: Any, bias: Any) -> Any:
        rows = rows + bias
        h = self.xp.tanh(rows[0])
        for t in range(1, len(rows)):
            h = self.xp.tanh(rows[t] + h @ weight)
        return h

    # ---------------- losses
    def mse_loss(self, output: Any, y: Any) -> Any:
        return self.xp.mean((output - y) ** 2)

    def binary_cross_entropy(self, output: Any, y: Any) -> Any:
        xp = self.xp
        return -xp.mean(y * xp.log(output) + (1 - y) * xp.log(1 - output))

    def cross_entropy(self, output: Any, y: Any) -> Any:
        xp = self.xp
        shifted = output - self.detached(xp.max(output, axis=1, keepdims=True))
        return xp.mean(xp.log(xp.sum(xp.exp(shifted), axis=1)) - shifted[np.arange(len(y)), y])

    def detached(self, x: Any) -> Any:
        """A value whose gradient cancels, so that a library may leave it out."""
        return x

    # ---------------- training
    def gradients(self, x: Array, y: Array) -> tuple[Any, dict[str, Array]]:
        raise NotImplementedError

    def reset(self) -> None:
        self.p = {name: a.copy() for name, a in self.first.items()}
        self.means = {n: (np.zeros_like(a), np.zeros_like(a)) for n, a in self.first.items()}
        self.made = 0

    def step(self, chosen: Array) -> Any:
        loss, gradients = self.gradients(self.x[chosen], self.y[chosen])
        self.made += 1
        t, lr = self.made, self.task.lr
        for name, g in gradients.items():
            if self.task.optimizer == "sgd":
                self.p[name] -= lr * g
                continue
            m, v = self.means[name]
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            self.p[name] -= lr / (1 - 0.9**t) * m / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        return loss
