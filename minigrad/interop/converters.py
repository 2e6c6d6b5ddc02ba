"""Converters: how each operator of minigrad is written in ONNX.

A converter is `converter(build, node, *names of the inputs) -> name of the result`. An operator
without one is decomposed into others (`decompose`), which are converted in its place.
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
INT64 = np.iinfo(np.int64)


def no_converter(node: GraphNode, why: str = "") -> GraphError:
    """The error for what cannot be exported; it names the operator."""
    name = node.rule.name if isinstance(node, Operator) else type(node).__name__
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
    "isfinite": lambda x: ops.logical_not(ops.logical_or(ops.isnan(x), ops.isinf(x))),
    "log10": lambda x: ops.log(x) / math.log(10),
    "log1p": lambda x: ops.log(x + 1),
    "log2": lambda x: ops.log(x) / math.log(2),
    "not_equal": lambda a, b: ops.logical_not(ops.equal(a, b)),
    "square": lambda x: x * x,
    "trunc": lambda x: ops.sign(x) * ops.floor(ops.abs(x)),
}


def decompose(node: Operator, *xs: GraphNode) -> GraphNode:
    """The node's result from `xs` in other operators. Raises `GraphError` where there is no way."""
    rule, result = node.rule, None
    if rule.name in COMPOSED:
        result = COMPOSED[rule.name](*xs)
    elif isinstance(rule, Elementwise):
        result = rule.function(*xs, **node.attributes)
    elif isinstance(rule, Paired):
        result = ops.mean(rule.terms(*xs))  # type: ignore[arg-type]  # formulas work on nodes, too
    else:
        result = rule.decompose(node, *xs)
    if result is None:
        raise no_converter(node)
    return result


# ---------------- elementwise
ELEMENTWISE = {
    "abs": "Abs",
    "add": "Add",
    "arccos": "Acos",
    "arccosh": "Acosh",
    "arcsin": "Asin",
    "arcsinh": "Asinh",
    "arctan": "Atan",
    "arctanh": "Atanh",
    "ceil": "Ceil",
    "cos": "Cos",
    "cosh": "Cosh",
    "divide": "Div",
    "equal": "Equal",
    "erf": "Erf",
    "exp": "Exp",
    "floor": "Floor",
    "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
    "less": "Less",
    "less_equal": "LessOrEqual",
    "log": "Log",
    "matmul": "MatMul",
    "maximum": "Max",
    "minimum": "Min",
    "multiply": "Mul",
    "negative": "Neg",
    "power": "Pow",
    "reciprocal": "Reciprocal",
    "relu": "Relu",
    "rint": "Round",
    "sigmoid": "Sigmoid",
    "sign": "Sign",
    "sin": "Sin",
    "sinh": "Sinh",
    "softplus": "Softplus",
    "sqrt": "Sqrt",
    "subtract": "Sub",
    "tan": "Tan",
    "tanh": "Tanh",
}
#: tests that ONNX has for one dtype only
TESTS: dict[str, tuple[str, type]] = {
    "isinf": ("IsInf", np.float32),
    "isnan": ("IsNaN", np.float32),
    "logical_and": ("And", bool),
    "logical_not": ("Not", bool),
    "logical_or": ("Or", bool),
}


@converts(*ELEMENTWISE)
def _elementwise(build: GraphBuilder, node: Operator, *xs: str) -> str:
    """All inputs in the dtype that NumPy promotes them to, as in x * (x > 0)."""
    dtype = np.result_type(*(x.dtype for x in node.inputs))
    if node.dtype.kind == "b" and dtype.kind != "f":
        dtype = np.dtype(np.int64)  # ONNX does not compare booleans
    inputs = (build.cast(*pair, dtype) for pair in zip(xs, node.inputs, strict=True))
    return build.op(ELEMENTWISE[node.rule.name], *inputs)


@converts(*TESTS)
def _test(build: GraphBuilder, node: Operator, *xs: str) -> str:
    kind, dtype = TESTS[node.rule.name]
    if dtype is not bool and node.inputs[0].dtype.kind == "f":
        return build.op(kind, *xs)  # float64, too
    return build.op(kind, *(build.cast(*pair, dtype) for pair in zip(xs, node.inputs, strict=True)))


# ---------------- one operator with attributes
def _window(node: Operator) -> dict[str, Any]:
    d, unused = node.plan, 4 - node.ndim
    return {
        "kernel_shape": [d.kh, d.kw][unused:],
        "strides": [d.sh, d.sw][unused:],
        "pads": [d.ph, d.pw][unused:] * 2,
    }


def _average(node: Operator) -> dict[str, Any]:
    return {**_window(node), "count_include_pad": 1}


def _conv(node: Operator) -> dict[str, Any]:
    d = node.plan
    return {**_window(node), "dilations": [d.dh, d.dw][4 - node.ndim :], "group": d.groups}


