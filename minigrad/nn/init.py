"""Initial values of parameters, under PyTorch's names: each function fills a `Variable` in place.

It returns the `Variable`. `seed` is an integer, a `numpy.random.Generator` to draw on, or None for
the library's own generator (see `seeds`).
"""

from __future__ import annotations

import math

import numpy as np

from ..checks import number
from ..errors import ShapeError
from ..graph.node import Constant, Variable
from ..seeds import Seed, generator, manual_seed

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
    """Raise `TypeError`, before anything is drawn, for what is no leaf or no number."""
    if not isinstance(parameter, Variable | Constant):
        raise TypeError(f"init: a {type(parameter).__name__}; a Variable was expected")
    number("init", **numbers)


def fans(parameter: Variable) -> tuple[int, int]:
    """The numbers of inputs and outputs of one unit; a weight is (out, in, *kernel_size)."""
    _check(parameter)
    if parameter.ndim < 2 or not parameter.size:
        raise ShapeError(
            f"init: {parameter.brief} has no fan; at least two axes (out, in) were expected"
        )
    field = math.prod(parameter.shape[2:])
    return parameter.shape[1] * field, parameter.shape[0] * field


def uniform_(parameter: Variable, a: float = 0.0, b: float = 1.0, *, seed: Seed = None) -> Variable:
    """Draw from the uniform distribution on [a, b)."""
    _check(parameter, a=a, b=b)
    if not a <= b:
        raise ValueError(f"init: a={a} and b={b}; a ≤ b was expected")
    parameter.value = generator(seed).uniform(a, b, parameter.shape)
    return parameter


def normal_(
    parameter: Variable, mean: float = 0.0, std: float = 1.0, *, seed: Seed = None
) -> Variable:
    """Draw from the normal distribution with this mean and standard deviation."""
    _check(parameter, mean=mean, std=std)
    if not std >= 0:
        raise ValueError(f"init: std={std}; a number ≥ 0 was expected")
    parameter.value = generator(seed).normal(mean, std, parameter.shape)
    return parameter


def constant_(parameter: Variable, value: float) -> Variable:
    """Fill with one number."""
    _check(parameter, value=value)
    parameter.value[...] = value
    return parameter


def zeros_(parameter: Variable) -> Variable:
    """Fill with zeros."""
    return constant_(parameter, 0.0)


def ones_(parameter: Variable) -> Variable:
    """Fill with ones."""
    return constant_(parameter, 1.0)


def xavier_uniform_(parameter: Variable, gain: float = 1.0, *, seed: Seed = None) -> Variable:
    """Uniform with variance gain² · 2 / (fan in + fan out) (Glorot & Bengio 2010).

    Values and gradients keep their scale from layer to layer.
    """
    _check(parameter, gain=gain)
    limit = gain * math.sqrt(6 / sum(fans(parameter)))
    return uniform_(parameter, -limit, limit, seed=seed)


def xavier_normal_(parameter: Variable, gain: float = 1.0, *, seed: Seed = None) -> Variable:
    """Normal with variance gain² · 2 / (fan in + fan out) (Glorot & Bengio 2010)."""
    _check(parameter, gain=gain)
    return normal_(parameter, 0.0, gain * math.sqrt(2 / sum(fans(parameter))), seed=seed)


def kaiming_uniform_(
    parameter: Variable, gain: float = math.sqrt(2), *, seed: Seed = None
) -> Variable:
    """Uniform with variance gain² / fan in; the default gain is for ReLU (He et al. 2015)."""
    _check(parameter, gain=gain)
    limit = gain * math.sqrt(3 / fans(parameter)[0])
    return uniform_(parameter, -limit, limit, seed=seed)


def kaiming_normal_(
    parameter: Variable, gain: float = math.sqrt(2), *, seed: Seed = None
) -> Variable:
    """Normal with variance gain² / fan in; the default gain is for ReLU (He et al. 2015)."""
    _check(parameter, gain=gain)
    return normal_(parameter, 0.0, gain / math.sqrt(fans(parameter)[0]), seed=seed)


def orthogonal_(parameter: Variable, gain: float = 1.0, *, seed: Seed = None) -> Variable:
    """Orthonormal rows or columns, whichever are fewer, times gain (Saxe et al. 2014)."""
    fans(parameter)
    _check(parameter, gain=gain)
    rows, columns = parameter.shape[0], math.prod(parameter.shape[1:])
    normal = generator(seed).normal(size=(max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(normal)
    q *= np.sign(np.diag(r))  # makes the distribution uniform over all orthogonal matrices
    parameter.value = gain * (q if rows >= columns else q.T).reshape(parameter.shape)
    return parameter
