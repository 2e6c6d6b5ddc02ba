"""What each operator is in ONNX: one entry per rule, `form(sheet, node, names of the inputs) ->
name of the result`.

A `Sheet` (see `onnx.py`) writes ONNX operators down. Names and meanings of those are in
https://onnx.ai/onnx/operators (operator set 17).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import GraphError
from ..graph.node import GraphNode
from ..graph.rule import Operator

if TYPE_CHECKING:
    from .onnx import Sheet

Form = Callable[["Sheet", Operator, list[str]], str]
FORMS: dict[str, Form] = {}
#: rules without a form, and why
WITHOUT = {"dropout": "it is random", "cumprod": "ONNX has no running product"}
END, BEGINNING = np.iinfo(np.int64).max, np.iinfo(np.int64).min  # of an axis, as a limit of Slice


def no_form(node: GraphNode, why: str = "") -> GraphError:
    """The error about what cannot be written: it names the operator."""
    name = node.rule.name if isinstance(node, Operator) else type(node).__name__
    why = why or (f", for {WITHOUT[name]}" if name in WITHOUT else "")
    return GraphError(f"export_onnx: the operator {name} has no ONNX form{why}: {node!r}")


def form(*rules: str) -> Callable[[Form], Form]:
    """Decorator: the function is the form of these rules."""

    def register(function: Form) -> Form:
        FORMS.update(dict.fromkeys(rules, function))
        return function

    return register


# ---------------- elementwise
def _same_kind(sheet: Sheet, node: Operator, xs: Sequence[str]) -> list[str]:
    """The inputs in the one dtype to which NumPy would bring them: x * (x > 0)."""
    dtypes = [x.dtype for x in node.inputs]
    wanted = np.result_type(*dtypes)
    if node.dtype.kind == "b" and wanted.kind != "f":
        wanted = np.dtype(np.int64)  # comparisons know no booleans
    return [
        x if dtype == wanted else sheet.cast(x, wanted) for x, dtype in zip(xs, dtypes, strict=True)
    ]


def _elementwise(kind: str) -> Form:
    return lambda sheet, node, xs: sheet.op(kind, *_same_kind(sheet, node, xs))


FORMS.update(
    {
        "add": _elementwise("Add"),
        "subtract": _elementwise("Sub"),
        "multiply": _elementwise("Mul"),
        "divide": _elementwise("Div"),
        "negative": _elementwise("Neg"),
        "power": _elementwise("Pow"),
        "exp": _elementwise("Exp"),
        "log": _elementwise("Log"),
        "sqrt": _elementwise("Sqrt"),
        "sin": _elementwise("Sin"),
        "cos": _elementwise("Cos"),
        "tanh": _elementwise("Tanh"),
        "abs": _elementwise("Abs"),
        "sign": _elementwise("Sign"),
        "sigmoid": _elementwise("Sigmoid"),
        "relu": _elementwise("Relu"),
        "softplus": _elementwise("Softplus"),
        "maximum": _elementwise("Max"),
        "minimum": _elementwise("Min"),
        "equal": _elementwise("Equal"),
        "less": _elementwise("Less"),
        "less_equal": _elementwise("LessOrEqual"),
        "greater": _elementwise("Greater"),
        "greater_equal": _elementwise("GreaterOrEqual"),
        "not_equal": lambda sheet, node, xs: sheet.op("Not", FORMS["equal"](sheet, node, xs)),
        "leaky_relu": lambda sheet, node, xs: sheet.op(
            "LeakyRelu", *xs, alpha=float(node.attributes["slope"])
        ),
    }
)


# ---------------- further functions of one number
FORMS.update(
    {
        "tan": _elementwise("Tan"),
        "arcsin": _elementwise("Asin"),
        "arccos": _elementwise("Acos"),
        "arctan": _elementwise("Atan"),
        "sinh": _elementwise("Sinh"),
        "cosh": _elementwise("Cosh"),
        "arcsinh": _elementwise("Asinh"),
        "arccosh": _elementwise("Acosh"),
        "arctanh": _elementwise("Atanh"),
        "erf": _elementwise("Erf"),
        "reciprocal": _elementwise("Reciprocal"),
        "square": lambda sheet, node, xs: sheet.op("Mul", *xs, *xs),
        "floor": _elementwise("Floor"),
        "ceil": _elementwise("Ceil"),
        "rint": _elementwise("Round"),
        "trunc": lambda sheet, node, xs: sheet.op(
            "Mul", sheet.op("Sign", *xs), sheet.op("Floor", sheet.op("Abs", *xs))
        ),
        # near 0 these lose the digits that ours keep: ONNX has nothing else
        "expm1": lambda sheet, node, xs: sheet.op(
            "Sub", sheet.op("Exp", *xs), sheet.number(1, node)
        ),
        "log1p": lambda sheet, node, xs: sheet.op(
            "Log", sheet.op("Add", *xs, sheet.number(1, node))
        ),
        "log2": lambda sheet, node, xs: sheet.op(
            "Div", sheet.op("Log", *xs), sheet.number(np.log(2), node)
        ),
        "log10": lambda sheet, node, xs: sheet.op(
            "Div", sheet.op("Log", *xs), sheet.number(np.log(10), node)
        ),
    }
)


def _test(kind: str, wanted: type) -> Form:
    """Tests that ONNX has for one kind of number only."""

    def write(sheet: Sheet, node: Operator, xs: list[str]) -> str:
        dtype, given = np.dtype(wanted), zip(xs, node.inputs, strict=True)
        return sheet.op(
            kind,
            *(name if x.dtype.kind == dtype.kind else sheet.cast(name, dtype) for name, x in given),
        )

    return write


FORMS.update(
    {
        "isnan": _test("IsNaN", np.float32),
        "isinf": _test("IsInf", np.float32),
        "isfinite": lambda sheet, node, xs: sheet.op(
            "Not", sheet.op("Or", FORMS["isnan"](sheet, node, xs), FORMS["isinf"](sheet, node, xs))
        ),
        "logical_and": _test("And", bool),
        "logical_or": _test("Or", bool),
        "logical_not": _test("Not", bool),
    }
)


@form("gelu")
def _gelu(sheet: Sheet, node: Operator, xs: list[str]) -> str:
    cdf = sheet.op("Erf", sheet.op("Mul", *xs, sheet.number(0.5**0.5, node)))
    return sheet.op(
        "Mul",
        *xs,
        sheet.op("Mul", sheet.op("Add", cdf, sheet.number(1, node)), sheet.number(0.5, node)),
    )


@form("where")
def _where(sheet: Sheet, node: Operator, xs: list[str]) -> str:
    return sheet.op("Where", sheet.cast(xs[0], np.dtype(bool)), *xs[1:])


@form("clip")
def _clip(sheet: Sheet, node: Operator, xs: list[str]) -> str:
    limits = (node.attributes["low"], node.attributes["high"])
    return sheet.op(
        "Clip", *xs, *("" if limit is None else sheet.number(limit, node) for limit in limits)
    )


# ---------------- reductions
def _reduction(kind: str) -> Form:
    def write(sheet: Sheet, node: Operator, xs: list[str]) -> str:
        kept, axes = int(bool(node.attributes.get("keepdims"))), node.plan.axes
        if not axes:
            return sheet.op("Identity", *xs)
        if kind == "ReduceSum":  # in this operator set the only one that takes axes as an input
            return sheet.op(kind, *xs, sheet.integers(axes), keepdims=kept)
        return sheet.op(kind, *xs, axes=list(axes), keepdims=kept)

    return write


FORMS.update(
    {
        "sum": _reduction("ReduceSum"),
        "mean": _reduction("ReduceMean"),
        "max": _reduction("ReduceMax"),
        "min": _reduction("ReduceMin"),
        "logsumexp": _reduction("ReduceLogSumExp"),
        "prod": _reduction("ReduceProd"),
        "cumsum": lambda sheet, node, xs: sheet.op(
            "CumSum", *xs, sheet.constant(np.int64(node.plan))
        ),
        "softmax": lambda sheet, node, xs: sheet.op("Softmax", *xs, axis=node.plan),
        "log_softmax": lambda sheet, node, xs: sheet.op("LogSoftmax", *xs, axis=node.plan),
    }
)


@form("norm")
def _norm(sheet: Sheet, node: Operator, xs: list[str]) -> str:
    return _reduction("ReduceL2")(sheet, node, xs) if node.plan.axes else sheet.op("Abs", *xs)


@form("argmax", "argmin")
def _place(sheet: Sheet, node: Operator, xs: list[str]) -> str:
    kind = {"argmax": "ArgMax", "argmin": "ArgMin"}[node.rule.name]
    if len(node.plan.axes) == 1:
        return sheet.op(
            kind, *xs, axis=node.plan.axes[0], keepdims=int(bool(node.attributes.get("keepdims")))
        )
    place = sheet.op(kind, sheet.op("Reshape", *xs, sheet.integers([-1])), axis=0, keepdims=0)
    return sheet.op("Reshape", place, sheet.integers(node.shape))


# ---------------- shapes
FORMS.update(
    {
        "reshape": lambda sheet, node, xs: sheet.op(
            "Reshape", *xs, sheet.shape(node, one_unknown=True)
        ),
        "broadcast_to": lambda sheet, node, xs: sheet.op("Expand", *xs, sheet.shape(node)),
        "transpose": lambda sheet, node, xs: sheet.op(
            "Transpose", *xs, **({"perm": list(node.plan)} if node.plan else {})
        ),
        "concatenate": lambda sheet, node, xs: sheet.op("Concat", *xs, axis=node.plan[0]),
    }
)


@form("stack")
def _stack(sheet: Sheet, node: Operator, xs: list[str]) -> str:
    axis = node.plan[0]
    return sheet.op(
        "Concat", *(sheet.op("Unsqueeze", x, sheet.integers([axis])) for x in xs), axis=axis
    )


@form("pad")
def _pad(sheet: Sheet, node: Operator, xs: list[str]) -> str:
    before, after = zip(*node.plan, strict=True) if node.plan else ((), ())
    return sheet.op(
        "Pad",
        *xs,
        sheet.integers(before + after),
        sheet.number(node.attributes.get("value", 0), node),
    )


@form("getitem")
def _getitem(sheet: Sheet, node: Operator, xs: list[str]) -> str:
    """Slices first, then integers and arrays of integers, then new axes."""
    x = xs[0]
    if x in sheet.parts:
        if node.plan not in sheet.parts[x]:
            raise no_form(node.inputs[0], f" for what {node!r} picks of it")
        return sheet.parts[x][node.plan]
    parts = _parts(node.plan, node.inputs[0].ndim)
    x = _slices(sheet, x, parts)
    if len(xs) > 1:
        places = [i for i, part in enumerate(parts) if not isinstance(part, slice)]
        if len(places) > 1 or node.inputs[1].dtype.kind == "b":
            raise no_form(
                node, " where nodes are indices, but for integers along one axis beside slices"
            )
        return sheet.op("Gather", x, sheet.cast(xs[1], np.dtype(np.int64)), axis=places[0])
    arrays = any(isinstance(part, np.ndarray) for part in parts)
    items = [
        None if part is None else "axis"
        for part in parts
        if part is None or arrays or isinstance(part, slice)
    ]
    if arrays:
        x, items = _gather(sheet, x, parts)
    else:
        axes = [part for part in parts if part is not None]
        for axis in reversed(range(len(axes))):
            if not isinstance(axes[axis], slice):
                x = sheet.op("Gather", x, sheet.constant(np.int64(axes[axis])), axis=axis)
    new = [i for i, item in enumerate(items) if item is None]
    return sheet.op("Unsqueeze", x, sheet.integers(new)) if new else sheet.op("Identity", x)


def _parts(key: tuple[Any, ...], axes: int) -> list[Any]:
    """A key with a part for each axis: no ellipsis, and masks as the integers that they stand
    for.
    """
    parts: list[Any] = []
    for part in key:
        mask = isinstance(part, np.ndarray) and part.dtype == bool
        parts += [array.astype(np.int64) for array in part.nonzero()] if mask else [part]
    rest = axes - sum(part is not None and part is not ... for part in parts)
    at = next((i for i, part in enumerate(parts) if part is ...), len(parts))
    return [*parts[:at], *[slice(None)] * rest, *parts[at + 1 :]]


def _slices(sheet: Sheet, x: str, parts: list[Any]) -> str:
    """Cut the axes that are cut by slices."""
    axes = [part for part in parts if part is not None]
    cut = [
        axis for axis, part in enumerate(axes) if isinstance(part, slice) and part != slice(None)
    ]
    if not cut:
        return x
    steps = [axes[axis].step or 1 for axis in cut]
    usual = [(0, END) if step > 0 else (END, BEGINNING) for step in steps]
    starts = [
        a if axes[axis].start is None else axes[axis].start
        for axis, (a, _) in zip(cut, usual, strict=True)
    ]
    ends = [
        b if axes[axis].stop is None else axes[axis].stop
        for axis, (_, b) in zip(cut, usual, strict=True)
    ]
    return sheet.op("Slice", x, *map(sheet.integers, (starts, ends, cut, steps)))


def _gather(sheet: Sheet, x: str, parts: list[Any]) -> tuple[str, list[Any]]:
    """Pick by arrays as NumPy does: their axes stand where the arrays stood, or first where
    something stood between them.

    Returns the result and what its axes are, None for those that are still to be added.
    """
    axes = [part for part in parts if part is not None]
    picked = [axis for axis, part in enumerate(axes) if not isinstance(part, slice)]
    indices = np.stack(
        np.broadcast_arrays(*(np.asarray(axes[axis], np.int64) for axis in picked)), axis=-1
    )
    rest = [axis for axis in range(len(axes)) if axis not in picked]
    x = sheet.op("Transpose", x, perm=[*picked, *rest])
    x = sheet.op("GatherND", x, sheet.constant(indices))
    places = [i for i, part in enumerate(parts) if part is not None and not isinstance(part, slice)]
    together = places[-1] - places[0] + 1 == len(places)
    before = parts[: places[0]] if together else []
    after = [part for i, part in enumerate(parts) if i >= len(before) and i not in places]
    new, old = indices.ndim - 1, sum(part is not None for part in before)
    perm = [*range(new, new + old), *range(new), *range(new + old, new + len(rest))]
    return sheet.op("Transpose", x, perm=perm), [*before, *["picked"] * new, *after]


# ---------------- products, convolution, pooling, lookup
FORMS["matmul"] = _elementwise("MatMul")


@form("einsum")
def _einsum(sheet: Sheet, node: Operator, xs: list[str]) -> str:
    """ONNX stretches no axes: those that would be go."""
    axes = [
        list(zip(term, x.shape, strict=True))
        for term, x in zip(node.plan.inputs, node.inputs, strict=True)
    ]
    longest = dict(sorted(pair for term in axes for pair in term))
    names, terms = [], []
    for x, term in zip(xs, axes, strict=True):
        gone = [i for i, (letter, n) in enumerate(term) if n != longest[letter]]
        names.append(sheet.op("Squeeze", x, sheet.integers(gone)) if gone else x)
        terms.append("".join(letter for i, (letter, _) in enumerate(term) if i not in gone))
    return sheet.op("Einsum", *names, equation=f"{','.join(terms)}->{node.plan.result}")


@form("linear")
def _linear(sheet: Sheet, node: Operator, xs: list[str]) -> str:
    if node.inputs[0].ndim == 2:
        return sheet.op("Gemm", *xs, transB=1)
    product = sheet.op("MatMul", xs[0], sheet.op("Transpose", xs[1], perm=[1, 0]))
    return sheet.op("Add", product, xs[2]) if len(xs) > 2 else product


@form("conv2d", "conv1d")
def _conv(sheet: Sheet, node: Operator, xs: list[str]) -> str:
    d, unused = node.plan, 4 - node.ndim
    pads = [d.ph, d.pw][unused:]
    return sheet.op(
        "Conv",
        *xs,
        strides=[d.sh, d.sw][unused:],
        pads=pads * 2,
        dilations=[d.dh, d.dw][unused:],
        group=d.groups,
        kernel_shape=[d.kh, d.kw][unused:],
    )


def _pool(kind: str, **options: Any) -> Form:
    def write(sheet: Sheet, node: Operator, xs: list[str]) -> str:
        d, unused = node.plan, 4 - node.ndim
        return sheet.op(
            kind,
            *xs,
            kernel_shape=[d.kh, d.kw][unused:],
            strides=[d.sh, d.sw][unused:],
            pads=[d.ph, d.pw][unused:] * 2,
            **options,
        )

    return write


FORMS.update(
    {
        "max_pool2d": _pool("MaxPool"),
        "max_pool1d": _pool("MaxPool"),
        "avg_pool2d": _pool("AveragePool", count_include_pad=1),
        "avg_pool1d": _pool("AveragePool", count_include_pad=1),
        "embedding": lambda sheet, node, xs: sheet.op(
            "Gather", xs[1], sheet.cast(xs[0], np.dtype(np.int64)), axis=0
        ),
    }
)


# ---------------- recurrence
def _recurrent(
    sheet: Sheet,
    node: Operator,
    kind: str,
    order: Sequence[int],
    x: str,
    states: list[str],
    parameters: list[str],
    outputs: int = 1,
    **options: Any,
) -> list[str]:
    """A layer of one direction, its blocks of rows (gates) in ONNX's order; `order` says which of
    ours each one is.
    """
    hidden = node.plan.hidden
    rows = sheet.constant(np.concatenate([np.arange(k * hidden, (k + 1) * hidden) for k in order]))
    w, v, b, c = (sheet.op("Gather", p, rows, axis=0) if len(order) > 1 else p for p in parameters)
    direction = sheet.integers([0])
    both = sheet.op("Concat", b, c, axis=0)
    starts = [sheet.op("Unsqueeze", state, direction) for state in states]
    wide = [sheet.op("Unsqueeze", p, direction) for p in (w, v, both)]
    results = sheet.ops(kind, outputs, x, *wide, "", *starts, hidden_size=hidden, **options)
    axes = [
        1,
        *[0] * (outputs - 1),
    ]  # where the direction stands in all states, and in the last ones
    return [
        sheet.op("Squeeze", y, sheet.integers([axis]))
        for y, axis in zip(results, axes, strict=True)
    ]


@form("rnn")
def _rnn(sheet: Sheet, node: Operator, xs: list[str]) -> str:
    activation = "Relu" if node.plan.relu else "Tanh"
    return _recurrent(sheet, node, "RNN", [0], xs[0], xs[1:2], xs[2:], activations=[activation])[0]


@form("gru")
def _gru(sheet: Sheet, node: Operator, xs: list[str]) -> str:
    """ONNX's gates are z, r, h; ours r, z, new. r acts on what V gives: linear_before_reset."""
    return _recurrent(sheet, node, "GRU", [1, 0, 2], xs[0], xs[1:2], xs[2:], linear_before_reset=1)[
        0
    ]


