"""HIPS autograd: NumPy functions, differentiated as they run. It has one mode."""

from __future__ import annotations

from importlib.metadata import version
from types import MappingProxyType
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import value_and_grad

from .functional import FunctionalRunner
from .task import Array

VERSIONS = {"autograd": version("autograd")}


class AutogradRunner(FunctionalRunner):
    """Differentiates a function of the weights."""

    xp = anp
    #: the derivative of `where` at 0 is 0, as everywhere, that of `maximum` one half
    plain = MappingProxyType(
        {
            "ReLU": lambda x: anp.where(x > 0, x, np.float32(0)),
            "Sigmoid": lambda x: 1 / (1 + anp.exp(-x)),
            "Tanh": anp.tanh,
        }
    )

    def prepare(self) -> None:
        super().prepare()
        self._value_and_grad = value_and_grad(lambda p, x, y: self.loss(self.model(p, x), y))

    def gradients(self, x: Array, y: Array) -> Any:
        return self._value_and_grad(self.p, x, y)

    def detached(self, x: Any) -> Any:
        """Its gradient of a maximum is float64, and all before it would be, too."""
        return getattr(x, "_value", x)


RUNNERS = (AutogradRunner,)
