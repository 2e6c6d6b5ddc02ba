"""Export of models as ONNX files, which onnxruntime and many other programs run.

The model is called on examples, and the resulting graph is converted operator by operator
(`converters.py`). Two calls with different batch sizes show which sizes depend on the batch: these
stay open in the file, so that it takes batches of any size.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
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
from ..nn.module import Module, in_mode
from ..ops.kinds import NotSeparable
from ..ops.recurrent import Recurrent, Step
from ..run import rebuild
from ..run.batch import sample_axes


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

    >>> import os, tempfile
    >>> model = mg.nn.Sequential(mg.nn.Linear(4, 3), mg.nn.ReLU())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     mg.export_onnx(model, f"{folder}/model.onnx", np.ones((2, 4)))
    ...     os.listdir(folder)
    ['model.onnx']
    """
    try:
        import onnx

        from .builder import BATCHES
        from .converters import Converter
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
    outputs = {f"output_{i}" if i else "output": node for i, node in enumerate(first.outputs)}
    leaves = (*model.named_parameters(), *model.named_buffers())
    converter = Converter(first.x, axis, twins, outputs, leaves)
    converter.convert_all(first.order)
    proto = converter.model()
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
