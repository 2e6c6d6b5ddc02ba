"""Models as ONNX files, which onnxruntime and many other programs run.

The model is called on examples, and the graph that comes about is written down operator by operator
(`forms.py` has the table). Two calls with batches of different sizes show what belongs to the
batch: sizes that differ are left open, so that the file takes batches of any size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

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
from .forms import FORMS, no_form

OPSET, IR = 17, 8  # of 2022: old enough to be known everywhere, the first with layer normalisation
BATCHES = 2, 3  # sizes to try: what differs between them belongs to the batch
OPEN_SHAPES = ("reshape", "broadcast_to")  # whose shape may have the batch in it


def export_onnx(model: Module, path: Any, example: Any) -> None:
    """Write a model to an ONNX file (operator set 17), as it computes in evaluation mode.

    `example` is an input of the model, of any batch size: samples along its first axis, or along
    the second, (T, N, …), for a model that begins with a recurrent layer. The file takes batches of
    any size as `input`, everything else has the example's sizes; it gives `output`, and `output_1`,
    … where the model returns more than one node. Parameters have the names of `state_dict`. The
    file is checked by ONNX's own checker and appears only when it is complete.

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
    proto = Sheet(onnx, model, first, second, axis).proto()
    onnx.checker.check_model(proto, full_check=True)
    write_atomically(Path(path), proto.SerializeToString(deterministic=True))


def _example(model: Module, example: Any) -> Array:
    """The example as an array with at least one sample: floats in the dtype of the parameters,
    integers as they are.
    """
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
    """One call of a model: the input, the outputs, and all nodes in order."""

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

    def structure(self) -> list[Any]:
        """Rules and inputs of all nodes: what two graphs of one make have in common."""
        places = {node: i for i, node in enumerate(self.order)}
        return [
            (getattr(node, "rule", None), [places[x] for x in node.inputs]) for node in self.order
        ]


def _flat(found: Any) -> Iterator[GraphNode]:
    """The nodes that a model returned, one or tuples of them."""
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
    """The axis of the input along which samples lie: the second where the first is that of a
    recurrent layer's steps.
    """
    trace = _Trace(model, array)
    unrolled = any(isinstance(part, Step) for node in trace.order for part in node.scope)
    fused = any(
        isinstance(node, Operator) and isinstance(node.rule, Recurrent) for node in trace.order
    )
    if array.ndim < 2 or not (unrolled or fused):
        return 0
    for axis in (0, 1):
        if _passes(trace, axis):
            return axis
    return int(
        len(_Trace(model, np.repeat(array, 2, axis=0)).order) != len(trace.order)
    )  # more steps, a longer graph


def _passes(trace: _Trace, axis: int) -> bool:
    """Do samples along this axis of the input stay apart?"""
    axes: dict[GraphNode, int | None] = {trace.x: axis}
    try:
        for node in trace.order:
            if isinstance(node, Operator):
                axes[node] = batch_axis(node, [axes.get(x) for x in node.inputs])
    except NotSeparable:
        return False
    return True


def _often(size: int, other: int) -> int | None:
    """How often the batch is in a size that is `other` in the second trace: 0 for not at all, None
    for no whole number.
    """
    if size == other:
        return 0
    times, left = divmod(size, BATCHES[0])
    return times if not left and times * BATCHES[1] == other else None


def _same(a: Any, b: Any) -> bool:
    """Are two attributes equal? They may be arrays, nodes, and tuples of those."""
    if isinstance(a, tuple | list) and isinstance(b, tuple | list):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, GraphNode) and isinstance(b, GraphNode):
        return np.array_equal(a._data, b._data)
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    return bool(a == b)


