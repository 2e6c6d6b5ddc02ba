"""MyGrad: tensors on NumPy, with activations and losses of its own. It has one mode."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import mygrad as mg
from mygrad.nnet.activations import relu, sigmoid
from mygrad.nnet.losses import softmax_crossentropy

from .functional import FunctionalRunner
from .task import Array

VERSIONS = {"mygrad": mg.__version__}
mg.turn_memory_guarding_off()  # faster, as its manual says


class MygradRunner(FunctionalRunner):
    """Trains tensors that share the memory of the weights."""

    xp = mg
    plain = MappingProxyType({"ReLU": relu, "Sigmoid": sigmoid, "Tanh": mg.tanh})
    cross_entropy = staticmethod(softmax_crossentropy)

    def reset(self) -> None:
        super().reset()
        self.tensors = {name: mg.tensor(a, copy=False) for name, a in self.p.items()}

    def gradients(self, x: Array, y: Array) -> tuple[Any, dict[str, Array]]:
        loss = self.loss(self.model(self.tensors, x), y)
        loss.backward()
        found = {name: tensor.grad for name, tensor in self.tensors.items()}
        for tensor in self.tensors.values():
            tensor.null_grad()
        return loss.data, found


RUNNERS = (MygradRunner,)
