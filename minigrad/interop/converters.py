"""Converters: how each operator of minigrad is written in ONNX.

A converter is `converter(build, node, *names of the inputs) -> name of the result`. An operator
without one, or with options that ONNX's operator lacks, is decomposed into others (`decompose`),
which are converted in its place.
ONNX's operators are described at https://onnx.ai/onnx/operators (operator set 17).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import ops
from ..errors import GraphError
from ..graph.node import GraphNode
from ..graph.rule import Elementwise, Operator
from ..ops.loss import Paired
from .builder import GraphBuilder

Converter = Callable[..., str]
CONVERTERS: dict[str, Converter] = {}
#: the answer of a converter to a node that it leaves to `decompose`
DECOMPOSED = ""
INT64 = np.iinfo(np.int64)


def no_converter(node: GraphNode, why: str = "") -> GraphError:
    """The error for a node that cannot be exported; it names the operator."""
    name = getattr(node, "rule", node).name
    return GraphError(f"export_onnx: the operator {name} has no ONNX form{why}: {node!r}")


def converts(*rules: str) -> Callable[[Converter], Converter]:
    """Decorator: the function is the converter of these rules."""

    def register(function: Converter) -> Converter:
        CONVERTERS.update(dict.fromkeys(rules, function))
        return function

    return register


# ---------------- operators without a converter
#: functions of NumPy that ONNX lacks. Near 0, expm1 and log1p lose the digits that ours keep.
COMPOSED: dict[str, Callable[..., GraphNode]] = {
    "expm1": lambda x: ops.exp(x) - 1,
    "isfinite": lambda x: ops.logical_and(x < math.inf, x > -math.inf),
    "isinf": lambda x: ops.logical_or(ops.equal(x, math.inf), ops.equal(x, -math.inf)),
    "isnan": lambda x: ops.logical_not(ops.equal(x, x)),
    "log10": lambda x: ops.log(x) / math.log(10),
    "log1p": lambda x: ops.log(x + 1),
    "log2": lambda x: ops.log(x) / math.log(2),
    "not_equal": lambda a, b: ops.logical_not(ops.equal(a, b)),
    "square": lambda x: x * x,
    "trunc": lambda x: ops.sign(x) * ops.floor(ops.abs(x)),
}


def decompose(node: Operator, *xs: GraphNode) -> GraphNode:
    """The node's result from `xs` in other operators. Raises `GraphError` where there is no way."""
    rule = node.rule
    if rule.name in COMPOSED:
        return COMPOSED[rule.name](*xs)
    if isinstance(rule, Elementwise):
        return rule.function(*xs, **node.attributes)  # type: ignore[no-any-return]
    if isinstance(rule, Paired):
        return ops.mean(rule.terms(*xs))  # formulas work on nodes, too
    result = rule.decompose(node, *xs)
    if result is None:
        raise no_converter(node)
    return result


# ---------------- elementwise
SAME_NAME = (
    "abs",
    "add",
    "ceil",
    "cos",
    "cosh",
    "equal",
    "erf",
    "exp",
    "floor",
    "greater",
    "less",
    "log",
    "reciprocal",
    "relu",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "softplus",
    "sqrt",
    "tan",
    "tanh",
)
OTHER_NAME = {
    "arccos": "Acos",
    "arccosh": "Acosh",
    "arcsin": "Asin",
    "arcsinh": "Asinh",
    "arctan": "Atan",
    "arctanh": "Atanh",
    "divide": "Div",
    "greater_equal": "GreaterOrEqual",
    "less_equal": "LessOrEqual",
    "logical_and": "And",
    "logical_not": "Not",
    "logical_or": "Or",
    "matmul": "MatMul",
    "maximum": "Max",
    "minimum": "Min",
    "multiply": "Mul",
    "negative": "Neg",
    "power": "Pow",
    "rint": "Round",
    "subtract": "Sub",
}


