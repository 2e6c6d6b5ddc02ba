"""PyTorch in its own best style: `nn.Module`s and `torch.optim`, as the manual shows it.

Modes of training: "eager" with the optimiser's defaults, "fused" with its one-kernel variant,
"compile" with the loss compiled by `torch.compile` beside the fused optimiser (which needs a C++
compiler). Modes of an operator: "NCHW" and "channels-last".
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from .task import Array, Runner, model_and_loss

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


def _tensor(array: Array) -> Any:
    if array is None:  # an operator without a target
        return None
    tensor = torch.from_numpy(array)
    return tensor.long() if tensor.dtype == torch.int32 else tensor  # as PyTorch's loaders do


class TorchRunner(Runner):
    """A model, or a layer, at its initial weights, and its loss."""

    def prepare(self) -> None:
        own = {"textcnn": TorchTextCNN, "rnn": TorchRowRNN}
        make, self.criterion = model_and_loss(self.task.kind, nn, F, **own)
        self.model = make(*self.task.options)
        self.load_weights()
        self.x, self.y = map(_tensor, map(self.task.arrays.get, "xy"))

    def load_weights(self) -> None:
        weights = self.task.parameters.items()
        self.model.load_state_dict({name: torch.from_numpy(p) for name, p in weights})


class TorchTraining(TorchRunner):
    """A training job."""

    def prepare(self) -> None:
        super().prepare()
        optimizer: Any = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[self.task.optimizer]
        fused = self.mode != "eager" or None  # None: as PyTorch chooses
        self.optimizer = optimizer(self.model.parameters(), lr=self.task.lr, fused=fused)
        self.loss = torch.compile(self._compute) if self.mode == "compile" else self._compute

    def _compute(self, x: Any, y: Any) -> Any:
        output = self.model(x)
        return self.criterion(output[:, 0] if y.is_floating_point() else output, y)

    def reset(self) -> None:
        self.load_weights()
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


class TorchOperator(TorchRunner):
    """An operator."""

    def prepare(self) -> None:
        super().prepare()
        if self.mode == "channels-last":
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
        self.result = self.criterion(result, self.y) if self.criterion else result
        return [self.result.detach()]

    def backward(self) -> Any:
        return torch.autograd.grad(self.result, self.inputs, self.grad, retain_graph=True)


RUNNERS = TorchTraining, TorchOperator