class Sheet:
    """An ONNX graph while it is written: forms add operators to it and get the names of results."""

    def __init__(self, onnx: Any, model: Module, first: _Trace, second: _Trace, axis: int) -> None:
        self._helper = onnx.helper
        self._to_array = onnx.numpy_helper.from_array
        self._first, self._second, self._axis = first, second, axis
        if first.structure() != second.structure():
            raise GraphError(
                "export_onnx: the model builds another graph for another batch; one for all was "
                "expected"
            )
        self._twins = dict(zip(first.order, second.order, strict=True))
        self._names: dict[GraphNode, str] = {first.x: "input"}
        self._outputs = [f"output_{i}" if i else "output" for i in range(len(first.outputs))]
        self._taken = {"input", *self._outputs}
        self._suffixes: Counter[str] = Counter()
        # Parameters come first, so that no generated name takes one of theirs.
        leaves = (*model.named_parameters(), *model.named_buffers())
        self._leaves = {id(leaf): self._unique(name) for name, leaf in leaves}
        self._initializers: dict[str, Any] = {}
        self._nodes: list[Any] = []
        #: of results that are there in parts only: the name of each part, by the key that picks it
        self.parts: dict[str, dict[Any, str]] = {}

    # ---------------- what forms ask for
    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Write an operator with one result down; "" stands for an input that is left out."""
        return self.ops(kind, 1, *inputs, **attributes)[0]

    def ops(self, kind: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        """Write an operator with several results down."""
        results = [self._unique(kind) for _ in range(outputs)]
        self._nodes.append(
            self._helper.make_node(kind, inputs, results, name=results[0], **attributes)
        )
        return results

    def constant(self, value: Any, name: str = "constant") -> str:
        """An array that is written into the file."""
        return self._initializer(self._unique(name), value)

    def _initializer(self, name: str, value: Any) -> str:
        self._initializers[name] = self._to_array(
            np.ascontiguousarray(value).reshape(np.shape(value)), name
        )
        return name

    def integers(self, values: Sequence[int]) -> str:
        """Axes, shapes and the like."""
        return self.constant(np.array(values, np.int64))

    def number(self, value: float, node: Operator) -> str:
        """A number in the dtype of a node."""
        return self.constant(np.array(value, node.dtype))

    def cast(self, x: str, dtype: np.dtype[Any]) -> str:
        """x in another dtype."""
        return self.op("Cast", x, to=self._helper.np_dtype_to_tensor_dtype(dtype))

    def leaf(self, leaf: GraphNode) -> str:
        """A parameter or buffer, under its name in the model."""
        if leaf not in self._names:
            name = self._leaves.get(id(leaf)) or self._unique(leaf.name or "constant")
            self._names[leaf] = self._initializer(name, leaf._data)
        return self._names[leaf]

    def shape(self, node: GraphNode, one_unknown: bool = False) -> str:
        """The shape of a node; where the batch has a part in it, it is computed from the input.

        `one_unknown` says that one size may be -1.
        """
        sizes, often = (
            list(node.shape),
            [_often(*pair) for pair in zip(node.shape, self._twins[node].shape, strict=True)],
        )
        if None in often:
            raise GraphError(
                f"export_onnx: {node!r} has a size that does not grow with the batch as it does"
            )
        free = [i for i, times in enumerate(often) if times]
        if one_unknown and len(free) == 1 and 0 not in sizes:
            sizes[free.pop()] = -1
        if not free:
            return self.integers(sizes)
        batch = self.op("Shape", "input", start=self._axis, end=self._axis + 1)
        parts = [self.integers([times or size]) for times, size in zip(often, sizes, strict=True)]
        return self.op(
            "Concat",
            *(self.op("Mul", batch, p) if i in free else p for i, p in enumerate(parts)),
            axis=0,
        )

    def in_parts(self, parts: dict[Any, str]) -> str:
        """A result that ONNX does not give as a whole: the names of its parts by the keys that pick
        them.
        """
        name = self._unique("parts")
        self.parts[name] = parts
        return name

    def _unique(self, wish: str) -> str:
        """A name that nothing in the graph has yet.

        In ONNX an empty name means that an input is left out, and names are stored as UTF-8,
        which has no form for half of a surrogate pair.
        """
        printable = "".join(c if c.isprintable() else "_" for c in str(wish))
        name = base = printable or "unnamed"
        while name in self._taken:
            self._suffixes[base] += 1
            name = f"{base}_{self._suffixes[base]}"
        self._taken.add(name)
        return name

    # ---------------- from node to node
    def proto(self) -> Any:
        """The whole model."""
        for node in self._first.order:
            if node is not self._first.x:
                self._names[node] = (
                    self._operator(node) if isinstance(node, Operator) else self._given(node)
                )
        outputs = []
        for name, node in zip(self._outputs, self._first.outputs, strict=True):
            self._nodes.append(
                self._helper.make_node("Identity", [self._whole(node)], [name], name=name)
            )
            outputs.append(self._described(name, node))
        graph = self._helper.make_graph(
            self._nodes,
            "minigrad",
            [self._described("input", self._first.x)],
            outputs,
            list(self._initializers.values()),
        )
        imports = [self._helper.make_opsetid("", OPSET)]
        return self._helper.make_model(
            graph, opset_imports=imports, ir_version=IR, producer_name="minigrad"
        )

    def _operator(self, node: Operator) -> str:
        name = node.rule.name
        write = FORMS.get(name) if all_rules().get(name) is node.rule else None
        if write is None:
            raise no_form(node)
        mine, others = node.attributes, self._twins[node].attributes  # type: ignore[attr-defined]
        if name not in OPEN_SHAPES and not _same(list(mine.values()), list(others.values())):
            raise GraphError(
                f"export_onnx: {node!r} has other options for another batch: {mine} and {others}"
            )
        return write(
            self,
            node,
            [self._names[x] if name == "getitem" else self._whole(x) for x in node.inputs],
        )

    def _given(self, node: GraphNode) -> str:
        """A leaf: of the model, or a constant. One that has the batch among its sizes must repeat
        itself along it.
        """
        twin = self._twins[node]
        if node is twin or np.array_equal(node._data, twin._data, equal_nan=True):
            return self.leaf(node)
        if node.ndim == twin.ndim and node.shape != twin.shape:
            pairs = list(zip(node.shape, twin.shape, strict=True))
            one = node._data[tuple(slice(None) if a == b else slice(1) for a, b in pairs)]
            if (node._data == one).all() and (twin._data == one).all():
                return self.op(
                    "Expand", self.constant(one, node.name or "constant"), self.shape(node)
                )
        raise GraphError(
            f"export_onnx: {node!r} has other numbers for another batch; it would be fixed in "
            f"the file"
        )

    def _whole(self, node: GraphNode) -> str:
        """The name of a result. Raises `GraphError` where ONNX has only parts of it."""
        if self._names[node] in self.parts:
            raise no_form(node, " as a whole")
        return self._names[node]

    def _described(self, name: str, node: GraphNode) -> Any:
        """Name, dtype and shape of an input or output, with names for sizes that belong to the
        batch.
        """
        sizes: list[int | str] = []
        for i, (size, other) in enumerate(zip(node.shape, self._twins[node].shape, strict=True)):
            open_name = "batch" if _often(size, other) == 1 else f"{name} size {i}"
            sizes.append(size if size == other else open_name)
        return self._helper.make_tensor_value_info(
            name, self._helper.np_dtype_to_tensor_dtype(node.dtype), sizes
        )
