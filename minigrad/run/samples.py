"""Samples: an array, or a tuple or dict of arrays, whose first axes are equally long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: an array, or a tuple or dict of arrays (or of nodes)
Samples = Any


def each(function: Callable[..., Any], *samples: Samples) -> Samples:
    """The results of a function of the arrays of some samples, in the same structure."""
    first = samples[0]
    if isinstance(first, dict):
        return {name: function(*(one[name] for one in samples)) for name in first}
    if isinstance(first, tuple):
        return tuple(function(*some) for some in zip(*samples, strict=True))
    return function(*samples)


def call(function: Callable[..., Any], samples: Samples) -> Any:
    """`function(x)`, `function(*x)` of a tuple or `function(**x)` of a dict."""
    if isinstance(samples, dict):
        return function(**samples)
    return function(*arrays(samples))


def arrays(samples: Samples) -> list[Any]:
    """The arrays as a list."""
    if isinstance(samples, dict):
        return list(samples.values())
    return list(samples) if isinstance(samples, tuple) else [samples]


def named(**samples: Samples) -> dict[str, Any]:
    """All arrays by name: `x` is "x" alone, or "x0", "x1" and so on."""
    found: dict[str, Any] = {}
    for name, some in samples.items():
        several = isinstance(some, tuple | dict)
        found |= {f"{name}{i}" if several else name: a for i, a in enumerate(arrays(some))}
    return found


def count(samples: Samples) -> int:
    """How many samples there are."""
    return len(arrays(samples)[0])


def take(samples: Samples, chosen: Any) -> Samples:
    """The samples with these indices."""
    return each(lambda array: array[chosen], samples)


def kinds(samples: Samples) -> tuple[Any, ...]:
    """Structure, and shape and dtype of one sample in each array."""
    names = tuple(samples) if isinstance(samples, dict) else type(samples) is tuple
    return names, *((array.shape[1:], array.dtype) for array in arrays(samples))
