"""Hypothesis strategies for every row of the table of operators: shapes that fit together, options,
dtypes, layouts.

The numbers themselves come from the row's domains and a seed that Hypothesis draws: what it shrinks
are shapes and options.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from operators import SMOOTH, TABLE
from oracle import LAYOUTS, Case, Row, few, lay_out

Draw = Callable[[st.SearchStrategy[Any]], Any]
TIED = {"max", "min", "max_pool1d", "max_pool2d"}  # where equal entries make a kink


@dataclass(frozen=True)
class Drawn(Case):
    """A case with numbers of its own: the seed they come from, and how each operand and the
    cotangent lie in memory.
    """

    seed: int = 0
    dtype: str = "float64"
    layouts: tuple[str, ...] = ("C",)

    def __str__(self) -> str:
        return f"{super().__str__()}-{self.seed}-{','.join(self.layouts)}"

    def laid_out(self, i: int, x: np.ndarray) -> np.ndarray:
        return lay_out(x, self.layouts[i % len(self.layouts)])

    @cached_property
    def operands(self) -> list[np.ndarray]:
        return [self.laid_out(i, x) for i, x in enumerate(super().operands)]

    def cotangent(self, shape: tuple[int, ...]) -> np.ndarray:
        g = np.asarray(np.random.default_rng(self.seed).normal(size=shape), np.float32).astype(
            np.float64
        )
        return self.laid_out(len(self.shapes), g)

    @property
    def smooth(self) -> bool:
        """Has it a slope where it is, for finite differences to measure?"""
        tied = self.row.name in TIED and "broadcast" in self.layouts
        return few not in self.row.domains and not tied and any(self.row is row for row in SMOOTH)


# ---------------- shapes and options, by the name of the rule
def shape(draw: Draw, least: int = 0, axes: int = 0, most: int = 3) -> tuple[int, ...]:
    """A shape of at least so many axes, each at least so long."""
    return draw(hnp.array_shapes(min_dims=axes, max_dims=most, min_side=least, max_side=3))


def size(draw: Draw, least: int = 1, most: int = 3) -> int:
    return draw(st.integers(least, most))


def some_axes(draw: Draw, ndim: int) -> Any:
    """None, one axis or several, counted from either end."""
    one = st.integers(-ndim, ndim - 1) if ndim else st.none()
    several = (
        st.lists(one, unique_by=lambda a: a % ndim, max_size=ndim).map(tuple)
        if ndim
        else st.just(())
    )
    return draw(st.one_of(st.none(), one, several))


def elementwise(draw: Draw, row: Row) -> Any:
    count = len(row.calls[0][0])
    shapes = hnp.mutually_broadcastable_shapes(num_shapes=count, max_dims=3, min_side=0, max_side=3)
    options = {
        name: draw(st.sampled_from([0.0, 0.1, 0.3, 0.8])) for name in OPTIONS.get(row.name, ())
    }
    if row.name == "clip":
        options = {
            name: draw(st.sampled_from([None, value - 0.4]))
            for name, value in zip(options, (0, 1), strict=True)
        }
    return draw(shapes).input_shapes, options


OPTIONS = {"leaky_relu": ["negative_slope"], "elu": ["alpha"], "clip": ["low", "high"]}


def reduction(draw: Draw, row: Row) -> Any:
    x = shape(draw, least=0 if row.name == "sum" else 1)
    return (x,), {"axis": some_axes(draw, len(x)), "keepdims": draw(st.booleans())}


def position(draw: Draw, row: Row) -> Any:
    x = shape(draw, least=1)
    axis = st.integers(-len(x), len(x) - 1) if x else st.none()
    return (x,), {"axis": draw(st.one_of(st.none(), axis)), "keepdims": draw(st.booleans())}


def as_listed(draw: Draw, row: Row) -> Any:
    """One of the table's own calls: what must fit together there, chance would seldom find."""
    return draw(st.sampled_from(row.calls))


def along_axis(draw: Draw, row: Row) -> Any:
    x = shape(draw, least=1, axes=1)
    return (x,), {"axis": draw(st.integers(-len(x), len(x) - 1))}


def reshape(draw: Draw, row: Row) -> Any:
    if "start_axis" in row.calls[1][1]:
        x = shape(draw, least=1)  # JAX cannot guess a -1 among no entries
        return (x,), {"start_axis": draw(st.integers(0, len(x) - 1))} if x else {}
    x = shape(draw)
    goal = list(draw(st.permutations(x)))
    if goal and 0 not in x and draw(st.booleans()):
        goal[draw(st.integers(0, len(goal) - 1))] = -1
    return (x,), {"shape": tuple([1] * draw(st.integers(0, 1)) + goal)}


