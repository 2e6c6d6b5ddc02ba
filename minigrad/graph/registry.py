"""Where operators are found: by name, and by the NumPy function that they implement."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])

#: What users call, by name: rules, and functions that call several.
operators: dict[str, Callable[..., Any]] = {}
_by_name: dict[str, Any] = {}
_by_numpy: dict[Any, Callable[..., Any]] = {}


def register(name: str, rule: Any) -> None:
    """Make a rule known by its name; one with a dot, of a module, is called by its functions."""
    _by_name[name] = rule
    if name.isidentifier():
        operators[name] = rule


def by_name(name: str) -> Any:
    """The `Rule` of that name."""
    return _by_name[name]


def all_rules() -> dict[str, Any]:
    """Every registered `Rule` by its name; generated tests and documentation go through it."""
    return dict(_by_name)


def implements(*functions: Any) -> Callable[[F], F]:
    """Decorator: `np.f(node)` calls the decorated operator."""

    def add(operator: F) -> F:
        _by_numpy.update(dict.fromkeys(functions, operator))
        return operator

    return add


def public(*functions: Any) -> Callable[[F], F]:
    """Decorator: the function is an operator of `mg`, and implements NumPy `functions`."""

    def add(operator: F) -> F:
        operators[operator.__name__] = operator
        return implements(*functions)(operator)

    return add


def by_numpy(function: Any) -> Callable[..., Any] | None:
    """The operator that implements a NumPy function; None where there is none."""
    return _by_numpy.get(function)


def numpy_name(function: Any) -> str:
    """The name of a NumPy function as users write it: np.sum, np.linalg.norm."""
    name: str = function.__name__
    own = getattr(np, name, None) is function
    module = getattr(function, "__module__", None) or ("numpy" if own else "")
    package, _, rest = module.partition(".")
    return ".".join(filter(None, ("np" if package == "numpy" else package, rest, name)))
