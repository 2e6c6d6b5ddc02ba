"""First values of parameters. Each function fills a `Variable` in place and returns it, under
PyTorch's names.

`seed` is an integer, a `numpy.random.Generator` to draw on, or None for the library's own generator
(see `seeds`).
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..graph.node import Constant, Variable
from ..seeds import generator, manual_seed

__all__ = [
    "constant_",
    "fans",
    "generator",
    "kaiming_normal_",
    "kaiming_uniform_",
    "manual_seed",
    "normal_",
    "ones_",
    "orthogonal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]


def _check(parameter: Variable, **numbers: float) -> None:
    """Raise an error, before anything is drawn, unless this is a leaf to fill and those are
    numbers.
    """
    if not isinstance(parameter, Variable | Constant):
        raise TypeError(f"init: a {type(parameter).__name__}; a Variable was expected")
    for name, value in numbers.items():
        if not isinstance(value, Real):
            raise TypeError(f"init: {name}={value!r}; a number was expected")


def fans(parameter: Variable) -> tuple[int, int]:
    """Numbers that go into and come out of one unit: a weight is (out, in, kernel size …), as in
    PyTorch.
    """
    _check(parameter)
    if parameter.ndim < 2 or not parameter.size:
        raise ShapeError(
            f"init: {parameter!r} has no fan; at least two axes (out, in) were expected"
        )
    field = math.prod(parameter.shape[2:])
    return parameter.shape[1] * field, parameter.shape[0] * field


def uniform_(parameter: Variable, a: float = 0.0, b: float = 1.0, *, seed: Any = None) -> Variable:
    """Uniform on [a, b)."""
    _check(parameter, a=a, b=b)
    if not a <= b:
        raise ValueError(f"init: a={a} and b={b}; a ≤ b was expected")
    parameter.value = generator(seed).uniform(a, b, parameter.shape)
    return parameter


def normal_(
    parameter: Variable, mean: float = 0.0, std: float = 1.0, *, seed: Any = None
) -> Variable:
    """Normal with this mean and standard deviation."""
    _check(parameter, mean=mean, std=std)
    if not std >= 0:
        raise ValueError(f"init: std={std}; a number ≥ 0 was expected")
    parameter.value = generator(seed).normal(mean, std, parameter.shape)
    return parameter


def constant_(parameter: Variable, value: float) -> Variable:
    """The same number everywhere."""
    _check(parameter, value=value)
    parameter.value[...] = value
    return parameter


def zeros_(parameter: Variable) -> Variable:
    """Zeros."""
    return constant_(parameter, 0.0)


def ones_(parameter: Variable) -> Variable:
    """Ones."""
    return constant_(parameter, 1.0)


def xavier_uniform_(parameter: Variable, gain: float = 1.0, *, seed: Any = None) -> Variable:
    """Uniform with variance 2 / (fan in + fan out), which keeps the scale of values and gradients
    (Glorot & Bengio 2010).
    """
    _check(parameter, gain=gain)
    limit = gain * math.sqrt(6 / sum(fans(parameter)))
    return uniform_(parameter, -limit, limit, seed=seed)


def xavier_normal_(parameter: Variable, gain: float = 1.0, *, seed: Any = None) -> Variable:
    """Normal with variance 2 / (fan in + fan out) (Glorot & Bengio 2010)."""
    _check(parameter, gain=gain)
    return normal_(parameter, 0.0, gain * math.sqrt(2 / sum(fans(parameter))), seed=seed)


def kaiming_uniform_(
    parameter: Variable, gain: float = math.sqrt(2), *, seed: Any = None
) -> Variable:
    """Uniform with variance gain² / fan in; the default gain is for ReLU (He et al. 2015)."""
    _check(parameter, gain=gain)
    limit = gain * math.sqrt(3 / fans(parameter)[0])
    return uniform_(parameter, -limit, limit, seed=seed)


def kaiming_normal_(
    parameter: Variable, gain: float = math.sqrt(2), *, seed: Any = None
) -> Variable:
    """Normal with variance gain² / fan in; the default gain is for ReLU (He et al. 2015)."""
    _check(parameter, gain=gain)
    return normal_(parameter, 0.0, gain / math.sqrt(fans(parameter)[0]), seed=seed)


def orthogonal_(parameter: Variable, gain: float = 1.0, *, seed: Any = None) -> Variable:
    """Orthonormal rows or columns, whichever are fewer, times gain (Saxe et al. 2014)."""
    fans(parameter)
    _check(parameter, gain=gain)
    rows, columns = parameter.shape[0], math.prod(parameter.shape[1:])
    normal = generator(seed).normal(size=(max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(normal)
    q *= np.sign(np.diag(r))  # makes the distribution uniform over all orthogonal matrices
    parameter.value = gain * (q if rows >= columns else q.T).reshape(parameter.shape)
    return parameter
