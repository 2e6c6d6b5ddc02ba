"""HIPS autograd: NumPy functions, differentiated as they run. It has one mode."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import value_and_grad

from .functional import FunctionalRunner
from .task import Array

VERSIONS = {"autograd": version("autograd")}


class AutogradRunner(FunctionalRunner):
    """A convolution is one product of matrices: the image's windows need no gradient."""

    xp = anp

    def prepare(self) -> None:
        super().prepare()
        self._value_and_grad = value_and_grad(lambda p, x, y: self.loss(self.model(p, x), y))

    def gradients(self, x: Array, y: Array) -> Any:
        return self._value_and_grad(self.p, x, y)

    def relu(self, x: Any) -> Any:
        """With derivative 0 at 0, as everywhere; that of `maximum` is one half there."""
        return anp.where(x > 0, x, np.float32(0))

    def detached(self, x: Any) -> Any:
        """Its gradient of a maximum is float64, and all before it would be, too."""
        return getattr(x, "_value", x)

    def cnn(self, p: Any, x: Array) -> Any:
        _, filters, k, _ = self.task.options
        windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(2, 3))
        rows = windows.transpose(0, 2, 3, 4, 5, 1).reshape(-1, k * k * x.shape[1])
        h = self.relu(rows @ anp.reshape(p["0.weight"], (-1, filters)) + p["0.bias"])
        return self.sigmoid(self.dense(p, "3", h.reshape((len(x), -1))))[:, 0]


RUNNERS = (AutogradRunner,)