@converts(*SAME_NAME, *OTHER_NAME)
def _elementwise(build: GraphBuilder, node: Operator, *xs: str) -> str:
    """All inputs in the dtype that NumPy promotes them to, as in x * (x > 0)."""
    name, dtype = node.rule.name, np.result_type(*(x.dtype for x in node.inputs))
    if name.startswith("logical"):
        dtype = np.dtype(bool)
    elif node.dtype.kind == "b" and dtype.kind != "f":
        dtype = np.dtype(np.int64)  # ONNX does not compare booleans
    inputs = (build.cast(*pair, dtype) for pair in zip(xs, node.inputs, strict=True))
    return build.op(OTHER_NAME.get(name, name.capitalize()), *inputs)


# ---------------- one operator with attributes
def _window(node: Operator) -> dict[str, Any]:
    d, unused = node.plan, 4 - node.ndim
    before, kernel = [d.ph, d.pw], [d.kh, d.kw]
    sizes = zip((d.h, d.w), kernel, (d.oh, d.ow), (d.sh, d.sw), before, strict=True)
    after = [max(p, (o - 1) * s + k - n - p) for n, k, o, s, p in sizes]  # the last window's end
    return {
        "kernel_shape": kernel[unused:],
        "strides": [d.sh, d.sw][unused:],
        "pads": before[unused:] + after[unused:],
    }


def _conv(node: Operator) -> dict[str, Any]:
    d = node.plan
    return {**_window(node), "dilations": [d.dh, d.dw][4 - node.ndim :], "group": d.groups}


WITH_ATTRIBUTES: dict[str, tuple[str, Callable[[Operator], dict[str, Any]]]] = {
    "concatenate": ("Concat", lambda node: {"axis": node.plan.axis}),
    "conv1d": ("Conv", _conv),
    "conv2d": ("Conv", _conv),
    "log_softmax": ("LogSoftmax", lambda node: {"axis": node.plan}),
    "max_pool1d": ("MaxPool", _window),
    "max_pool2d": ("MaxPool", _window),
    "softmax": ("Softmax", lambda node: {"axis": node.plan}),
    "transpose": ("Transpose", lambda node: {"perm": list(node.plan)} if node.plan else {}),
}


@converts(*WITH_ATTRIBUTES)
def _with_attributes(build: GraphBuilder, node: Operator, *xs: str) -> str:
    kind, attributes = WITH_ATTRIBUTES[node.rule.name]
    return build.op(kind, *xs, **attributes(node))


@converts("avg_pool1d", "avg_pool2d")
def _avg_pool(build: GraphBuilder, node: Operator, x: str) -> str:
    mean = build.op("AveragePool", x, **_window(node), count_include_pad=1)
    rule: Any = node.rule
    scale = rule.scale(node)
    if scale is None:
        return mean
    return build.op("Mul", mean, build.constant(scale.reshape(scale.shape[4 - node.ndim :])))


# ---------------- one operator with other inputs
def _ids(build: GraphBuilder, node: Operator, place: int, name: str) -> str:
    return build.cast(name, node.inputs[place], np.int64)


CONVERTERS |= {
    "broadcast_to": lambda build, node, x: build.op("Expand", x, build.shape(node)),
    "cross_entropy": lambda build, node, x, ids: build.op(
        "SoftmaxCrossEntropyLoss", x, _ids(build, node, 1, ids), reduction="mean"
    ),
    "cumsum": lambda build, node, x: build.op("CumSum", x, build.constant(np.int64(node.plan))),
    "embedding": lambda build, node, ids, weight: build.op(
        "Gather", weight, _ids(build, node, 0, ids), axis=0
    ),
    "reshape": lambda build, node, x: build.op("Reshape", x, build.shape(node, one_unknown=True)),
    "where": lambda build, node, condition, a, b: build.op(
        "Where", build.cast(condition, node.inputs[0], bool), a, b
    ),
}


# ---------------- reductions
REDUCTIONS = {
    "logsumexp": "ReduceLogSumExp",
    "max": "ReduceMax",
    "mean": "ReduceMean",
    "min": "ReduceMin",
    "norm": "ReduceL2",
    "prod": "ReduceProd",
    "sum": "ReduceSum",
}