WITH_ATTRIBUTES: dict[str, tuple[str, Callable[[Operator], dict[str, Any]]]] = {
    "avg_pool1d": ("AveragePool", _average),
    "avg_pool2d": ("AveragePool", _average),
    "concatenate": ("Concat", lambda node: {"axis": node.plan[0]}),
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
    kind, axes = {"argmax": "ArgMax", "argmin": "ArgMin"}[node.rule.name], node.plan.axes
    if len(axes) != 1:
        x, axes = build.op("Reshape", x, build.integers([-1])), (0,)
    place = build.op(kind, x, axis=axes[0], keepdims=0)
    return build.op("Reshape", place, build.shape(node, one_unknown=True))


# ---------------- shapes
@converts("stack")
def _stack(build: GraphBuilder, node: Operator, *xs: str) -> str:
    axis = build.integers([node.plan[0]])
    return build.op("Concat", *(build.op("Unsqueeze", x, axis) for x in xs), axis=node.plan[0])


@converts("pad")
def _pad(build: GraphBuilder, node: Operator, x: str) -> str:
    before, after = zip(*node.plan, strict=True) if node.plan else ((), ())
    value = build.number(node.attributes.get("value", 0), node)
    return build.op("Pad", x, build.integers(before + after), value)


# ---------------- indexing
@converts("getitem")
def _getitem(build: GraphBuilder, node: Operator, x: str, *indices: str) -> str:
    """Slices and integers first, then arrays of integers, then new axes."""
    if x in build.parts:
        if node.plan not in build.parts[x]:
            raise no_converter(node.inputs[0], f" for what {node!r} picks of it")
        return build.parts[x][node.plan]
    key = _full_key(node.plan, node.inputs[0].ndim)
    axes = [part for part in key if part is not None]
    if indices:
        picked = [axis for axis, part in enumerate(axes) if not isinstance(part, slice)]
        if len(picked) > 1 or len(axes) < len(key) or node.inputs[1].dtype.kind == "b":
            raise no_converter(
                node, " where nodes are indices, but for integers along one axis beside slices"
            )
        x = _slice(build, x, axes)
        return build.op("Gather", x, _ids(build, node, 1, indices[0]), axis=picked[0])
    if any(isinstance(part, np.ndarray) for part in axes):
        x = _gather(build, _slice(build, x, axes), key)
    else:  # an integer is a slice of length 1 whose axis is dropped
        x = _slice(build, x, [_as_slice(part) for part in axes])
        if all(isinstance(part, slice) for part in key):
            return x
    return build.op("Reshape", x, build.shape(node, one_unknown=True))


def _full_key(key: tuple[Any, ...], ndim: int) -> list[Any]:
    """The key with a part for each axis: no ellipsis, and masks as the integers they stand for."""
    parts: list[Any] = []
    for part in key:
        mask = isinstance(part, np.ndarray) and part.dtype == bool
        parts += [array.astype(np.int64) for array in part.nonzero()] if mask else [part]
    rest = ndim - sum(part is not None and part is not ... for part in parts)
    at = next((i for i, part in enumerate(parts) if part is ...), len(parts))
    return [*parts[:at], *[slice(None)] * rest, *parts[at + 1 :]]


def _as_slice(part: Any) -> slice:
    return part if isinstance(part, slice) else slice(part, part + 1 or None)


def _slice(build: GraphBuilder, x: str, axes: Sequence[Any]) -> str:
    """Apply the slices of a key."""
    cuts = []
    for axis, part in enumerate(axes):
        if isinstance(part, slice) and part != slice(None):
            step = part.step or 1
            first, last = (0, INT64.max) if step > 0 else (INT64.max, INT64.min)
            start = first if part.start is None else part.start
            cuts.append((start, last if part.stop is None else part.stop, axis, step))
    return build.op("Slice", x, *map(build.integers, zip(*cuts, strict=True))) if cuts else x


def _gather(build: GraphBuilder, x: str, key: Sequence[Any]) -> str:
    """Select by arrays as NumPy does: their axes replace the arrays where these are adjacent, and
    come first where they are not.
    """
    axes = [part for part in key if part is not None]
    picked = [axis for axis, part in enumerate(axes) if not isinstance(part, slice)]
    rest = [axis for axis, part in enumerate(axes) if isinstance(part, slice)]
    arrays = (np.asarray(axes[axis], np.int64) for axis in picked)
    indices = np.stack(np.broadcast_arrays(*arrays), axis=-1)
    x = build.op("Transpose", x, perm=[*picked, *rest])
    x = build.op("GatherND", x, build.constant(indices))
    places = [i for i, part in enumerate(key) if not isinstance(part, slice | None)]
    adjacent = places[-1] - places[0] + 1 == len(places)
    old = sum(isinstance(part, slice) for part in key[: places[0]]) if adjacent else 0
    new = indices.ndim - 1
    perm = [*range(new, new + old), *range(new), *range(new + old, new + len(rest))]
    return build.op("Transpose", x, perm=perm)


# ---------------- products
@converts("einsum")
def _einsum(build: GraphBuilder, node: Operator, *xs: str) -> str:
    """ONNX does not broadcast in Einsum: axes of length 1 that would be broadcast are removed."""
    axes = [
        list(zip(term, x.shape, strict=True))
        for term, x in zip(node.plan.inputs, node.inputs, strict=True)
    ]
    longest = dict(sorted(pair for term in axes for pair in term))
    names, terms = [], []
    for x, term in zip(xs, axes, strict=True):
        gone = [i for i, (letter, n) in enumerate(term) if n != longest[letter]]
        names.append(build.op("Squeeze", x, build.integers(gone)) if gone else x)
        terms.append("".join(letter for i, (letter, _) in enumerate(term) if i not in gone))
    return build.op("Einsum", *names, equation=f"{','.join(terms)}->{node.plan.result}")


@converts("linear")
def _linear(build: GraphBuilder, node: Operator, x: str, weight: str, *bias: str) -> str:
    if node.inputs[0].ndim == 2:
        return build.op("Gemm", x, weight, *bias, transB=1)
    product = build.op("MatMul", x, build.op("Transpose", weight, perm=[1, 0]))
    return build.op("Add", product, *bias) if bias else product


# ---------------- recurrent layers
def _recurrent(
    build: GraphBuilder, node: Operator, xs: Sequence[str], gates: Sequence[int], **options: Any
) -> list[str]:
    """A recurrent layer of one direction; `gates` are the places of ONNX's gates among ours.

    Returns the states of all steps, and the last value of each state.
    """
    count, hidden = len(node.inputs) - 5, node.plan.hidden  # x and four parameters
    rows = build.constant(np.concatenate([np.arange(hidden) + k * hidden for k in gates]))
    direction = build.integers([0])
    parameters = [build.op("Gather", p, rows, axis=0) for p in xs[1 + count :]]
    w, v, bias = *parameters[:2], build.op("Concat", *parameters[2:], axis=0)
    unsqueezed = [build.op("Unsqueeze", a, direction) for a in (w, v, bias, *xs[1 : 1 + count])]
    unsqueezed.insert(3, "")  # the lengths of the sequences
    results = build.ops(
        node.rule.name.upper(), 1 + count, xs[0], *unsqueezed, hidden_size=hidden, **options
    )
    # The axis of directions comes second in the states of all steps, first in the last ones.
    axes = [build.integers([1]), *[direction] * count]
    return [build.op("Squeeze", *pair) for pair in zip(results, axes, strict=True)]


@converts("rnn")
def _rnn(build: GraphBuilder, node: Operator, *xs: str) -> str:
    return _recurrent(build, node, xs, [0], activations=["Relu" if node.plan.relu else "Tanh"])[0]


@converts("gru")
def _gru(build: GraphBuilder, node: Operator, *xs: str) -> str:
    """ONNX's gates are z, r, h; ours r, z, new. r scales what V gives: linear_before_reset."""
    return _recurrent(build, node, xs, [1, 0, 2], linear_before_reset=1)[0]


@converts("lstm")
def _lstm(build: GraphBuilder, node: Operator, *xs: str) -> str:
    """ONNX's gates are i, o, f, c; ours i, f, g, o.

    It keeps c of the last step only. Of the node's value there are h of all steps, [0], and the
    last c, [1, -1]: what `mg.lstm` returns.
    """
    h, _, c = _recurrent(build, node, xs, [0, 3, 1, 2])
    return build.in_parts({(0,): h, (1, -1): c})


# ---------------- normalisation
@converts("batch_norm")
def _batch_norm(build: GraphBuilder, node: Operator, x: str, *affine: str) -> str:
    """In evaluation mode; in training mode it is decomposed."""
    held, missing = node.attributes, (1, 0)[len(affine) :]
    given = [build.constant(np.full(node.plan[1], n, node.dtype)) for n in missing]
    statistics = [build.leaf(held["running_mean"]), build.leaf(held["running_var"])]
    return build.op("BatchNormalization", x, *affine, *given, *statistics, epsilon=held["eps"])


@converts("layer_norm")
def _layer_norm(build: GraphBuilder, node: Operator, x: str, *affine: str) -> str:
    axes = len(node.attributes["axes"])
    scale = affine or [build.constant(np.ones(node.shape[-axes:], node.dtype))]
    return build.op("LayerNormalization", x, *scale, axis=-axes, epsilon=node.attributes["eps"])
