"""`GraphBuilder`: an ONNX graph under construction, with a name for each result."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from onnx import helper, numpy_helper

from ..errors import GraphError
from ..graph.node import GraphNode

OPSET = 17  # of 2022: widely supported, the first with layer normalisation
BATCHES = 2, 3  # the batch sizes of the two traces: their sizes differ by what one sample adds


class GraphBuilder:
    """Collects the operators and initializers of an ONNX graph.

    `names` holds the name of each node's result. `twins` holds, for each node, the node in its
    place in a second trace, with another batch size. `batch_axis` is the batch's axis in `input`.
    The names of `outputs` and of leaves (the model's parameters and buffers) are kept for them.
    """

    def __init__(
        self,
        input: GraphNode,
        batch_axis: int,
        twins: dict[GraphNode, Any],
        outputs: Mapping[str, GraphNode],
        leaves: Iterable[tuple[str, GraphNode]],
    ) -> None:
        self.input, self.batch_axis, self.twins, self.outputs = input, batch_axis, twins, outputs
        self.names = {input: "input"}
        self._taken, self._suffixes = {"input", *outputs}, itertools.count(1)
        self._reserved = {leaf: self.unique(name) for name, leaf in leaves}
        self._initializers: list[Any] = []
        self._operators: list[Any] = []
        #: what ONNX has of a node whose whole value it lacks (its name is ""): the names of parts,
        #: by the node and the key that picks the part
        self.parts: dict[tuple[tuple[GraphNode, ...], str], str] = {}

    def unique(self, wish: str) -> str:
        """A name that is still free.

        In ONNX an empty name marks an omitted input, and names are stored as UTF-8, which cannot
        encode half of a surrogate pair.
        """
        printable = "".join(c if c.isprintable() else "_" for c in wish)
        name = base = printable or "unnamed"
        while name in self._taken:
            name = f"{base}_{next(self._suffixes)}"
        self._taken.add(name)
        return name

    # ---------------- for converters
    def op(self, kind: str, *inputs: str, more: Iterable[str] = (), **attributes: Any) -> str:
        """Add an operator, and return the name of its first result; `more` names further ones.

        "" stands for an omitted input or result.
        """
        name = self.unique(kind)
        node = helper.make_node(kind, inputs, [name, *more], name=name, **attributes)
        self._operators.append(node)
        return name

    def constant(self, value: ArrayLike, name: str = "constant") -> str:
        """Add an array that is stored in the file."""
        name = self.unique(name)
        self._initializers.append(numpy_helper.from_array(np.array(value, order="C"), name))
        return name

    def integers(self, values: ArrayLike) -> str:
        """Add a constant array of integers: axes, a shape, indices."""
        return self.constant(np.array(values, np.int64))

    def cast(self, name: str, node: GraphNode, dtype: DTypeLike) -> str:
        """The result of a node in a dtype, converted if necessary."""
        if node.dtype == dtype:
            return name
        return self.op("Cast", name, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def leaf(self, node: GraphNode) -> str:
        """A parameter, buffer or constant, under its name in the model.

        Raises `GraphError` for a constant that differs between the two traces, unless it repeats
        along the batch axis.
        """
        if node in self.names:
            return self.names[node]
        data, other = node._data, self.twins.get(node, node)._data
        name = self._reserved.get(node) or node.name or "constant"
        if np.array_equal(data, other, equal_nan=True):
            if node in self._reserved:
                self._taken.remove(name)
            self.names[node] = self.constant(data, name)
            return self.names[node]
        pairs = zip(data.shape, other.shape, strict=True)
        sample = data[tuple(slice(None if a == b else 1) for a, b in pairs)]
        if (sample == data).all() and (sample == other).all():
            return self.op("Expand", self.constant(sample, name), self.shape(node))
        raise GraphError(
            f"export_onnx: {node.brief} has other numbers for another batch; the file would fix "
            "them"
        )

    def shape(self, node: GraphNode, one_unknown: bool = False) -> str:
        """The shape of a node; sizes that depend on the batch are computed from the input.

        With `one_unknown`, one size may be -1.
        """
        sizes = np.array(node.shape, np.int64)
        times = np.array(self.twins[node].shape, np.int64) - sizes  # for each sample more
        unknown = np.count_nonzero(times)
        if not unknown or (unknown == 1 and one_unknown and sizes.all()):
            return self.integers(np.where(times, -1, sizes))
        fixed = sizes - BATCHES[0] * times
        if (fixed * times).any():
            raise GraphError(
                f"export_onnx: {node.brief} has a size that does not grow in proportion to the "
                "batch"
            )
        start = self.batch_axis
        batch = self.op("Shape", "input", start=start, end=start + 1)
        return self.op("Add", self.op("Mul", batch, self.integers(times)), self.integers(fixed))

    def whole(self, node: GraphNode) -> str:
        """The name of a node's value; raises `GraphError` where ONNX has only parts of it."""
        if not self.names[node]:
            raise no_converter(node, " as a whole")
        return self.names[node]

    # ---------------- the file
    def model(self) -> Any:
        """The whole model as a protocol buffer."""
        for name, node in self.outputs.items():
            result = helper.make_node("Identity", [self.whole(node)], [name], name=name)
            self._operators.append(result)
        outputs = [self._value_info(*output) for output in self.outputs.items()]
        inputs = [self._value_info("input", self.input)]
        parts = self._operators, "minigrad", inputs, outputs, self._initializers
        imports = [helper.make_opsetid("", OPSET)]
        return helper.make_model_gen_version(
            helper.make_graph(*parts), opset_imports=imports, producer_name="minigrad"
        )

    def _value_info(self, name: str, node: GraphNode) -> Any:
        """Name, dtype and shape of an input or output; sizes that depend on the batch get names."""
        kind = helper.np_dtype_to_tensor_dtype(node.dtype)
        pairs = zip(node.shape, self.twins[node].shape, strict=True)
        sizes = [
            n if n == m else "batch" if (n, m) == BATCHES else f"{name} size {i}"
            for i, (n, m) in enumerate(pairs)
        ]
        return helper.make_tensor_value_info(name, kind, sizes)


def no_converter(node: Any, why: str = "") -> GraphError:
    """The error for an operator that cannot be exported."""
    return GraphError(
        f"export_onnx: the operator {node.rule.name} has no ONNX form{why}: {node.brief}"
    )