@converts(*REDUCTIONS)
def _reduction(build: GraphBuilder, node: Operator, x: str) -> str:
    axes, keepdims = node.plan.axes, int(bool(node.attributes.get("keepdims")))
    if not axes:
        return build.op("Abs" if node.rule.name == "norm" else "Identity", x)
    kind = REDUCTIONS[node.rule.name]
    if kind == "ReduceSum":  # the only one in this operator set that takes axes as an input
        return build.op(kind, x, build.integers(axes), keepdims=keepdims)
    return build.op(kind, x, axes=list(axes), keepdims=keepdims)


@converts("argmax", "argmin")
def _position(build: GraphBuilder, node: Operator, x: str) -> str:
    kind, axes = "ArgMax" if node.rule.name == "argmax" else "ArgMin", node.plan.axes
    if len(axes) != 1:
        x, axes = build.op("Reshape", x, build.integers([-1])), (0,)
    place = build.op(kind, x, axis=axes[0], keepdims=0)
    return build.op("Reshape", place, build.shape(node, one_unknown=True))


# ---------------- shapes
@converts("stack")
def _stack(build: GraphBuilder, node: Operator, *xs: str) -> str:
    axis = build.integers([node.plan.axis])
    return build.op("Concat", *(build.op("Unsqueeze", x, axis) for x in xs), axis=node.plan.axis)


@converts("pad")
def _pad(build: GraphBuilder, node: Operator, x: str) -> str:
    value = build.constant(np.array(node.attributes.get("value", 0), node.dtype))
    return build.op("Pad", x, build.integers(np.transpose(node.plan).ravel()), value)


# ---------------- indexing
@converts("getitem")
def _getitem(build: GraphBuilder, node: Operator, x: str, *indices: str) -> str:
    """Axis by axis from the last, because an integer drops its axis; then new axes."""
    whole = node.inputs[0]
    if whole in build.parts:
        part = build.parts[whole].get(repr(node.plan.key))
        if part is None:
            raise no_converter(whole, f" for what {node!r} picks of it")
        return part
    key = _full_key(node.plan.key, whole.ndim)
    axes = [part for part in key if part is not None]
    picked = {axis: part for axis, part in enumerate(axes) if not isinstance(part, slice)}
    if indices and (len(picked) > 1 or node.inputs[1].dtype.kind == "b"):
        raise no_converter(
            node, " where nodes are indices, but for integers along one axis beside slices"
        )
    several = len(picked) > 1 and any(isinstance(part, np.ndarray) for part in picked.values())
    for axis, part in reversed([*enumerate(axes)]):
        if isinstance(part, slice):
            x = _slice(build, x, axis, part)
        elif not several:
            index = _ids(build, node, 1, indices[0]) if indices else build.integers(part)
            x = build.op("Gather", x, index, axis=axis)
    if several:
        x = _gather(build, node, x, key, picked)
    return (
        build.op("Reshape", x, build.shape(node, one_unknown=True)) if len(axes) < len(key) else x
    )


def _full_key(key: tuple[Any, ...], ndim: int) -> list[Any]:
    """The key with a part for each axis: no ellipsis, and the indices that masks select."""
    parts: list[Any] = []
    for part in key:
        mask = isinstance(part, np.ndarray) and part.dtype == bool
        parts += part.nonzero() if mask else [part]
    at = [part is ... for part in (*parts, ...)].index(True)
    rest = ndim - sum(part is not None and part is not ... for part in parts)
    return [*parts[:at], *[slice(None)] * rest, *parts[at + 1 :]]


def _slice(build: GraphBuilder, x: str, axis: int, part: slice) -> str:
    if part == slice(None):
        return x
    step = part.step or 1
    start, stop = (0, INT64.max) if step > 0 else (-1, INT64.min)
    start = start if part.start is None else part.start
    stop = stop if part.stop is None else part.stop
    return build.op("Slice", x, *(build.integers([n]) for n in (start, stop, axis, step)))


