"""`Converter`: how each operator of minigrad is written in ONNX.

An operator is written as one of ONNX, or as a few, or it is decomposed into other operators, which
are converted in its place: where ONNX has none, or none with these options.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from string import ascii_letters
from typing import Any

import numpy as np
from onnx import defs

from ..errors import GraphError
from ..graph.autodiff import topological_sort
from ..graph.node import Constant, GraphNode
from ..graph.registry import all_rules
from ..graph.rule import Elementwise, Operator
from ..ops.loss import Paired
from ..ops.reduce import Reduction
from ..run import rebuild
from .builder import OPSET, GraphBuilder, no_converter

OPEN_SHAPES = (
    "reshape",
    "broadcast_to",
    "random.normal",
    "random.uniform",
)  # their shape may depend on the batch
INT64 = np.iinfo(np.int64)

#: ONNX's names where they differ from ours; those of the other functions entry by entry do not
NAMES = {
    "argmax": "ArgMax",
    "argmin": "ArgMin",
    "divide": "Div",
    "greater_equal": "GreaterOrEqual",
    "less_equal": "LessOrEqual",
    "logical_and": "And",
    "logical_not": "Not",
    "logical_or": "Or",
    "logsumexp": "LogSumExp",
    "matmul": "MatMul",
    "maximum": "Max",
    "minimum": "Min",
    "multiply": "Mul",
    "negative": "Neg",
    "norm": "L2",
    "power": "Pow",
    "rint": "Round",
    "subtract": "Sub",
}

#: operators that ONNX lacks, or has for fewer axes. Near 0, expm1 and log1p lose digits that ours
#: keep.
COMPOSED: dict[str, Callable[..., Any]] = {
    "expm1": lambda x: np.exp(x) - 1,
    "floor_divide": lambda a, b: np.floor(a / b),
    "isfinite": lambda x: (x < math.inf) & (x > -math.inf),
    "isinf": lambda x: (x == math.inf) | (x == -math.inf),
    "isnan": lambda x: x != x,
    "linear": lambda x, w, b=0.0: x @ w.T + b,
    "log10": lambda x: np.log(x) / math.log(10),
    "log1p": lambda x: np.log(x + 1),
    "log2": lambda x: np.log(x) / math.log(2),
    "not_equal": lambda a, b: ~(a == b),
    "remainder": lambda a, b: a - b * np.floor(a / b),
    "square": lambda x: x * x,
    "stack": lambda *xs, axis: np.concatenate([np.expand_dims(x, axis) for x in xs], axis),
    "trunc": lambda x: np.sign(x) * np.floor(np.abs(x)),
}


def _window(node: Operator) -> dict[str, Any]:
    d, unused = node.plan, 4 - node.ndim
    before, kernel = [d.ph, d.pw], [d.kh, d.kw]
    sizes = zip((d.h, d.w), kernel, (d.oh, d.ow), (d.sh, d.sw), before, (d.dh, d.dw), strict=True)
    # up to the last window's end
    after = [max(p, (o - 1) * s + (k - 1) * e + 1 - n - p) for n, k, o, s, p, e in sizes]
    return {
        "kernel_shape": kernel[unused:],
        "strides": [d.sh, d.sw][unused:],
        "pads": before[unused:] + after[unused:],
    }


def _dilations(node: Operator) -> list[int]:
    return [node.plan.dh, node.plan.dw][4 - node.ndim :]


def _transposed(node: Operator) -> dict[str, Any]:
    """The plan is that of the convolution from the result to x."""
    d, unused = node.plan, 4 - node.ndim
    sizes = zip((d.h, d.w), (d.kh, d.kw), (d.sh, d.sw), (d.ph, d.pw), (d.dh, d.dw), strict=True)
    more = [(n + 2 * p - e * (k - 1) - 1) % s for n, k, s, p, e in sizes]
    window = {**_window(node), "pads": [d.ph, d.pw][unused:] * 2}
    return {**window, "dilations": _dilations(node), "output_padding": more[unused:]}


#: the places of ONNX's gates among ours: GRU z, r, h of r, z, new; LSTM i, o, f, c of i, f, g, o
GATES = {"rnn": [0], "gru": [1, 0, 2], "lstm": [0, 3, 1, 2]}


class Converter(GraphBuilder):
    """A builder that converts nodes."""

    def convert_all(self, order: Iterable[GraphNode]) -> None:
        """Add nodes in topological order to the ONNX graph."""
        for node in order:
            if node not in self.names:
                name = self._convert(node) if isinstance(node, Operator) else self.leaf(node)
                self.names[node] = name

    def _convert(self, node: Operator) -> str:
        """Add an operator, whose inputs have been added; returns its name in the ONNX graph."""
        if part := self.parts.get((node.inputs, repr(getattr(node.plan, "key", None)))):
            return part
        rule, twin = node.rule, self.twins[node]
        if all_rules().get(rule.name) is not rule:  # an operator of the user's own
            raise no_converter(node)
        if rule.name not in OPEN_SHAPES and not rebuild.equal(node.attributes, twin.attributes):
            raise GraphError(
                f"export_onnx: {node.brief} has other options for another batch size: "
                f"{node.attributes} and {twin.attributes}"
            )
        names = [self.whole(x) for x in node.inputs]
        name = self._in_onnx(node, names)
        if name is not None:
            return name
        parts, twins = _composition(node), _composition(twin)
        if any(getattr(part, "rule", None) is rule for part in parts):
            raise no_converter(node)  # not composed of anything else
        self.twins.update(zip(parts, twins, strict=True))
        self.names.update(zip(parts, names, strict=False))
        self.convert_all(parts)
        return self.names[parts[-1]]

    def _in_onnx(self, node: Operator, xs: Sequence[str]) -> str | None:
        """The operator as one of ONNX, or as a few; None where there is no way.

        ONNX's operators are described at https://onnx.ai/onnx/operators (operator set 17).
        """
        plan, options, (x, *more) = node.plan, node.attributes, xs
        match node.rule.name:
            case "argmax" | "argmin":
                axes = plan.axes
                if len(axes) != 1:
                    x, axes = self.op("Reshape", x, self.integers([-1])), (0,)
                place = self.op(NAMES[node.rule.name], x, axis=axes[0], keepdims=0)
                return self._reshaped(node, place)
            case "astype":
                return self.cast(x, node.inputs[0], node.dtype)
            case "avg_pool1d" | "avg_pool2d":
                mean = self.op("AveragePool", x, **_window(node), count_include_pad=1)
                rule: Any = node.rule
                scale = rule.scale(node)
                if scale is None:
                    return mean
                return self.op(
                    "Mul", mean, self.constant(scale.reshape(scale.shape[4 - node.ndim :]))
                )
            case "batch_norm" if len(more) == 2 and not options["training"]:
                names = "running_mean", "running_var"
                statistics = (self.leaf(options[name]) for name in names)
                return self.op("BatchNormalization", *xs, *statistics, epsilon=options["eps"])
            case "broadcast_to":
                return self.op("Expand", x, self.shape(node))
            case "concatenate":
                return self.op("Concat", *xs, axis=plan.axis)
            case "conv1d" | "conv2d":
                options = {**_window(node), "dilations": _dilations(node)}
                return self.op("Conv", *xs, **options, group=plan.groups)
            case "conv_transpose1d" | "conv_transpose2d":
                return self.op("ConvTranspose", *xs, **_transposed(node), group=plan.groups)
            case "cross_entropy":
                ids = self.cast(more[0], node.inputs[1], np.int64)
                return self.op("SoftmaxCrossEntropyLoss", x, ids, reduction="mean")
            case "cumsum":
                return self.op("CumSum", x, self.integers(plan))
            case "einsum":
                return self._einsum(node, xs)
            case "embedding":
                return self.op("Gather", *more, self.cast(x, node.inputs[0], np.int64), axis=0)
            case "getitem":
                return self._getitem(node, x, more)
            case "layer_norm" if more:
                axis = -len(options["axes"])
                return self.op("LayerNormalization", *xs, axis=axis, epsilon=options["eps"])
            case "linear" if node.ndim == 2:
                return self.op("Gemm", *xs, transB=1)
            case "log_softmax":
                return self.op("LogSoftmax", x, axis=plan)
            case "max_pool1d" | "max_pool2d":
                return self.op("MaxPool", x, **_window(node), dilations=_dilations(node))
            case "pad":
                widths = self.integers(np.transpose(plan).ravel())
                return self.op("Pad", x, widths, self.constant(node.dtype.type(options["value"])))
            case "random.normal" | "random.uniform":
                kind = node.rule.name.partition(".")[2].capitalize()
                return self.op(f"Random{kind}Like", self.op("Expand", x, self.shape(node)))
            case "reshape":
                return self._reshaped(node, x)
            case "rnn" | "gru" | "lstm":
                return self._recurrent(node, x, more)
            case "softmax":
                return self.op("Softmax", x, axis=plan)
            case "transpose":
                return self.op("Transpose", x, perm=plan) if plan else x
            case "where":
                return self.op("Where", self.cast(x, node.inputs[0], bool), *more)
        return self._of_name(node, xs)

    def _of_name(self, node: Operator, xs: Sequence[str]) -> str | None:
        """ONNX's operator of the same name, entry by entry or reducing axes; None without one."""
        name = node.rule.name
        kind = NAMES.get(name, name.replace("arc", "a").capitalize())
        if isinstance(node.rule, Reduction):
            axes, keepdims = node.plan.axes, int(bool(node.attributes["keepdims"]))
            if not axes:
                return self.op("Abs" if name == "norm" else "Identity", *xs)
            if name == "sum":  # the only one in this operator set that takes axes as an input
                return self.op("ReduceSum", *xs, self.integers(axes), keepdims=keepdims)
            return self.op(f"Reduce{kind}", *xs, axes=axes, keepdims=keepdims)
        known = name in NAMES or isinstance(node.rule, Elementwise)
        if not known or node.attributes or not defs.has(kind, OPSET):
            return None
        # All inputs in the dtype that NumPy promotes them to, as in x * (x > 0).
        dtype = np.result_type(*(x.dtype for x in node.inputs))
        if name.startswith("logical"):
            dtype = np.dtype(bool)
        elif node.dtype.kind == "b" and dtype.kind != "f":
            dtype = np.dtype(np.int64)  # ONNX does not compare booleans
        return self.op(
            kind, *(self.cast(*pair, dtype) for pair in zip(xs, node.inputs, strict=True))
        )

    def _reshaped(self, node: Operator, x: str) -> str:
        """The numbers of x in the node's shape."""
        return self.op("Reshape", x, self.shape(node, one_unknown=True))

    # ---------------- indexing
    def _getitem(self, node: Operator, x: str, indices: Sequence[str]) -> str:
        """Slices, then the axes that indices pick from, the last first, then new axes."""
        whole = node.inputs[0]
        key = _full_key(node.plan.key, whole.ndim)
        axes = [part for part in key if part is not None]
        picked = {axis: part for axis, part in enumerate(axes) if not isinstance(part, slice)}
        if indices and (len(picked) > 1 or node.inputs[1].dtype.kind == "b"):
            raise no_converter(
                node, " where nodes are indices, but for integers along one axis beside slices"
            )
        if len(picked) > 1 and any(isinstance(part, np.ndarray) for part in picked.values()):
            if whole.shape != self.twins[whole].shape:
                raise no_converter(
                    node,
                    " where several indices pick from a batch, but for integers (reshape x, and "
                    "pick with one array)",
                )
            places = np.arange(whole.size).reshape(whole.shape)[node.plan.key]
            x = self.op("Reshape", x, self.integers([-1]))
            return self.op("Gather", x, self.integers(places), axis=0)
        slices = [
            _ends(axis, part)
            for axis, part in enumerate(axes)
            if isinstance(part, slice) and part != slice(None)
        ]
        if slices:
            x = self.op("Slice", x, *map(self.integers, zip(*slices, strict=True)))
        for axis, part in reversed(picked.items()):
            ids = [self.cast(index, node.inputs[1], np.int64) for index in indices]
            x = self.op("Gather", x, *(ids or [self.integers(part)]), axis=axis)
        return self._reshaped(node, x) if len(axes) < len(key) else x

    # ---------------- products
    def _einsum(self, node: Operator, xs: Sequence[str]) -> str:
        """Einsum without broadcasting, which ONNX lacks.

        An axis of length 1 that would be broadcast gets a letter of its own, and is summed over.
        """
        terms, result, _ = node.plan
        shapes = (x.shape for x in node.inputs)
        axes = [[*zip(*pair, strict=True)] for pair in zip(terms, shapes, strict=True)]
        wide = {letter for term in axes for letter, n in term if n != 1}
        spare = min({*ascii_letters}.difference(*terms))
        left = ("".join(spare if n == 1 and c in wide else c for c, n in term) for term in axes)
        return self.op("Einsum", *xs, equation=f"{','.join(left)}->{result}")

    # ---------------- recurrent layers
    def _recurrent(self, node: Operator, x: str, xs: Sequence[str]) -> str:
        """A layer of one direction, whose axis ONNX puts first in parameters and states.

        Of the cells of an LSTM ONNX keeps those of the last step only. So there are parts of the
        node's value: h of all steps, [0], and the last c, [1, -1], which `mg.lstm` returns.
        """
        name, hidden, count = node.rule.name, node.plan.hidden, len(xs) - 4
        cells = self.unique("cells")
        options: dict[str, dict[str, Any]] = {
            "rnn": {"activations": ["Relu" if node.plan.relu else "Tanh"]},
            "gru": {"linear_before_reset": 1},  # r scales what V gives
            "lstm": {"more": ["", cells]},
        }
        rows = self.integers([[k * hidden + i for k in GATES[name] for i in range(hidden)]])
        w, v, *biases = (self.op("Gather", p, rows, axis=0) for p in xs[count:])
        states = (self.op("Unsqueeze", state, self.integers([0])) for state in xs[:count])
        parameters = (w, v, self.op("Concat", *biases, axis=1), "", *states)  # "": no lengths
        h = self.op(name.upper(), x, *parameters, hidden_size=hidden, **options[name])
        h = self.op("Squeeze", h, self.integers([1]))
        if name != "lstm":
            return h
        self.parts[(node,), "(0,)"] = h
        self.parts[(node,), "(1, -1)"] = self.op("Squeeze", cells, self.integers([0]))
        return ""