def transpose(draw: Draw, row: Row) -> Any:
    x = shape(draw)
    axes = [a - len(x) * draw(st.integers(0, 1)) for a in draw(st.permutations(range(len(x))))]
    return (x,), {"axes": tuple(axes)} if draw(st.booleans()) else {}


def getitem(draw: Draw, row: Row) -> Any:
    if "key" not in row.calls[0][1]:
        return as_listed(draw, row)
    x = shape(draw, least=1, axes=1)
    basic = hnp.basic_indices(x, allow_newaxis=True, max_dims=4)
    return (x,), {
        "key": draw(
            st.one_of(
                basic, hnp.integer_array_indices(x, result_shape=hnp.array_shapes(max_side=3))
            )
        )
    }


def join(draw: Draw, row: Row) -> Any:
    x, count = shape(draw, axes=1), size(draw, 1, 4)
    if row.name == "stack":
        return (x,) * count, {"axis": draw(st.integers(-len(x) - 1, len(x)))}
    axis = draw(st.integers(-len(x), len(x) - 1))
    at = axis % len(x)
    return tuple((*x[:at], size(draw, 0), *x[at + 1 :]) for _ in range(count)), {"axis": axis}


def pad(draw: Draw, row: Row) -> Any:
    x = shape(draw, axes=1)
    pair = st.tuples(st.integers(0, 2), st.integers(0, 2))
    return (x,), {
        "pad_width": draw(st.tuples(*[pair] * len(x))),
        "value": draw(st.sampled_from([0, 0.5])),
    }


def broadcast_to(draw: Draw, row: Row) -> Any:
    goal = shape(draw)
    own = [n if draw(st.booleans()) else 1 for n in goal][draw(st.integers(0, len(goal))) :]
    return (tuple(own),), {"shape": goal}


def matmul(draw: Draw, row: Row) -> Any:
    kinds = hnp.mutually_broadcastable_shapes(
        signature=np.matmul.signature, max_dims=2, min_side=0, max_side=3
    )
    return draw(kinds).input_shapes, {}


def linear(draw: Draw, row: Row) -> Any:
    rows, columns = size(draw, 0), size(draw)
    return ((*shape(draw, most=2), rows), (columns, rows), (columns,))[: size(draw, 2)], {}


