"""The models as functions of their weights, for libraries whose functions are NumPy's."""

from __future__ import annotations

from typing import Any

import numpy as np

from .models import loss_of
from .task import Array, Runner


class FunctionalRunner(Runner):
    """Models, losses and optimisers in the functions of a NumPy-like module `xp`.

    A library adds `gradients(x, y)`, which returns the loss and a dictionary with the gradient of
    each of the weights `self.p`.
    """

    xp: Any

    def prepare(self) -> None:
        kind = self.task.kind
        if not hasattr(self, kind):
            raise NotImplementedError(f"{kind} is not written for this library")
        self.model, self.loss = getattr(self, kind), getattr(self, str(loss_of(kind)))
        self.x, self.y = (self.task.arrays[name] for name in "xy")
        self.first = {name: np.ascontiguousarray(a) for name, a in self.layout().items()}

    def layout(self) -> dict[str, Array]:
        """The initial weights as (…, in, out), with the channels last before a dense layer."""
        given = self.task.parameters
        p = {
            name: a if a.ndim < 2 or "embedding" in name else np.moveaxis(a, (1, 0), (-2, -1))
            for name, a in given.items()
        }
        for dense, conv in (("3", "0"), ("dense", "conv"), ("9", "4")):
            if {f"{dense}.weight", f"{conv}.bias"} <= set(given):
                weight = given[f"{dense}.weight"]
                blocks = weight.reshape(len(weight), len(given[f"{conv}.bias"]), -1)
                p[f"{dense}.weight"] = blocks.T.reshape(-1, len(weight))
        return p

    # ---------------- models
    def relu(self, x: Any) -> Any:
        return self.xp.maximum(x, np.float32(0))

    def sigmoid(self, x: Any) -> Any:
        return 1 / (1 + self.xp.exp(-x))

    def dense(self, p: Any, name: str, x: Any) -> Any:
        return x @ p[f"{name}.weight"] + p[f"{name}.bias"]

    def conv1d(self, x: Any, weight: Any) -> Any:
        """A sum of products, one for each place in the window."""
        n = x.shape[1] - 2
        return sum(x[:, t : t + n] @ weight[t] for t in range(3))

    def cnn(self, p: Any, x: Array) -> Any:
        """A convolution as one product of matrices: the image's windows need no gradient."""
        _, filters, k, _ = self.task.options
        windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(2, 3))
        rows = windows.transpose(0, 2, 3, 4, 5, 1).reshape(-1, k * k * x.shape[1])
        h = self.relu(rows @ p["0.weight"].reshape((-1, filters)) + p["0.bias"])
        return self.sigmoid(self.dense(p, "3", h.reshape((len(x), -1))))[:, 0]

    def textcnn(self, p: Any, ids: Any) -> Any:
        h = self.conv1d(p["embedding.weight"][ids], p["conv.weight"]) + p["conv.bias"]
        *_, filters, pool, _ = self.task.options
        features = self.xp.max(self.relu(h).reshape((len(ids), -1, pool, filters)), axis=2)
        return self.sigmoid(self.dense(p, "dense", features.reshape((len(ids), -1))))[:, 0]

    def rnn(self, p: Any, x: Any) -> Any:
        rows = self.xp.matmul(x.transpose(1, 0, 2), p["rnn.weight_ih_l0"])
        h = self.recur(rows + p["rnn.bias_ih_l0"] + p["rnn.bias_hh_l0"], p["rnn.weight_hh_l0"])
        return self.dense(p, "dense", h)

    def recur(self, rows: Any, weight: Any) -> Any:
        """The last hidden state, from the input's part of each."""
        h = self.xp.tanh(rows[0])
        for t in range(1, len(rows)):
            h = self.xp.tanh(rows[t] + h @ weight)
        return h

    def mlp(self, p: Any, x: Any) -> Any:
        for name in "024":
            x = self.xp.tanh(self.dense(p, name, x))
        return self.dense(p, "6", x)[:, 0]

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
