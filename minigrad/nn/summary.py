"""`summary`: the layers of a model, their output shapes, parameters and operations in a table."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..graph.autodiff import topological_sort
from ..graph.node import Constant, GraphNode
from ..graph.rule import Operator
from ..graph.settings import recorded
from ..ops.kernel import flops
from ..viz.inspection import evaluating
from ..viz.scene.text import quantity
from ..viz.tables import aligned, markdown_table
from .module import Module


class LayerRow(NamedTuple):
    """A layer: its own parameters and operations; `output` is the shape of its first output."""

    layer: str
    output: Any
    parameters: int
    flops: int


class Summary(tuple[LayerRow, ...]):
    """What `summary` returns: a row for each layer, and at the end one for the whole model."""

    __slots__ = ()

    def _cells(self) -> list[tuple[str, ...]]:
        return [
            LayerRow._fields,
            *((x[0], str(x[1]), f"{x[2]:,}", quantity(x[3], "flop")) for x in self),
        ]

    def __repr__(self) -> str:
        return "\n".join(aligned(self._cells(), left=2))

    def _repr_markdown_(self) -> str:
        return markdown_table(self._cells(), left=2)


def summary(model: Module, *inputs: Any) -> Summary:
    """The layers of a model: output shape, parameters, and operations of one forward pass.

    Each input is a shape, batch axis included, or an array where zeros will not do (ids of an
    `Embedding`). The model runs once, in evaluation mode, and is not changed. A multiply-add is two
    operations; a parameter that layers share counts in the first one; a layer that is not called
    has "–" as its output. Raises `TypeError` for what is no `Module`, and what the model raises
    where shapes do not fit.

    >>> model = mg.nn.Sequential(mg.nn.Linear(784, 32), mg.nn.ReLU(), mg.nn.Linear(32, 10))
    >>> mg.summary(model, (64, 784))
    layer       output    parameters       flops
    0 · Linear  (64, 32)      25,120  3.21 Mflop
    1 · ReLU    (64, 32)           0  2.05 kflop
    2 · Linear  (64, 10)         330    41 kflop
    total       (64, 10)      25,450  3.25 Mflop
    """
    if not isinstance(model, Module):
        raise TypeError(f"summary: a {type(model).__name__}; a Module was expected")
    parameters, outputs = model.named_parameters(), dict[int, Any]()
    dtype = parameters[0][1].dtype if parameters else None
    nodes: dict[GraphNode, None] = {}

    def note(module: Module, node: GraphNode, value: Any) -> None:
        outputs[id(module)] = value.shape
        nodes.update(dict.fromkeys(topological_sort(node)))

    with ExitStack() as stack, evaluating(model), recorded(True):
        for module in model.modules():
            stack.callback(module.register_forward_hook(partial(note, module)).remove)
        model(
            *(
                Constant(np.zeros(x), dtype=dtype) if isinstance(x, tuple | list) else x
                for x in inputs
            )
        )
    sizes, work = Counter[str](), Counter[int]()
    for name, parameter in parameters:
        sizes[name.rpartition(".")[0]] += parameter.size
    for node in nodes:
        if isinstance(node, Operator):
            made_in = [module for module in node.scope if isinstance(module, Module)]
            work[id(made_in[-1])] += flops(node)
    rows = [
        LayerRow(
            f"{name} · {type(module).__name__}".removeprefix(" · "),
            outputs.get(id(module), "–"),
            sizes[name],
            work[id(module)],
        )
        for name, module in model.named_modules()
        if sizes[name] or work[id(module)] or not any(module.children())
    ]
    rows.append(LayerRow("total", outputs.get(id(model)), sizes.total(), work.total()))
    return Summary(rows)