def windows(draw: Draw, axes: int, pooled: bool) -> Any:
    """Sizes of a picture and options of a sliding window that fit together, one per axis."""
    sizes, kernels, strides, paddings, dilations = [], [], [], [], []
    for _ in range(axes):
        n, d = size(draw, 1, 6), 1 if pooled else size(draw, 1, 2)
        p = draw(st.integers(0, 2))
        k = draw(
            st.integers(
                max(1, 2 * p) if pooled else 1,
                max((n + 2 * p - 1) // d + 1, 2 * p if pooled else 1),
            )
        )
        for found, value in zip(
            (sizes, kernels, strides, paddings, dilations), (n, k, size(draw), p, d), strict=True
        ):
            found.append(value)
    return (
        sizes,
        kernels,
        {"stride": tuple(strides), "padding": tuple(paddings), "dilation": tuple(dilations)},
    )


def conv(draw: Draw, row: Row) -> Any:
    sizes, kernel, options = windows(draw, int(row.name[4]), pooled=False)
    groups, inputs, outputs = size(draw, 1, 2), size(draw, 1, 2), size(draw, 1, 2)
    shapes = (
        (size(draw, 0), groups * inputs, *sizes),
        (groups * outputs, inputs, *kernel),
        (groups * outputs,),
    )
    return shapes[: size(draw, 2)], {**options, "groups": groups}


def conv_transpose(draw: Draw, row: Row) -> Any:
    sizes, kernel, options = windows(draw, int(row.name[-2]), pooled=False)
    # none less than the kernel reaches beyond the padding
    options["padding"] = tuple(
        min(p, (k - 1) // 2) for p, k in zip(options["padding"], kernel, strict=True)
    )
    groups, inputs, outputs = size(draw, 1, 2), size(draw, 1, 2), size(draw, 1, 2)
    more = tuple(draw(st.integers(0, s - 1)) for s in options["stride"])
    shapes = (
        (size(draw, 0), groups * inputs, *sizes),
        (groups * inputs, outputs, *kernel),
        (groups * outputs,),
    )
    return shapes[: size(draw, 2)], {**options, "output_padding": more, "groups": groups}


def reverse_sequence(draw: Draw, row: Row) -> Any:
    n = size(draw, 0)
    return ((*shape(draw, most=1), size(draw, 4, 5), n, size(draw)), (n,)), {}


def pool(draw: Draw, row: Row) -> Any:
    sizes, kernel, options = windows(draw, int(row.name[-2]), pooled=True)
    options.pop("dilation")
    return ((size(draw, 0, 2), size(draw, 1, 2), *sizes),), {
        "kernel_size": tuple(kernel),
        **options,
    }


def recurrent(draw: Draw, row: Row) -> Any:
    states, gates = {"rnn": (1, 1), "lstm": (2, 4), "gru": (1, 3)}[row.name]
    t, n, k, m = size(draw, 0), size(draw, 0, 6), size(draw), size(draw)
    shapes = (
        (t, n, k),
        *((n, m),) * states,
        (gates * m, k),
        (gates * m, m),
        (gates * m,),
        (gates * m,),
    )
    return shapes, {
        "nonlinearity": draw(st.sampled_from(["tanh", "relu"]))
    } if row.name == "rnn" else {}


def embedding(draw: Draw, row: Row) -> Any:
    return (shape(draw, most=2), (size(draw, 4, 6), size(draw))), {}


def batch_norm(draw: Draw, row: Row) -> Any:
    training = any("eps" in options for _, options in row.calls)
    channels = size(draw) if training else 3
    x = (size(draw, 2 if training else 1), channels, *shape(draw, least=1, most=2))
    return (x, (channels,), (channels,))[: size(draw)], {"eps": draw(EPS)} if training else {}


def layer_norm(draw: Draw, row: Row) -> Any:
    last = shape(draw, least=1, axes=1, most=2)
    return (shape(draw, most=2) + last, last, last)[: size(draw)], {
        "normalized_shape": last,
        "eps": draw(EPS),
    }


EPS = st.sampled_from(
    [0.01, 0.3]
)  # not so small that a variance near 0 leaves float32 without digits


def dropout(draw: Draw, row: Row) -> Any:
    return (shape(draw),), {
        "p": draw(st.sampled_from([0.0, 0.2, 0.5, 1.0])),
        "seed": draw(st.integers(0, 9)),
    }


def pair(draw: Draw, row: Row) -> Any:
    return (shape(draw, least=1),) * 2, {}


def cross_entropy(draw: Draw, row: Row) -> Any:
    n = size(draw)
    return ((n, size(draw, 3, 5)), (n,)), {}


STRATEGIES: dict[str, Callable[[Draw, Row], Any]] = {
    **dict.fromkeys(["sum", "mean", "max", "min", "logsumexp", "prod", "norm"], reduction),
    **dict.fromkeys(["softmax", "log_softmax", "cumsum", "cumprod", "argsort"], along_axis),
    **dict.fromkeys(["argmax", "argmin"], position),
    **dict.fromkeys(["concatenate", "stack"], join),
    **dict.fromkeys(["conv1d", "conv2d"], conv),
    **dict.fromkeys(["conv_transpose1d", "conv_transpose2d"], conv_transpose),
    **dict.fromkeys(["max_pool1d", "max_pool2d", "avg_pool1d", "avg_pool2d"], pool),
    **dict.fromkeys(["rnn", "lstm", "gru"], recurrent),
    **dict.fromkeys(["mse_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits"], pair),
    "reshape": reshape,
    "transpose": transpose,
    "getitem": getitem,
    "pad": pad,
    "broadcast_to": broadcast_to,
    "matmul": matmul,
    "linear": linear,
    "embedding": embedding,
    "reverse_sequence": reverse_sequence,
    "batch_norm": batch_norm,
    "layer_norm": layer_norm,
    "dropout": dropout,
    "cross_entropy": cross_entropy,
    "einsum": as_listed,
}


@st.composite
def drawn(
    draw: Draw, row: Row, layouts: tuple[str, ...] = LAYOUTS, dtypes: Any = ("float64", "float32")
) -> Drawn:
    """A case of the row; rules without a strategy of their own are elementwise ones."""
    shapes, options = STRATEGIES.get(row.name, elementwise)(draw, row)
    held = tuple(draw(st.sampled_from(layouts)) for _ in (*shapes, "the cotangent"))
    return Drawn(
        row,
        tuple(shapes),
        options,
        draw(st.integers(0, 2**16)),
        draw(st.sampled_from(dtypes)),
        held,
    )


ROWS = {f"{row.name}-{i}": row for i, row in enumerate(TABLE)}