@form("lstm")
def _lstm(sheet: Sheet, node: Operator, xs: list[str]) -> str:
    """ONNX's gates are i, o, f, c; ours i, f, g, o. It keeps c of the last step only: of the node's
    value there are h of all steps, [0], and the last c, [1, -1]: what `mg.lstm` gives away.
    """
    h, _, c = _recurrent(sheet, node, "LSTM", [0, 3, 1, 2], xs[0], xs[1:3], xs[3:], outputs=3)
    return sheet.in_parts({(0,): h, (1, -1): c})


# ---------------- normalisation
@form("batch_norm")
def _batch_norm(sheet: Sheet, node: Operator, xs: list[str]) -> str:
    held, (x, *affine), channels = node.attributes, xs, node.plan[1]
    for value in (1, 0)[len(affine) :]:
        affine.append(sheet.constant(np.full(channels, value, node.dtype)))
    if not held["training"]:
        running = [sheet.leaf(held["running_mean"]), sheet.leaf(held["running_var"])]
        return sheet.op("BatchNormalization", x, *affine, *running, epsilon=held["eps"])
    axes, wide = [0, *range(2, node.ndim)], sheet.integers([1, -1, *[1] * (node.ndim - 2)])
    centred = sheet.op("Sub", x, sheet.op("ReduceMean", x, axes=axes, keepdims=1))
    var = sheet.op("ReduceMean", sheet.op("Mul", centred, centred), axes=axes, keepdims=1)
    z = sheet.op(
        "Div", centred, sheet.op("Sqrt", sheet.op("Add", var, sheet.number(held["eps"], node)))
    )
    w, b = (sheet.op("Reshape", name, wide) for name in affine)
    return sheet.op("Add", sheet.op("Mul", z, w), b)


