"""Export of models as ONNX files, which onnxruntime and many other programs run.

The model is called on examples, and the resulting graph is converted operator by operator
(`converters.py`). Two calls with different batch sizes show which sizes depend on the batch: these
stay open in the file, so that it takes batches of any size.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
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
from ..ops.kinds import NotSeparable
from ..ops.recurrent import Recurrent, Step
from ..run import rebuild
from ..run.batch import sample_axes
from ..train.evaluation import in_mode
from .builder import BATCHES, GraphBuilder
from .converters import CONVERTERS, DECOMPOSED, decompose, no_converter

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
    with in_mode(model, training=False):
        axis = _batch_axis(model, array)
        first, second = (
            _Trace(model, np.take(array, range(n - 2, 2 * n - 2), axis, mode="wrap"))
            for n in BATCHES
        )
        again = _Trace(model, first.x._data)
    found = rebuild.first_difference(first.order, again.order, [(first.x, again.x)])
    rebuild.refuse(f"export_onnx: {type(model).__name__}.forward", found)
    twins = dict(zip(first.order, second.order, strict=False))
    if len(first.order) != len(second.order) or not all(
        getattr(node, "rule", None) is getattr(twin, "rule", None)
        and [twins[x] for x in node.inputs] == [*twin.inputs]
        for node, twin in twins.items()
    ):
        raise GraphError(
            "export_onnx: the model builds another graph for another batch size; the same graph "
            "was expected"
        )
    build = GraphBuilder(onnx, first.x, axis, twins)
    outputs = {f"output_{i}" if i else "output": node for i, node in enumerate(first.outputs)}
    build.reserve(outputs, (*model.named_parameters(), *model.named_buffers()))
    _convert_all(build, first.order)
    _need_whole(build, first.outputs)
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
    recurrent = any(
        isinstance(part, Step | Recurrent)
        for node in trace.order
        for part in (*node.scope, getattr(node, "rule", None))
    )
    if array.ndim < 2 or not recurrent:
        return 0
    for axis in (0, 1):
        with suppress(NotSeparable):
            sample_axes(trace.order, {trace.x: axis})
            return axis
    # With more time steps the graph grows.
    return int(len(_Trace(model, np.repeat(array, 2, axis=0)).order) != len(trace.order))


# ---------------- conversion of nodes
def _convert_all(build: GraphBuilder, order: Iterable[GraphNode]) -> None:
    """Add nodes in topological order to the ONNX graph."""
    for node in order:
        if node not in build.names:
            name = _convert(build, node) if isinstance(node, Operator) else build.leaf(node)
            build.names[node] = name


def _convert(build: GraphBuilder, node: Operator) -> str:
    """Add an operator, whose inputs have been added; returns its name in the ONNX graph."""
    name, twin = node.rule.name, build.twins[node]
    assert isinstance(twin, Operator)
    if all_rules().get(name) is not node.rule:  # an operator of the user's own
        raise no_converter(node)
    if name not in OPEN_SHAPES and not rebuild.equal(node.attributes, twin.attributes):
        raise GraphError(
            f"export_onnx: {node!r} has other options for another batch size: {node.attributes} "
            f"and {twin.attributes}"
        )
    if name != "getitem":
        _need_whole(build, node.inputs)
    names, result = [build.names[x] for x in node.inputs], DECOMPOSED
    if name in CONVERTERS:
        result = CONVERTERS[name](build, node, *names)
    if result == DECOMPOSED:
        parts, twins = _composition(node), _composition(twin)
        if any(getattr(part, "rule", None) is node.rule for part in parts):
            raise no_converter(node)  # not composed of anything else
        build.twins.update(zip(parts, twins, strict=True))
        build.names.update(zip(parts, names, strict=False))
        _convert_all(build, parts)
        result = build.names[parts[-1]]
    return result


def _composition(node: Operator) -> list[GraphNode]:
    """Copies of a node's inputs, then the nodes that compute its value from them in its place."""
    inputs = [Constant(x._data, dtype=x.dtype) for x in node.inputs]
    return [*inputs, *topological_sort(decompose(node, *inputs))]


def _need_whole(build: GraphBuilder, nodes: Iterable[GraphNode]) -> None:
    """Raise `GraphError` where ONNX has only parts of a node's value."""
    for node in nodes:
        if node in build.parts:
            raise no_converter(node, " as a whole")
