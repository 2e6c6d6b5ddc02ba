"""PyTorch in its own best style: `nn.Module`s and `torch.optim`, as the manual shows it.

Modes of training: "eager" with the optimiser's defaults, "fused" with its one-kernel variant,
"compile" with the loss compiled by `torch.compile` beside the fused optimiser (which needs a C++
compiler). Modes of an operator: "NCHW" and "channels-last".
"""

from __future__ import annotations

import os
import shutil
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from .task import Array, OperatorRunner, Runner, Task, Training, model_and_loss

VERSIONS = {"torch": torch.__version__}


class TorchTextCNN(nn.Module):
    """As `minigrad.models.TextCNN`, with the same names of parameters."""

    def __init__(self, vocabulary: int, width: int, filters: int, pool: int, length: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.conv = nn.Conv1d(width, filters, 3)
        self.pool = nn.MaxPool1d(pool)
        self.dense = nn.Linear(filters * ((length - 2) // pool), 1)

    def forward(self, ids: Any) -> Any:
        features = self.pool(torch.relu(self.conv(self.embedding(ids).transpose(1, 2))))
        return torch.sigmoid(self.dense(features.flatten(1)))


class TorchRowRNN(nn.Module):
    """As `minigrad.models.RowRNN`."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.rnn = nn.RNN(width, hidden, batch_first=True)
        self.dense = nn.Linear(hidden, 10)

    def forward(self, x: Any) -> Any:
        return self.dense(self.rnn(x)[0][:, -1])


_OWN = {"textcnn": TorchTextCNN, "rnn": TorchRowRNN}


def _model(task: Task) -> tuple[Any, Any]:
    """The model at its initial weights, and its loss; a layer has none."""
    make, loss = model_and_loss(task.kind, nn, F, _OWN)
    model = make(*task.options)
    _set_weights(model, task)
    return model, loss


def _set_weights(model: Any, task: Task) -> None:
    model.load_state_dict({name: torch.from_numpy(p) for name, p in task.parameters.items()})


def _tensor(array: Array) -> torch.Tensor:
    tensor = torch.from_numpy(array)
    return tensor.long() if tensor.dtype == torch.int32 else tensor  # as PyTorch's loaders do


class TorchTraining(Training):
    """A training job."""

    def __init__(self, task: Task, mode: str) -> None:
        super().__init__(task, mode)
        compilers = (os.environ.get("CXX", ""), "g++", "clang++", "c++")
        if mode == "compile" and not any(map(shutil.which, compilers)):
            raise RuntimeError("torch.compile needs a C++ compiler, and there is none")
        self.model, self._loss = _model(task)
        optimizer: Any = torch.optim.Adam if task.optimizer == "adam" else torch.optim.SGD
        fused = mode != "eager" or None  # None: as PyTorch chooses
        self.optimizer = optimizer(self.model.parameters(), lr=task.lr, fused=fused)
        self.loss = torch.compile(self._compute) if mode == "compile" else self._compute
        self.x, self.y = (_tensor(task.arrays[name]) for name in "xy")

    def _compute(self, x: Any, y: Any) -> Any:
        output = self.model(x)
        return self._loss(output[:, 0] if y.is_floating_point() else output, y)

    def reset(self) -> None:
        _set_weights(self.model, self.task)
        for state in self.optimizer.state.values():
            for value in state.values():
                value.zero_()

    def step(self, chosen: Array) -> Any:
        index = torch.from_numpy(chosen)
        self.optimizer.zero_grad()
        loss = self.loss(self.x.index_select(0, index), self.y.index_select(0, index))
        loss.backward()
        self.optimizer.step()
        return loss.detach()


class TorchOperator(OperatorRunner):
    """An operator."""

    def __init__(self, task: Task, mode: str) -> None:
        super().__init__(task, mode)
        self.model, self.loss = _model(task)
        self.x = _tensor(task.arrays["x"])
        self.y = _tensor(task.arrays["y"]) if "y" in task.arrays else None
        if mode == "channels-last":
            self.model.to(memory_format=torch.channels_last)
            self.x = self.x.to(memory_format=torch.channels_last)
        self.inputs = list(self.model.parameters())
        if self.x.is_floating_point():
            self.inputs.append(self.x.requires_grad_())
        self.forward()
        self.grad = torch.ones_like(self.result)  # in the result's own layout

    def forward(self) -> list[Any]:
        result = self.model(self.x)
        result = result[0] if isinstance(result, tuple) else result
        self.result = self.loss(result, self.y) if self.loss else result
        return [self.result.detach()]

    def backward(self) -> Any:
        return torch.autograd.grad(self.result, self.inputs, self.grad, retain_graph=True)


def runner(task: Task, mode: str) -> Runner:
    """What the worker runs."""
    return TorchOperator(task, mode) if task.direction else TorchTraining(task, mode)
