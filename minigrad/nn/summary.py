"""`summary`: the layers of a model, their output shapes, parameters and operations in a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..graph.autodiff import topological_sort
from ..graph.conversion import Array
from ..graph.node import Constant, GraphNode
from ..graph.rule import Operator
from ..graph.settings import recorded
from ..ops.kernel import flops
from ..viz.inspection import evaluating
from ..viz.scene.text import quantity, shape
from ..viz.tables import aligned, markdown_table
from .module import Module

_HEADER = ("layer", "output", "parameters", "flops")


class LayerRow(NamedTuple):
    """A layer; `shape` is that of its (first) output, None where it was not called."""

    layer: str
    shape: tuple[int, ...] | None
    parameters: int
    flops: int


class Summary:
    """What `summary` returns: `rows`, one for each layer, and the `total`."""

    def __init__(self, rows: Sequence[LayerRow], output: tuple[int, ...] | None) -> None:
        self.rows = tuple(rows)
        parameters = sum(row.parameters for row in rows)
        self.total = LayerRow("total", output, parameters, sum(row.flops for row in rows))

    def _cells(self) -> list[tuple[str, ...]]:
        cells = [
            (layer, "–" if size is None else shape(size), f"{parameters:,}", quantity(work, "flop"))
            for layer, size, parameters, work in (*self.rows, self.total)
        ]
        return [_HEADER, *cells]

    def __repr__(self) -> str:
        return "\n".join(aligned(self._cells(), left=2))

    def _repr_markdown_(self) -> str:
        return markdown_table(self._cells(), left=2)


def summary(model: Module, *inputs: Any) -> Summary:
    """The layers of a model: output shape, parameters, and operations of one forward pass.

    Each input is a shape, batch axis included, or an array where zeros will not do (ids of an
    `Embedding`). The model runs once, in evaluation mode, and is not changed. A multiply-add is two
    operations; what is shared between layers counts once, in the first one. Raises `TypeError` for
    what is no `Module`, and what the model raises where shapes do not fit.
    """
    if not isinstance(model, Module):
        raise TypeError(f"summary: a {type(model).__name__}; a Module was expected")
    dtype = next((p.dtype for p in model.parameters()), None)
    given = [
        Constant(np.zeros(x), dtype=dtype) if isinstance(x, tuple | list) else x for x in inputs
    ]
    shapes: dict[int, tuple[int, ...]] = {}
    nodes: dict[GraphNode, None] = {}

    def note(module: Module, node: GraphNode, value: Array) -> None:
        shapes[id(module)] = value.shape
        nodes.update(dict.fromkeys(topological_sort(node)))

    named = list(model.named_modules())
    handles = [module.register_forward_hook(partial(note, module)) for _, module in named]
    try:
        with evaluating(model), recorded(True):
            model(*given)
    finally:
        for handle in handles:
            handle.remove()
    sizes: Counter[str] = Counter()
    for name, parameter in model.named_parameters():
        sizes[name.rpartition(".")[0]] += parameter.size
    work: Counter[int] = Counter()
    for node in nodes:
        owner = [id(module) for module in node.scope if isinstance(module, Module)][-1:]
        if isinstance(node, Operator):
            work.update(dict.fromkeys(owner, flops(node)))
    rows = [
        LayerRow(
            f"{name} · {type(module).__name__}" if name else type(module).__name__,
            shapes.get(id(module)),
            sizes[name],
            work[id(module)],
        )
        for name, module in named
        if sizes[name] or work[id(module)] or not any(module.children())
    ]
    return Summary(rows, shapes.get(id(model)))
