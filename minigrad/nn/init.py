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
    """The numbers of inputs and outputs of one unit; a weight is (out, in, *kernel_size).

    >>> mg.nn.init.fans(mg.Variable(np.zeros((8, 3, 5, 5))))
    (75, 200)
    """
    _check(parameter)
    if parameter.ndim < 2 or not parameter.size:
        raise ShapeError(
            f"init: {parameter.brief} has no fan; at least two axes (out, in) were expected"
        )
    field = math.prod(parameter.shape[2:])
    return parameter.shape[1] * field, parameter.shape[0] * field


def uniform_(parameter: Variable, a: float = 0.0, b: float = 1.0, *, seed: Seed = None) -> Variable:
    """Draw from the uniform distribution on [a, b).

    >>> w = mg.nn.init.uniform_(mg.Variable(np.zeros(100)), -0.1, 0.1, seed=0)
    >>> bool(abs(w.value).max() <= 0.1)
    True
    """
    _check(parameter, a=a, b=b)
    if not a <= b:
        raise ValueError(f"init: a={a} and b={b}; a ≤ b was expected")
    parameter.value = generator(seed).uniform(a, b, parameter.shape)
    return parameter


def normal_(
    parameter: Variable, mean: float = 0.0, std: float = 1.0, *, seed: Seed = None
) -> Variable:
    """Draw from the normal distribution with this mean and standard deviation.

    >>> w = mg.nn.init.normal_(mg.Variable(np.zeros((200, 50))), std=0.1, seed=0)
    >>> bool(abs(w.value.std() - 0.1) < 0.01)
    True
    """
    _check(parameter, mean=mean, std=std)
    if not std >= 0:
        raise ValueError(f"init: std={std}; a number ≥ 0 was expected")
    parameter.value = generator(seed).normal(mean, std, parameter.shape)
    return parameter


def constant_(parameter: Variable, value: float) -> Variable:
    """Fill with one number.

    >>> mg.nn.init.constant_(mg.Variable(np.zeros(2)), 0.5)
    <Variable (2,) float32: [0.5, 0.5]>
    """
    _check(parameter, value=value)
    parameter.value[...] = value
    return parameter


def zeros_(parameter: Variable) -> Variable:
    """Fill with zeros.

    >>> mg.nn.init.zeros_(mg.Variable([1.0, 2.0]))
    <Variable (2,) float32: [0., 0.]>
    """
    return constant_(parameter, 0.0)


def ones_(parameter: Variable) -> Variable:
    """Fill with ones.

    >>> mg.nn.init.ones_(mg.Variable(np.zeros(2)))
    <Variable (2,) float32: [1., 1.]>
    """
    return constant_(parameter, 1.0)


def xavier_uniform_(parameter: Variable, gain: float = 1.0, *, seed: Seed = None) -> Variable:
    """Uniform with variance gain² · 2 / (fan in + fan out) (Glorot & Bengio 2010).

    Values and gradients keep their scale from layer to layer.

    >>> w = mg.nn.init.xavier_uniform_(mg.Variable(np.zeros((200, 50))), seed=0)
    >>> bool(abs(w.value).max() <= np.sqrt(6 / 250))
    True
    """
    _check(parameter, gain=gain)
    limit = gain * math.sqrt(6 / sum(fans(parameter)))
    return uniform_(parameter, -limit, limit, seed=seed)


def xavier_normal_(parameter: Variable, gain: float = 1.0, *, seed: Seed = None) -> Variable:
    """Normal with variance gain² · 2 / (fan in + fan out) (Glorot & Bengio 2010).

    >>> w = mg.nn.init.xavier_normal_(mg.Variable(np.zeros((200, 50))), seed=0)
    >>> bool(abs(w.value.std() - np.sqrt(2 / 250)) < 0.01)
    True
    """
    _check(parameter, gain=gain)
    return normal_(parameter, 0.0, gain * math.sqrt(2 / sum(fans(parameter))), seed=seed)


def kaiming_uniform_(
    parameter: Variable, gain: float = math.sqrt(2), *, seed: Seed = None
) -> Variable:
    """Uniform with variance gain² / fan in; the default gain is for ReLU (He et al. 2015).

    >>> w = mg.nn.init.kaiming_uniform_(mg.Variable(np.zeros((200, 50))), seed=0)
    >>> bool(abs(w.value).max() <= np.sqrt(6 / 50))
    True
    """
    _check(parameter, gain=gain)
    limit = gain * math.sqrt(3 / fans(parameter)[0])
    return uniform_(parameter, -limit, limit, seed=seed)


def kaiming_normal_(
    parameter: Variable, gain: float = math.sqrt(2), *, seed: Seed = None
) -> Variable:
    """Normal with variance gain² / fan in; the default gain is for ReLU (He et al. 2015).

    >>> w = mg.nn.init.kaiming_normal_(mg.Variable(np.zeros((200, 50))), seed=0)
    >>> bool(abs(w.value.std() - np.sqrt(2 / 50)) < 0.01)
    True
    """
    _check(parameter, gain=gain)
    return normal_(parameter, 0.0, gain / math.sqrt(fans(parameter)[0]), seed=seed)


def orthogonal_(parameter: Variable, gain: float = 1.0, *, seed: Seed = None) -> Variable:
    """Orthonormal rows or columns, whichever are fewer, times gain (Saxe et al. 2014).

    >>> w = mg.nn.init.orthogonal_(mg.Variable(np.zeros((3, 3))), seed=0)
    >>> np.allclose((w @ w.T).value, np.eye(3), atol=1e-6)
    True
    """
    fans(parameter)
    _check(parameter, gain=gain)
    rows, columns = parameter.shape[0], math.prod(parameter.shape[1:])
    normal = generator(seed).normal(size=(max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(normal)
    q *= np.sign(np.diag(r))  # makes the distribution uniform over all orthogonal matrices
    parameter.value = gain * (q if rows >= columns else q.T).reshape(parameter.shape)
    return parameter
