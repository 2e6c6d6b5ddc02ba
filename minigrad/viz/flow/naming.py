"""Names of nodes, parameters and layers that stay the same from one graph to the next."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import linear_regression

from ...graph.node import GraphNode, Variable
from ..inspection import HasParameters, named
from ..scene.measure import Stats
from ..scene.words import node_label


def models_of(order: Iterable[GraphNode]) -> list[HasParameters]:
    """The outermost modules that made nodes of the order, by first node."""
    roots: dict[int, object] = {
        id(node.scope[0]): node.scope[0] for node in order if node.inputs and node.scope
    }
    return [root for root in roots.values() if isinstance(root, HasParameters)]


def parameters_in(
    order: Sequence[GraphNode], model: HasParameters | None = None
) -> dict[str, Variable]:
    """The parameters of `model`, by default of all modules of the graph, by dotted name.

    Variables of the graph that belong to no such module follow under their own name, or as `n3`
    with their index in the order; a name that is taken gets that index added.
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
    """`n3 (σ)`: index in the topological order and label, the same for graphs built alike."""
    known = {id(parameter): name for name, parameter in parameters.items()}
    return [f"n{i} ({node_label(node, known.get(id(node)))})" for i, node in enumerate(order)]


def layer_kinds(models: Iterable[HasParameters]) -> dict[str, str]:
    """Dotted name of each inner module -> its class."""
    return {
        name: type(module).__name__
        for model in models
        for name, module in named(model, "named_modules")
    }


def layers(names: Iterable[str]) -> dict[str, list[str]]:
    """Layer -> its parameters: `fc1` has `fc1.weight` and `fc1.bias`; `W` is a layer by itself."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(name.rpartition(".")[0] or name, []).append(name)
    return found


def norm(stats: Stats) -> float:
    """The Euclidean norm of the measured array; NaN if it has NaN or inf."""
    return stats.rms * math.sqrt(stats.size)


def slope(places: Sequence[float], sizes: Iterable[float]) -> float:
    """Least-squares slope of log10(size) over the place, in decades per place.

    NaN with fewer than two positive, finite sizes.
    """
    usable = [
        (x, math.log10(y)) for x, y in zip(places, sizes, strict=True) if math.isfinite(y) and y > 0
    ]
    return linear_regression(*zip(*usable, strict=True)).slope if len(usable) > 1 else math.nan