def _gather(
    build: GraphBuilder, node: Operator, x: str, key: Sequence[Any], picked: dict[int, Any]
) -> str:
    """Select by arrays as NumPy does: their axes replace the arrays where these are adjacent, and
    come first where they are not.
    """
    indices = np.stack(np.broadcast_arrays(*picked.values()), axis=-1)
    rest = [axis for axis in range(node.inputs[0].ndim) if axis not in picked]
    x = build.op("Transpose", x, perm=[*picked, *rest])
    x = build.op("GatherND", x, build.integers(indices))
    places = [i for i, part in enumerate(key) if not isinstance(part, slice | None)]
    old = min(picked) if places[-1] - places[0] + 1 == len(places) else 0
    new = indices.ndim - 1
    perm = [*range(new, new + old), *range(new), *range(new + old, new + len(rest))]
    return build.op("Transpose", x, perm=perm)


# ---------------- products
@converts("einsum")
def _einsum(build: GraphBuilder, node: Operator, *xs: str) -> str:
    """ONNX does not broadcast in Einsum: axes of length 1 that would be broadcast are removed."""
    shapes = [x.shape for x in node.inputs]
    axes = [list(zip(*pair, strict=True)) for pair in zip(node.plan.inputs, shapes, strict=True)]
    longest = dict(sorted(axis for term in axes for axis in term))
    names, terms = [], []
    for x, term in zip(xs, axes, strict=True):
        gone = [i for i, (letter, n) in enumerate(term) if n < longest[letter]]
        names.append(build.op("Squeeze", x, build.integers(gone)) if gone else x)
        terms.append("".join(letter for letter, n in term if n == longest[letter]))
    return build.op("Einsum", *names, equation=f"{','.join(terms)}->{node.plan.result}")


@converts("linear")
def _linear(build: GraphBuilder, node: Operator, x: str, weight: str, *bias: str) -> str:
    if node.inputs[0].ndim == 2:
        return build.op("Gemm", x, weight, *bias, transB=1)
    product = build.op("MatMul", x, build.op("Transpose", weight, perm=[1, 0]))
    return build.op("Add", product, *bias) if bias else product


# ---------------- recurrent layers
#: the places of ONNX's gates among ours: GRU z, r, h of r, z, new; LSTM i, o, f, c of i, f, g, o
GATES = {"rnn": [0], "gru": [1, 0, 2], "lstm": [0, 3, 1, 2]}


@converts(*GATES)
def _recurrent(build: GraphBuilder, node: Operator, x: str, *xs: str) -> str:
    """A layer of one direction, whose axis ONNX puts first in parameters and states.

    Of the cells of an LSTM it keeps those of the last step only. So there are parts of the node's
    value: h of all steps, [0], and the last c, [1, -1], which `mg.lstm` returns.
    """
    name, hidden, count = node.rule.name, node.plan.hidden, len(xs) - 4
    options: dict[str, Any] = {"hidden_size": hidden}
    if name == "gru":
        options["linear_before_reset"] = 1  # r scales what V gives
    elif node.plan.relu:
        options["activations"] = ["Relu"]
    rows = build.integers([[k * hidden + i for k in GATES[name] for i in range(hidden)]])
    w, v, *biases = (build.op("Gather", p, rows, axis=0) for p in xs[count:])
    states = (build.op("Unsqueeze", state, build.integers([0])) for state in xs[:count])
    parameters = (w, v, build.op("Concat", *biases, axis=1), "", *states)  # "": no lengths
    h, *last = build.ops(name.upper(), 2 * count - 1, x, *parameters, **options)
    h = build.op("Squeeze", h, build.integers([1]))
    if last:
        c = build.op("Squeeze", last[1], build.integers([0]))
        build.parts[node] = {"(0,)": h, "(1, -1)": c}
    return h


# ---------------- normalisation
@converts("batch_norm")
def _batch_norm(build: GraphBuilder, node: Operator, x: str, *affine: str) -> str:
    held = node.attributes
    if held["training"] or len(affine) < 2:
        return DECOMPOSED
    statistics = (build.leaf(held[name]) for name in ("running_mean", "running_var"))
    return build.op("BatchNormalization", x, *affine, *statistics, epsilon=held["eps"])


@converts("layer_norm")
def _layer_norm(build: GraphBuilder, node: Operator, x: str, *affine: str) -> str:
    if not affine:
        return DECOMPOSED
    axis = -len(node.attributes["axes"])
    return build.op("LayerNormalization", x, *affine, axis=axis, epsilon=node.attributes["eps"])
