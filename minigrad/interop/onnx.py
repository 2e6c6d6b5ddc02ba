"""Export of models as ONNX files, which onnxruntime and many other programs run.

The model is called on examples, and the resulting graph is converted operator by operator
(`converters.py`). Two calls with different batch sizes show which sizes depend on the batch: these
stay open in the file, so that it takes batches of any size.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..distribution import install_hint
from ..errors import DTypeError, GraphError, ShapeError
from ..files import write_atomically
from ..graph import settings
from ..graph.autodiff import topological_sort
from ..graph.conversion import Array
from ..graph.node import Constant, GraphNode
from ..graph.registry import all_rules
from ..graph.rule import Operator
from ..nn import Module
from ..ops.recurrent import Recurrent, Step
from ..ops.separable import NotSeparable
from ..run import rebuild
from ..run.batch import batch_axis
from .builder import BATCHES, GraphBuilder, sample_of
from .converters import CONVERTERS, decompose, no_converter

OPEN_SHAPES = ("reshape", "broadcast_to")  # their shape may depend on the batch


def export_onnx(
    model: Module, path: str | os.PathLike[str], example: npt.ArrayLike | GraphNode
) -> None:
    """Write a model to an ONNX file (operator set 17), as it computes in evaluation mode.

    `example` is an input of the model, of any batch size: samples along its first axis, or along
    the second, (T, N, …), for a model that begins with a recurrent layer. The file takes batches of
    any size as `input`; all other sizes are those of the example. It returns `output`, and
    `output_1`, … where the model returns more than one node. Parameters have the names of
    `state_dict`. The file is checked by ONNX's own checker and appears only when it is complete.

    Raises `GraphError` that names an operator without an ONNX form, or what depends on the numbers
    or the size of a batch; `ImportError` where the package `onnx` is missing.
    """
    try:
        import onnx
    except ImportError:
        raise ImportError(f"export_onnx needs the package onnx: {install_hint('onnx')}") from None

    if not isinstance(model, Module):
        raise TypeError(f"export_onnx: a Module was expected, not {type(model).__name__}")
    if not settings.recording():
        raise GraphError("export_onnx: within no_grad there is no graph to write; call it outside")
    array = _example(model, example)
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        axis = _batch_axis(model, array)
        first, second = (
            _Trace(model, np.take(array, range(n - 2, 2 * n - 2), axis, mode="wrap"))
            for n in BATCHES
        )
        again = _Trace(model, first.x._data)
    finally:
        for module, mode in modes.items():
            module.training = mode
    found = rebuild.first_difference(first.order, again.order, [(first.x, again.x)])
    rebuild.refuse(f"export_onnx: {type(model).__name__}.forward", found)
    if first.structure() != second.structure():
        raise GraphError(
            "export_onnx: the model builds another graph for another batch size; the same graph "
            "was expected"
        )
    twins = dict(zip(first.order, second.order, strict=True))
    build = GraphBuilder(onnx, first.x, axis, twins)
    outputs = {f"output_{i}" if i else "output": node for i, node in enumerate(first.outputs)}
    build.reserve(outputs, (*model.named_parameters(), *model.named_buffers()))
    for node in first.order:
        if node is not first.x:
            build.names[node] = _convert(build, node)
    for node in first.outputs:
        _need_whole(build, node)
    proto = build.model(outputs)
    onnx.checker.check_model(proto, full_check=True)
    write_atomically(Path(path), proto.SerializeToString(deterministic=True))


# ---------------- traces
def _example(model: Module, example: npt.ArrayLike | GraphNode) -> Array:
    """The example as an array: floats in the dtype of the parameters, integers unchanged."""
    array = example.value if isinstance(example, GraphNode) else np.asarray(example)
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"export_onnx: an example of dtype {array.dtype}; numbers were expected")
    if not array.ndim or not array.size:
        raise ShapeError(
            f"export_onnx: the example has shape {array.shape}; at least one sample was expected"
        )
    floats = next((p.dtype for p in model.parameters()), settings.float_dtype())
    return array.astype(floats) if array.dtype.kind == "f" else array


class _Trace:
    """One call of a model: the input, the outputs, and all nodes in topological order."""

    def __init__(self, model: Module, array: Array) -> None:
        self.x = Constant(array, name="input", dtype=array.dtype)
        with settings.state_kept(), settings.rerun({self.x}):
            self.outputs = list(_flat(model(self.x)))
        order = dict.fromkeys(node for head in self.outputs for node in topological_sort(head))
        self.order = list(order)
        if self.x not in order:
            raise GraphError(
                "export_onnx: the output does not depend on the input; the model computes outside "
                "of the graph"
            )

    def structure(self) -> list[tuple[Any, list[int]]]:
        """Rule and inputs of each node: equal for two graphs of the same structure."""
        places = {node: i for i, node in enumerate(self.order)}
        return [
            (getattr(node, "rule", None), [places[x] for x in node.inputs]) for node in self.order
        ]


def _flat(found: Any) -> Iterator[GraphNode]:
    """The nodes that a model returned: one, or tuples of them."""
    if isinstance(found, tuple | list):
        for part in found:
            yield from _flat(part)
    elif isinstance(found, GraphNode):
        yield found
    else:
        raise GraphError(
            f"export_onnx: the model returned {type(found).__name__}; nodes were expected"
        )


def _batch_axis(model: Module, array: Array) -> int:
    """The batch axis of the input: 1 where axis 0 is the time axis of a recurrent layer."""
    trace = _Trace(model, array)
    unrolled = any(isinstance(part, Step) for node in trace.order for part in node.scope)
    fused = any(
        isinstance(node, Operator) and isinstance(node.rule, Recurrent) for node in trace.order
    )
    if array.ndim < 2 or not (unrolled or fused):
        return 0
    for axis in (0, 1):
        if _separable(trace, axis):
            return axis
    # With more time steps the graph grows.
    return int(len(_Trace(model, np.repeat(array, 2, axis=0)).order) != len(trace.order))


def _separable(trace: _Trace, axis: int) -> bool:
    """Are samples along this axis of the input independent in the whole graph?"""
    axes: dict[GraphNode, int | None] = {trace.x: axis}
    try:
        for node in trace.order:
            if isinstance(node, Operator):
                axes[node] = batch_axis(node, [axes.get(x) for x in node.inputs])
    except NotSeparable:
        return False
    return True


# ---------------- conversion of nodes
def _convert(build: GraphBuilder, node: GraphNode) -> str:
    """Add a node, whose inputs have been added, to the ONNX graph; returns its name there."""
    if not isinstance(node, Operator):
        return _leaf(build, node)
    name, attributes = node.rule.name, build.twins[node].attributes  # type: ignore[attr-defined]
    if all_rules().get(name) is not node.rule:  # an operator of the user's own
        raise no_converter(node)
    if name not in OPEN_SHAPES and not _equal(
        list(node.attributes.values()), list(attributes.values())
    ):
        raise GraphError(
            f"export_onnx: {node!r} has other options for another batch size: {node.attributes} "
            f"and {attributes}"
        )
    if name != "getitem":
        for x in node.inputs:
            _need_whole(build, x)
    if name in CONVERTERS and not node.attributes.get("training"):
        return CONVERTERS[name](build, node, *(build.names[x] for x in node.inputs))
    return _decomposed(build, node)


def _decomposed(build: GraphBuilder, node: Operator) -> str:
    """Convert the operators that an operator without a converter is composed of."""
    graphs, results = [], []
    for original in (node, build.twins[node]):
        inputs = [Constant(x._data, dtype=x.dtype) for x in original.inputs]
        results.append(decompose(original, *inputs))  # type: ignore[arg-type]  # twins: same class
        graphs.append(list(dict.fromkeys([*inputs, *topological_sort(results[-1])])))
    if any(getattr(part, "rule", None) is node.rule for part in graphs[0]):
        raise no_converter(node)  # not composed of anything else
    build.twins.update(zip(*graphs, strict=True))
    build.names.update(zip(graphs[0], (build.names[x] for x in node.inputs), strict=False))
    for part in graphs[0][len(node.inputs) :]:
        build.names[part] = _convert(build, part)
    return build.names[results[0]]


def _leaf(build: GraphBuilder, node: GraphNode) -> str:
    """A parameter, buffer or constant; a constant of the batch's size must repeat along it."""
    twin = build.twins[node]
    if node is twin or np.array_equal(node._data, twin._data, equal_nan=True):
        return build.leaf(node)
    sample = sample_of(node._data, twin._data)
    if sample is None:
        raise GraphError(
            f"export_onnx: {node!r} has other numbers for another batch; the file would fix them"
        )
    return build.op("Expand", build.constant(sample, node.name or "constant"), build.shape(node))


def _need_whole(build: GraphBuilder, node: GraphNode) -> None:
    """Raise `GraphError` where ONNX has only parts of a result."""
    if build.names[node] in build.parts:
        raise no_converter(node, " as a whole")


def _equal(a: Any, b: Any) -> bool:
    """Are two attributes equal? They may be arrays, nodes, and tuples of those."""
    if isinstance(a, tuple | list) and isinstance(b, tuple | list):
        return len(a) == len(b) and all(map(_equal, a, b))
    return np.array_equal(getattr(a, "_data", a), getattr(b, "_data", b))
