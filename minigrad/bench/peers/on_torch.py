"""PyTorch, in its own best style: `nn.Module`s and `torch.optim`, as the manual shows it.

Modes: "eager" with the optimiser's defaults, "fused" with the optimiser's one-kernel variant,
"compile" with the loss compiled by `torch.compile` beside the fused optimiser (which needs a C++
compiler).
"""

from __future__ import annotations

import os
import shutil
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .task import Task


def set_threads(threads: int) -> None:
    torch.set_num_threads(threads)


def versions() -> dict[str, str]:
    return {"torch": torch.__version__}


class TextCNN(nn.Module):
    """As `minigrad.models.TextCNN`, with the same parameter names."""

    def __init__(self, vocabulary: int, width: int, filters: int, pool: int, length: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.conv = nn.Conv1d(width, filters, 3)
        self.pool = nn.MaxPool1d(pool)
        self.dense = nn.Linear(filters * ((length - 2) // pool), 1)

    def forward(self, ids: Any) -> Any:
        features = self.pool(torch.relu(self.conv(self.embedding(ids).transpose(1, 2))))
        return torch.sigmoid(self.dense(features.flatten(1)))


class RowRNN(nn.Module):
    """As `minigrad.models.RowRNN`."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.rnn = nn.RNN(width, hidden, batch_first=True)
        self.dense = nn.Linear(hidden, 10)

    def forward(self, x: Any) -> Any:
        return self.dense(self.rnn(x)[0][:, -1])


def cnn(channels: int, filters: int, kernel: int, pixels: int) -> nn.Module:
    flat = filters * (pixels - kernel + 1) ** 2
    return nn.Sequential(
        nn.Conv2d(channels, filters, kernel),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(flat, 1),
        nn.Sigmoid(),
    )


def mlp(inputs: int, hidden: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(inputs, hidden),
        nn.Tanh(),
        nn.Linear(hidden, hidden),
        nn.Tanh(),
        nn.Linear(hidden, hidden),
        nn.Tanh(),
        nn.Linear(hidden, 1),
    )


MODELS = {"cnn": cnn, "textcnn": TextCNN, "rnn": RowRNN, "mlp": mlp}
LOSSES = {"mse": F.mse_loss, "bce": F.binary_cross_entropy, "cross_entropy": F.cross_entropy}


class Training:
    """One task in one mode."""

    def __init__(self, task: Task, mode: str) -> None:
        if mode == "compile" and not any(
            map(shutil.which, (os.environ.get("CXX", ""), "g++", "clang++", "c++"))
        ):
            raise RuntimeError("torch.compile needs a C++ compiler, and there is none")
        self.task = task
        self.model = MODELS[task.kind](**task.sizes)
        optimizer = torch.optim.Adam if task.optimizer == "adam" else torch.optim.SGD
        self.optimizer = optimizer(
            self.model.parameters(), lr=task.lr, **({} if mode == "eager" else {"fused": True})
        )
        self.loss = torch.compile(self._loss) if mode == "compile" else self._loss
        self.x, self.y = torch.from_numpy(task.x), torch.from_numpy(task.y)
        if self.x.dtype == torch.int32:
            self.x = self.x.long()  # what PyTorch's own loaders give
        self.reset()

    def _loss(self, x: Any, y: Any) -> Any:
        output = self.model(x)
        return LOSSES[self.task.loss](
            output if self.task.loss == "cross_entropy" else output[:, 0], y
        )

    def reset(self) -> None:
        self.model.load_state_dict(
            {name: torch.from_numpy(p) for name, p in self.task.parameters.items()}
        )
        for memory in self.optimizer.state.values():
            for value in memory.values():
                value.zero_()

    def train(self, steps: int, seed: int) -> tuple[int, float]:
        loss = torch.zeros(())
        for order in self.task.orders(steps, seed):
            for chosen in torch.from_numpy(order):
                self.optimizer.zero_grad()
                loss = self.loss(self.x.index_select(0, chosen), self.y.index_select(0, chosen))
                loss.backward()
                self.optimizer.step()
        return steps, float(loss.detach())


def contender(task: Task, mode: str) -> Training:
    return Training(task, mode)


class Kernel:
    """One operator, forward or backward alone, on NCHW arrays or on channels-last ones."""

    def __init__(self, kernel: dict[str, Any], mode: str) -> None:
        self.name, self.options, self.way = kernel["operator"], kernel["options"], kernel["way"]
        arrays = [torch.from_numpy(np.load(path)) for path in kernel["arrays"]]
        if mode == "channels-last":
            arrays = [
                a.contiguous(memory_format=torch.channels_last) if a.ndim == 4 else a
                for a in arrays
            ]
        self.arrays = [a.long() if a.dtype == torch.int32 else a for a in arrays]
        self.inputs = [a.requires_grad_() for a in self.arrays if a.is_floating_point()]
        self.layer = None
        if self.name in ("rnn", "lstm"):
            x, *parameters = self.arrays
            self.layer = getattr(nn, self.name.upper())(x.shape[2], parameters[1].shape[1])
            for mine, given in zip(self.layer.parameters(), parameters, strict=True):
                mine.data = given.data
            self.inputs = [x, *self.layer.parameters()]
        self.result = self._forward()
        self.grad = torch.ones_like(self.result)  # in the result's own layout

    def _forward(self) -> Any:
        a, o = self.arrays, self.options
        if self.layer is not None:
            return self.layer(a[0])[0]
        if self.name == "conv2d":
            return F.conv2d(*a, **o)
        if self.name == "max_pool2d":
            return F.max_pool2d(*a, **o)
        if self.name == "cross_entropy":
            return F.cross_entropy(*a)
        if self.name == "linear":
            return F.linear(*a)
        return F.embedding(*a)

    def run(self, times: int) -> float:
        if self.way == "forward":
            for _ in range(times):
                self.result = self._forward()
            return float(self.result.detach().abs().double().mean())
        for _ in range(times):
            grads = torch.autograd.grad(self.result, self.inputs, self.grad, retain_graph=True)
        return sum(float(g.abs().double().mean()) for g in grads)


def kernel(kernel: dict[str, Any], mode: str) -> Kernel:
    return Kernel(kernel, mode)