@form("layer_norm")
def _layer_norm(sheet: Sheet, node: Operator, xs: list[str]) -> str:
    axes = len(node.attributes["axes"])
    scale = xs[1:] or [sheet.constant(np.ones(node.shape[-axes:], node.dtype))]
    return sheet.op("LayerNormalization", xs[0], *scale, axis=-axes, epsilon=node.attributes["eps"])


# ---------------- losses
@form("mse_loss")
def _mse(sheet: Sheet, node: Operator, xs: list[str]) -> str:
    difference = sheet.op("Sub", *xs)
    return sheet.op("ReduceMean", sheet.op("Mul", difference, difference), keepdims=0)


@form("binary_cross_entropy")
def _bce(sheet: Sheet, node: Operator, xs: list[str]) -> str:
    one, least = sheet.number(1, node), sheet.number(-100, node)
    terms = []
    for p, t in (xs, [sheet.op("Sub", one, x) for x in xs]):
        terms.append(sheet.op("Mul", t, sheet.op("Max", sheet.op("Log", p), least)))
    return sheet.op("Neg", sheet.op("ReduceMean", sheet.op("Add", *terms), keepdims=0))


@form("binary_cross_entropy_with_logits")
def _bce_with_logits(sheet: Sheet, node: Operator, xs: list[str]) -> str:
    return sheet.op(
        "ReduceMean", sheet.op("Sub", sheet.op("Softplus", xs[0]), sheet.op("Mul", *xs)), keepdims=0
    )


@form("cross_entropy")
def _cross_entropy(sheet: Sheet, node: Operator, xs: list[str]) -> str:
    return sheet.op(
        "SoftmaxCrossEntropyLoss", xs[0], sheet.cast(xs[1], np.dtype(np.int64)), reduction="mean"
    )