def _full_key(key: tuple[Any, ...], ndim: int) -> list[Any]:
    """The key with a part for each axis: no ellipsis, and the indices that masks select."""
    parts: list[Any] = []
    for part in key:
        mask = isinstance(part, np.ndarray) and part.dtype == bool
        parts += part.nonzero() if mask else [part]
    at = [part is ... for part in (*parts, ...)].index(True)
    rest = ndim - sum(part is not None and part is not ... for part in parts)
    return [*parts[:at], *[slice(None)] * rest, *parts[at + 1 :]]


def _ends(axis: int, part: slice) -> tuple[int, int, int, int]:
    """Start, stop, axis and step of a slice, as ONNX has them."""
    step = part.step or 1
    start, stop = (0, INT64.max) if step > 0 else (-1, INT64.min)
    start = start if part.start is None else part.start
    return start, stop if part.stop is None else part.stop, axis, step


def _composition(node: Operator) -> list[GraphNode]:
    """Copies of a node's inputs, then the nodes that compute its value from them in its place."""
    rule, xs = node.rule, [Constant(x._data, dtype=x.dtype) for x in node.inputs]
    formula = COMPOSED.get(rule.name, getattr(rule, "function", None))
    result: Any
    if formula is not None:
        result = formula(*xs, **node.attributes)
    elif isinstance(rule, Paired):
        result = np.mean(rule.terms(*xs))  # formulas work on nodes, too
    else:
        result = rule.decompose(node, *xs)
    if result is None:
        raise no_converter(node)
    return [*xs, *topological_sort(result)]
