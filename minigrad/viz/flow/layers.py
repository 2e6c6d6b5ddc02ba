"""Who is who in a graph whose gradients are looked at: nodes, parameters and layers, by names that
stay the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ...graph.node import GraphNode, Variable
from ..scene.measure import Stats
from ..scene.words import node_label


def models_of(order: Iterable[GraphNode]) -> list[Any]:
    """The outermost modules that made nodes of the order, in the order of their first node."""
    roots = {id(node.scope[0]): node.scope[0] for node in order if node.inputs and node.scope}
    return [root for root in roots.values() if callable(getattr(root, "named_parameters", None))]


def parameters_in(order: Sequence[GraphNode], model: Any = None) -> dict[str, Variable]:
    """The parameters of `model` (by default: of the modules that made the graph) under their dotted
    names.

    Variables of the graph that belong to no such module follow under their own name, or as `n3`,
    their place in the order; a name that is taken already gets that place added.
    """
    found: dict[str, Variable] = {}
    place = {id(node): i for i, node in enumerate(order)}
    known: set[int] = set()
    for root in [model] if model is not None else models_of(order):
        for name, parameter in root.named_parameters():
            if id(parameter) not in known:
                known.add(id(parameter))
                found[
                    name if name not in found else f"{name} (n{place.get(id(parameter), '?')})"
                ] = parameter
    for i, node in enumerate(order):
        if isinstance(node, Variable) and id(node) not in known:
            own = node.name or f"n{i}"
            found[own if own not in found else f"{own} (n{i})"] = node
    return found


def node_names(order: Sequence[GraphNode], parameters: Mapping[str, Variable]) -> list[str]:
    """`n3 (σ)`: place in the topological order and label, the same for every graph that is built
    the same way.
    """
    known = {id(parameter): name for name, parameter in parameters.items()}
    return [f"n{i} ({node_label(node, known.get(id(node)))})" for i, node in enumerate(order)]


def layer_kinds(models: Iterable[Any]) -> dict[str, str]:
    """Dotted name of each inner module -> its class; empty where a model does not say."""
    kinds: dict[str, str] = {}
    for model in models:
        ask = getattr(model, "named_modules", None)
        kinds.update(
            (name, type(module).__name__) for name, module in (ask() if callable(ask) else ())
        )
    return kinds


def layers(names: Iterable[str]) -> dict[str, list[str]]:
    """Layer -> its parameters, in the order given: `fc1` has `fc1.weight` and `fc1.bias`; `W` is
    its own layer.
    """
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(name.rpartition(".")[0] or name, []).append(name)
    return found


def norm(stats: Stats) -> float:
    """The Euclidean norm of the array that was measured; NaN where NaN or inf are."""
    return stats.rms * math.sqrt(stats.size)


def slope(places: Sequence[float], sizes: Iterable[float]) -> float:
    """Least-squares slope of log10(size) over the place: decades per place. NaN with fewer than two
    usable sizes.
    """
    usable = [
        (x, math.log10(y)) for x, y in zip(places, sizes, strict=True) if math.isfinite(y) and y > 0
    ]
    if len(usable) < 2:
        return math.nan
    x, y = np.array(usable).T
    x = x - x.mean()
    return float((x * y).sum() / (x * x).sum())


def json_number(x: float | None) -> float | None:
    """The number, or None for what JSON cannot say (NaN, inf)."""
    return float(x) if x is not None and math.isfinite(x) else None
