"""`GraphBuilder`: an ONNX graph under construction, with a name for each result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import GraphError
from ..graph.node import GraphNode

OPSET, IR = 17, 8  # of 2022: widely supported, the first with layer normalisation
BATCHES = 2, 3  # the batch sizes of the two traces: their sizes differ by what one sample adds


class GraphBuilder:
    """Collects the operators and initializers of an ONNX graph.

    `names` holds the name of each node's result. `twins` holds, for each node, the node in its
    place in a second trace, with another batch size. `batch_axis` is the batch's axis in `input`.
    """

    def __init__(
        self, onnx: Any, input: GraphNode, batch_axis: int, twins: dict[GraphNode, GraphNode]
    ) -> None:
        self._onnx, self._batch_axis, self.twins = onnx, batch_axis, twins
        self.input, self.names = input, {input: "input"}
        self._taken = {"input"}
        self._suffixes: Counter[str] = Counter()
        self._reserved: dict[GraphNode, str] = {}
        self._initializers: list[Any] = []
        self._operators: list[Any] = []
        #: nodes of whose value ONNX has only parts: the name of each by the key that selects it
        self.parts: dict[GraphNode, dict[str, str]] = {}

    # ---------------- names
    def reserve(self, outputs: Iterable[str], leaves: Iterable[tuple[str, GraphNode]]) -> None:
        """Keep names for outputs and parameters, before any name is generated."""
        self._taken.update(outputs)
        self._reserved.update({leaf: self._unique(name) for name, leaf in leaves})

    def _unique(self, wish: str) -> str:
        """A name that is still free.

        In ONNX an empty name marks an omitted input, and names are stored as UTF-8, which cannot
        encode half of a surrogate pair.
        """
        printable = "".join(c if c.isprintable() else "_" for c in str(wish))
        name = base = printable or "unnamed"
        while name in self._taken:
            self._suffixes[base] += 1
            name = f"{base}_{self._suffixes[base]}"
        self._taken.add(name)
        return name

    # ---------------- what converters call
    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add an operator with one result; "" stands for an omitted input."""
        return self.ops(kind, 1, *inputs, **attributes)[0]

    def ops(self, kind: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        """Add an operator with several results."""
        results = [self._unique(kind) for _ in range(outputs)]
        make = self._onnx.helper.make_node
        self._operators.append(make(kind, inputs, results, name=results[0], **attributes))
        return results

    def constant(self, value: npt.ArrayLike, name: str = "constant") -> str:
        """Add an array that is stored in the file."""
        return self._initializer(self._unique(name), value)

    def _initializer(self, name: str, value: npt.ArrayLike) -> str:
        array = np.ascontiguousarray(value).reshape(np.shape(value))
        self._initializers.append(self._onnx.numpy_helper.from_array(array, name))
        return name

    def integers(self, values: npt.ArrayLike) -> str:
        """Add a constant array of integers: axes, a shape, indices."""
        return self.constant(np.array(values, np.int64))

    def cast(self, name: str, node: GraphNode, dtype: npt.DTypeLike) -> str:
        """The result of a node in a dtype, converted if necessary."""
        if node.dtype == dtype:
            return name
        return self.op("Cast", name, to=self._element_type(np.dtype(dtype)))

    def leaf(self, node: GraphNode) -> str:
        """A parameter, buffer or constant, under its name in the model.

        Raises `GraphError` for a constant that differs between the two traces, unless it repeats
        along the batch axis.
        """
        if node in self.names:
            return self.names[node]
        data, other = node._data, self.twins.get(node, node)._data
        name = node.name or "constant"
        if np.array_equal(data, other, equal_nan=True):
            self.names[node] = self._reserved.get(node) or self._unique(name)
            return self._initializer(self.names[node], data)
        if data.ndim == other.ndim:
            pairs = zip(data.shape, other.shape, strict=True)
            sample = data[tuple(slice(None if a == b else 1) for a, b in pairs)]
            if (sample == data).all() and (sample == other).all():
                return self.op("Expand", self.constant(sample, name), self.shape(node))
        raise GraphError(
            f"export_onnx: {node!r} has other numbers for another batch; the file would fix them"
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
                f"export_onnx: {node!r} has a size that does not grow in proportion to the batch"
            )
        start = self._batch_axis
        batch = self.op("Shape", "input", start=start, end=start + 1)
        return self.op("Add", self.op("Mul", batch, self.integers(times)), self.integers(fixed))

    # ---------------- the file
    def model(self, outputs: Mapping[str, GraphNode]) -> Any:
        """The whole model as a protocol buffer."""
        helper, described = self._onnx.helper, []
        for name, node in outputs.items():
            result = helper.make_node("Identity", [self.names[node]], [name], name=name)
            self._operators.append(result)
            described.append(self._value_info(name, node))
        inputs = [self._value_info("input", self.input)]
        parts = self._operators, "minigrad", inputs, described, self._initializers
        graph = helper.make_graph(*parts)
        imports = [helper.make_opsetid("", OPSET)]
        return helper.make_model(
            graph, opset_imports=imports, ir_version=IR, producer_name="minigrad"
        )

    def _value_info(self, name: str, node: GraphNode) -> Any:
        """Name, dtype and shape of an input or output; sizes that depend on the batch get names."""
        sizes: list[int | str] = []
        for i, (size, other) in enumerate(zip(node.shape, self.twins[node].shape, strict=True)):
            symbol = "batch" if (size, other) == BATCHES else f"{name} size {i}"
            sizes.append(size if size == other else symbol)
        make = self._onnx.helper.make_tensor_value_info
        return make(name, self._element_type(node.dtype), sizes)

    def _element_type(self, dtype: np.dtype[Any]) -> Any:
        return self._onnx.helper.np_dtype_to_tensor_dtype(dtype)
