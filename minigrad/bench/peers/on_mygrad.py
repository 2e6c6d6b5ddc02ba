"""MyGrad: tensors on NumPy, with its own convolution, pooling and losses; its guards on memory are
off, which is faster.
"""

from __future__ import annotations

from typing import Any

import mygrad as mg
import numpy as np
from mygrad.nnet.activations import relu, sigmoid
from mygrad.nnet.layers import conv_nd
from mygrad.nnet.losses import softmax_crossentropy

from .task import Task
from .update import update


def set_threads(threads: int) -> None:
    """Only NumPy's BLAS has threads; the environment says how many."""
    mg.turn_memory_guarding_off()


def versions() -> dict[str, str]:
    return {"mygrad": mg.__version__}


def cnn(p: Any, x: Any, sizes: Any) -> Any:
    h = relu(conv_nd(x, p["0.weight"], stride=1) + p["0.bias"].reshape(1, -1, 1, 1))
    return sigmoid(h.reshape(len(x), -1) @ p["3.weight"].T + p["3.bias"])[:, 0]


def textcnn(p: Any, ids: Any, sizes: Any) -> Any:
    words, weight = p["embedding.weight"][ids], p["conv.weight"]
    places = words.shape[1] - 2
    h = sum(words[:, t : t + places] @ weight[:, :, t].T for t in range(3)) + p["conv.bias"]
    h = relu(h).reshape(len(ids), -1, sizes["pool"], sizes["filters"]).max(axis=2)
    return sigmoid(
        h.transpose(0, 2, 1).reshape(len(ids), -1) @ p["dense.weight"].T + p["dense.bias"]
    )[:, 0]


def rnn(p: Any, x: Any, sizes: Any) -> Any:
    before = (
        mg.matmul(x.transpose(1, 0, 2), p["rnn.weight_ih_l0"].T)
        + p["rnn.bias_ih_l0"]
        + p["rnn.bias_hh_l0"]
    )
    h, weight = mg.tanh(before[0]), p["rnn.weight_hh_l0"].T
    for t in range(1, len(before)):
        h = mg.tanh(before[t] + h @ weight)
    return h @ p["dense.weight"].T + p["dense.bias"]


def mlp(p: Any, x: Any, sizes: Any) -> Any:
    for i in (0, 2, 4):
        x = mg.tanh(x @ p[f"{i}.weight"].T + p[f"{i}.bias"])
    return (x @ p["6.weight"].T + p["6.bias"])[:, 0]


MODELS = {"cnn": cnn, "textcnn": textcnn, "rnn": rnn, "mlp": mlp}


def mse(output: Any, y: Any) -> Any:
    return mg.mean((output - y) ** 2)


def bce(output: Any, y: Any) -> Any:
    return -mg.mean(y * mg.log(output) + (1 - y) * mg.log(1 - output))


LOSSES = {"mse": mse, "bce": bce, "cross_entropy": softmax_crossentropy}


class Training:
    """One task; MyGrad has one mode."""

    def __init__(self, task: Task, mode: str) -> None:
        self.task = task
        self.model, self.loss = MODELS[task.kind], LOSSES[task.loss]
        self.reset()

    def reset(self) -> None:
        self.p = {name: mg.tensor(p.copy()) for name, p in self.task.parameters.items()}
        self.memory = {
            name: (np.zeros_like(p.data), np.zeros_like(p.data)) for name, p in self.p.items()
        }
        self.steps = 0

    def train(self, steps: int, seed: int) -> tuple[int, float]:
        value = 0.0
        for order in self.task.orders(steps, seed):
            for chosen in order:
                self.steps += 1
                loss = self.loss(
                    self.model(self.p, self.task.x[chosen], self.task.sizes), self.task.y[chosen]
                )
                loss.backward()
                value = float(loss.data)
                grads = {name: p.grad for name, p in self.p.items()}
                update(
                    self.task,
                    {name: p.data for name, p in self.p.items()},
                    grads,
                    self.memory,
                    self.steps,
                )
                for p in self.p.values():
                    p.null_grad()
        return steps, value


def contender(task: Task, mode: str) -> Training:
    return Training(task, mode)
