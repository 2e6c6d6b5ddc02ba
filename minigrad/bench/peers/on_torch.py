"""PyTorch in its own best style: `nn.Module`s and `torch.optim`, as the manual shows it.

Modes of training: "eager" with the optimiser's defaults, "fused" with its one-kernel variant,
"channels-last" with that and images in this layout, "compile" with the loss compiled by
`torch.compile` beside the fused optimiser (which needs a C++ compiler). Modes of an operator:
"NCHW" and "channels-last".
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from .models import model_and_loss
from .task import Array, Runner

VERSIONS = {"torch": torch.__version__}


FUNCTIONS = SimpleNamespace(**vars(torch) | vars(functional))


def _tensor(array: Array) -> Any:
    if array is None:  # an operator without a target
        return None
    tensor = torch.from_numpy(array)
    return tensor.long() if tensor.dtype == torch.int32 else tensor  # as PyTorch's loaders do


class TorchRunner(Runner):
    """A model, or a layer, at its initial weights, and its loss."""

    def prepare(self) -> None:
        make, self.criterion = model_and_loss(self.task.kind, nn, FUNCTIONS)
        self.model = make(*self.task.options)
        self.load_weights()
        self.x, self.y = map(_tensor, map(self.task.arrays.get, "xy"))
        if self.mode == "channels-last":
            self.model.to(memory_format=torch.channels_last)
            self.x = self.x.to(memory_format=torch.channels_last)

    def load_weights(self) -> None:
        weights = self.task.parameters.items()
        self.model.load_state_dict({name: torch.from_numpy(p) for name, p in weights})


class TorchModel(TorchRunner):
    """A training job, or a model to look at."""

    def prepare(self) -> None:
        super().prepare()
        optimizer: Any = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[self.task.optimizer]
        fused = self.mode != "eager" or None  # None: as PyTorch chooses
        self.optimizer = optimizer(self.model.parameters(), lr=self.task.lr, fused=fused)
        self.loss = torch.compile(self._compute) if self.mode == "compile" else self._compute
        self.model.train(not self.task.direction)

    def _forward(self, x: Any) -> Any:
        output = self.model(x)
        return output[:, 0] if output.shape[1] == 1 else output

    def _compute(self, x: Any, y: Any) -> Any:
        return self.criterion(self._forward(x), y)

    @torch.no_grad()
    def output(self, batch: slice) -> Any:
        return self._forward(self.x[batch])

    @torch.no_grad()
    def judged(self, batch: slice) -> Any:
        output, y = self._forward(self.x[batch]), self.y[batch]
        return self.criterion(output, y), self.right(output, y)

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


RUNNERS = TorchModel, TorchOperator
