"""`GraphBuilder`: an ONNX graph under construction, with a name for each result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import GraphError
from ..graph.conversion import Array
from ..graph.node import GraphNode
from ..graph.rule import Operator

OPSET, IR = 17, 8  # of 2022: widely supported, the first with layer normalisation
BATCHES = 2, 3  # the batch sizes of the two traces: sizes that differ depend on the batch


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
        self._initializers: dict[str, Any] = {}
        self._operators: list[Any] = []
        #: results of which ONNX has only parts: the name of each part by the key that selects it
        self.parts: dict[str, dict[Any, str]] = {}

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
        self._initializers[name] = self._onnx.numpy_helper.from_array(array, name)
        return name

    def integers(self, values: Sequence[int]) -> str:
        """Add a constant vector of integers: axes, a shape."""
        return self.constant(np.array(values, np.int64))

    def number(self, value: float, node: Operator) -> str:
        """Add a constant number in the dtype of a node."""
        return self.constant(np.array(value, node.dtype))

    def cast(self, name: str, node: GraphNode, dtype: npt.DTypeLike) -> str:
        """The result of a node in a dtype, converted if necessary."""
        if node.dtype == dtype:
            return name
        return self.op("Cast", name, to=self._element_type(np.dtype(dtype)))

    def leaf(self, leaf: GraphNode) -> str:
        """A parameter or buffer, under its name in the model."""
        if leaf not in self.names:
            name = self._reserved.get(leaf) or self._unique(leaf.name or "constant")
            self.names[leaf] = self._initializer(name, leaf._data)
        return self.names[leaf]

    def shape(self, node: GraphNode, one_unknown: bool = False) -> str:
        """The shape of a node; sizes that depend on the batch are computed from the input.

        With `one_unknown`, one size may be -1.
        """
        sizes, twin = list(node.shape), self.twins[node]
        multiples = [batch_multiple(*pair) for pair in zip(sizes, twin.shape, strict=True)]
        free = [i for i, times in enumerate(multiples) if times != 0]
        if one_unknown and len(free) == 1 and 0 not in sizes:
            sizes[free.pop()] = -1
        if not free:
            return self.integers(sizes)
        if None in multiples:
            raise GraphError(
                f"export_onnx: {node!r} has a size that does not grow in proportion to the batch"
            )
        start, parts = self._batch_axis, []
        batch = self.op("Shape", "input", start=start, end=start + 1)
        for times, size in zip(multiples, sizes, strict=True):
            factor = self.integers([times or size])
            parts.append(self.op("Mul", batch, factor) if times else factor)
        return self.op("Concat", *parts, axis=0)

    def in_parts(self, parts: dict[Any, str]) -> str:
        """A result of which ONNX has only parts: their names by the keys that select them."""
        name = self._unique("parts")
        self.parts[name] = parts
        return name

    # ---------------- the file
    def model(self, outputs: Mapping[str, GraphNode]) -> Any:
        """The whole model as a protocol buffer."""
        helper, described = self._onnx.helper, []
        for name, node in outputs.items():
            result = helper.make_node("Identity", [self.names[node]], [name], name=name)
            self._operators.append(result)
            described.append(self._value_info(name, node))
        inputs = [self._value_info("input", self.input)]
        initializers = list(self._initializers.values())
        graph = helper.make_graph(self._operators, "minigrad", inputs, described, initializers)
        imports = [helper.make_opsetid("", OPSET)]
        return helper.make_model(
            graph, opset_imports=imports, ir_version=IR, producer_name="minigrad"
        )

    def _value_info(self, name: str, node: GraphNode) -> Any:
        """Name, dtype and shape of an input or output; sizes that depend on the batch get names."""
        sizes: list[int | str] = []
        for i, (size, other) in enumerate(zip(node.shape, self.twins[node].shape, strict=True)):
            symbol = "batch" if batch_multiple(size, other) == 1 else f"{name} size {i}"
            sizes.append(size if size == other else symbol)
        make = self._onnx.helper.make_tensor_value_info
        return make(name, self._element_type(node.dtype), sizes)

    def _element_type(self, dtype: np.dtype[Any]) -> Any:
        return self._onnx.helper.np_dtype_to_tensor_dtype(dtype)


def batch_multiple(size: int, other: int) -> int | None:
    """How many times the batch size is in a size that is `other` in the second trace.

    0 where the size does not depend on the batch, None where it is not a multiple.
    """
    if size == other:
        return 0
    times, rest = divmod(size, BATCHES[0])
    return times if not rest and times * BATCHES[1] == other else None


def sample_of(array: Array, twin: Array) -> Array | None:
    """The part of a constant that repeats along the batch axis, or None where nothing repeats."""
    if array.ndim != twin.ndim or array.shape == twin.shape:
        return None
    pairs = zip(array.shape, twin.shape, strict=True)
    one = array[tuple(slice(None) if a == b else slice(1) for a, b in pairs)]
    return one if (array == one).all() and (twin == one).all() else None
