"""The one table of operators: each rule, what JAX calls the same thing, and the operands to try it
on.

A new operator needs one row here; `ops/test_table.py` generates its tests and fails while the row
is missing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from oracle import Row, above_one, coin, each, few, ids, jax, odd, positive, real, unit

import minigrad as mg
from minigrad.graph.registry import by_name
from minigrad.ops.indexing import keep_integers

jnp, lax = jax.numpy, jax.lax
# broadcasting: equal, stretched, added axes, an axis of 1 that is not stretched, single numbers,
# nothing at all
PAIRS = [
    ((3,), (3,)),
    ((), ()),
    ((1,), (3, 1)),
    ((3, 1), (1, 4)),
    ((), (2, 3)),
    ((2, 3), ()),
    ((4, 2, 3), (3, 4, 1, 2, 3)),
    ((1, 3), (1, 3)),
    ((1, 0), (3, 1)),
]
ONE = [((),), ((1,),), ((2, 3),), ((0, 3),)]
ONE_ND = [((5,),), ((2, 3, 4),), ((1, 3, 1),)]

AXES = [{}, {"axis": 0}, {"axis": -1, "keepdims": True}, {"axis": ()}]
REDUCTIONS = [
    *each([((),), ((5,),)], {}, {"axis": (), "keepdims": True}),
    *each([((2, 3, 4),)], *AXES, {"axis": (0, -1)}, {"axis": [2, 1]}, {"keepdims": True}),
    (((3, 0),), {"axis": 0}),
]
EMPTY_REDUCTIONS = [
    (((0, 3),), {}),
    (((0, 3),), {"axis": 0}),
    (((3, 0),), {"axis": 1, "keepdims": True}),
]


# ---------------- what JAX has no single function for
def jax_conv(
    x: Any,
    w: Any,
    b: Any = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    n = x.ndim - 2
    s, p, d = (v if isinstance(v, tuple) else (v,) * n for v in (stride, padding, dilation))
    y = lax.conv_general_dilated(
        x, w, s, [(q, q) for q in p], rhs_dilation=d, feature_group_count=groups
    )
    return y if b is None else y + b.reshape(-1, *(1,) * n)


def jax_pool(
    x: Any, init: float, op: Any, kernel_size: Any, stride: Any = None, padding: Any = 0
) -> tuple[Any, int]:
    n = x.ndim - 2
    k, p = (v if isinstance(v, tuple) else (v,) * n for v in (kernel_size, padding))
    s = k if stride is None else stride if isinstance(stride, tuple) else (stride,) * n
    y = lax.reduce_window(
        x, init, op, (1, 1, *k), (1, 1, *s), [(0, 0), (0, 0), *((q, q) for q in p)]
    )
    return y, int(np.prod(k))


def jax_conv_transpose(
    x: Any,
    w: Any,
    b: Any = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """The gradient of a convolution of what has the result's size."""
    n = x.ndim - 2
    given = ((v,) * n if np.isscalar(v) else v for v in (stride, padding, output_padding, dilation))
    s, p, more, d = map(np.array, given)
    size = (np.array(x.shape[2:]) - 1) * s - 2 * p + d * (np.array(w.shape[2:]) - 1) + more + 1
    options = {"stride": tuple(s), "padding": tuple(p), "dilation": tuple(d), "groups": groups}
    whole = jnp.zeros((x.shape[0], w.shape[1] * groups, *size))
    (y,) = jax.vjp(lambda z: jax_conv(z, w, **options), whole)[1](x)
    return y if b is None else y + b.reshape(-1, *(1,) * n)


def lengths(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """From 1 to 4 steps; the last sample has most."""
    found = rng.integers(1, 5, shape)
    found[-1:] = 4
    return found


def jax_reverse_sequence(x: Any, lengths: Any) -> Any:
    t = jnp.arange(x.shape[-3])[:, None]
    source = lengths - 1 - t
    turned = x[..., jnp.maximum(source, 0), jnp.arange(len(lengths)), :]
    return jnp.where((source >= 0)[..., None], turned, 0)


def jax_max_pool(x: Any, dilation: Any = None, **options: Any) -> Any:
    if dilation is not None:  # JAX has no gradient of it
        return jax_dilated_pool(x, dilation, **options)
    return jax_pool(x, -jnp.inf, lax.max, **options)[0]


def jax_dilated_pool(
    x: Any, dilation: Any, kernel_size: Any, stride: Any = None, padding: Any = 0
) -> Any:
    """Each window as so many pictures, strides apart, of which the largest entries are taken."""
    n = x.ndim - 2
    given = (kernel_size, kernel_size if stride is None else stride, padding, dilation)
    k, s, p, d = (v if isinstance(v, tuple) else (v,) * n for v in given)
    padded = jnp.pad(x, [(0, 0), (0, 0), *zip(p, p, strict=True)], constant_values=-jnp.inf)
    pictures = []
    for place in np.ndindex(*k):
        axes = zip(padded.shape[2:], place, k, s, d, strict=True)
        ends = [slice(i * e, m - (j - 1 - i) * e, t) for m, i, j, t, e in axes]
        pictures.append(padded[(..., *ends)])
    return jnp.max(jnp.stack(pictures), axis=0)


def jax_avg_pool(x: Any, **options: Any) -> Any:
    total, count = jax_pool(x, 0.0, lax.add, **options)
    return total / count


def jax_rnn(x: Any, h: Any, w: Any, v: Any, b: Any, c: Any, nonlinearity: str = "tanh") -> Any:
    f = jnp.tanh if nonlinearity == "tanh" else jax.nn.relu
    hs = []
    for x_t in x:
        h = f(x_t @ w.T + b + h @ v.T + c)
        hs.append(h)
    return jnp.stack(hs) if hs else jnp.zeros((0, *h.shape))


def jax_batch_norm(
    x: Any, w: Any = None, b: Any = None, mean: Any = None, var: Any = None, eps: float = 1e-5
) -> Any:
    axes, wide = (0, *range(2, x.ndim)), (1, -1, *(1,) * (x.ndim - 2))
    mean = x.mean(axes) if mean is None else mean
    var = ((x - mean.reshape(wide)) ** 2).mean(axes) if var is None else var
    z = (x - mean.reshape(wide)) / jnp.sqrt(var.reshape(wide) + eps)
    return z * (1 if w is None else w.reshape(wide)) + (0 if b is None else b.reshape(wide))


def jax_layer_norm(
    x: Any, w: Any = None, b: Any = None, *, normalized_shape: Any, eps: float = 1e-5
) -> Any:
    axes = tuple(range(x.ndim - np.size(normalized_shape), x.ndim))
    z = (x - x.mean(axes, keepdims=True)) / jnp.sqrt(x.var(axes, keepdims=True) + eps)
    return z * (1 if w is None else w) + (0 if b is None else b)


def jax_dropout(x: Any, p: float = 0.5, *, seed: int) -> Any:
    return x * mg.kernels.random.mask_reference(x.size, seed, 1, p).reshape(x.shape)


def jax_lstm(x: Any, h: Any, c: Any, w: Any, v: Any, b: Any, d: Any) -> Any:
    states = []
    for x_t in x:
        i, f, g, o = jnp.split(x_t @ w.T + b + h @ v.T + d, 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        states.append(jnp.stack([h, c]))
    return jnp.stack(states, axis=1) if states else jnp.zeros((2, 0, *h.shape))


def jax_gru(x: Any, h: Any, w: Any, v: Any, b: Any, c: Any) -> Any:
    hs = []
    for x_t in x:
        (r, z, p), (r2, z2, q) = (
            jnp.split(x_t @ w.T + b, 3, axis=1),
            jnp.split(h @ v.T + c, 3, axis=1),
        )
        r, z = jax.nn.sigmoid(r + r2), jax.nn.sigmoid(z + z2)
        h = (1 - z) * jnp.tanh(p + r * q) + z * h
        hs.append(h)
    return jnp.stack(hs) if hs else jnp.zeros((0, *h.shape))


def jax_bce(p: Any, t: Any) -> Any:
    return -(t * jnp.log(p) + (1 - t) * jnp.log(1 - p)).mean()


def jax_cross_entropy(x: Any, i: Any) -> Any:
    return -jax.nn.log_softmax(x)[jnp.arange(len(i)), i].mean()


# ---------------- the table
ELEMENTWISE = [
    Row("add", mg.add, jnp.add, each(PAIRS)),
    Row("subtract", mg.subtract, jnp.subtract, each(PAIRS)),
    Row("multiply", mg.multiply, jnp.multiply, each(PAIRS)),
    Row("divide", mg.divide, jnp.divide, each(PAIRS), (real, positive)),
    Row("power", mg.power, jnp.power, each(PAIRS), (positive, real)),
    Row("maximum", mg.maximum, jnp.maximum, each(PAIRS)),
    Row("minimum", mg.minimum, jnp.minimum, each(PAIRS)),
    Row("negative", mg.negative, jnp.negative, each(ONE)),
    Row("exp", mg.exp, jnp.exp, each(ONE)),
    Row("log", mg.log, jnp.log, each(ONE), (positive,)),
    Row("sqrt", mg.sqrt, jnp.sqrt, each(ONE), (positive,)),
    Row("sin", mg.sin, jnp.sin, each(ONE)),
    Row("cos", mg.cos, jnp.cos, each(ONE)),
    Row("tanh", mg.tanh, jnp.tanh, each(ONE)),
    Row("erf", mg.erf, jax.scipy.special.erf, each(ONE)),
    Row("abs", mg.abs, jnp.abs, each(ONE)),
    Row("sigmoid", mg.sigmoid, jax.nn.sigmoid, each(ONE)),
    Row("relu", mg.relu, jax.nn.relu, each(ONE)),
    Row(
        "leaky_relu",
        mg.leaky_relu,
        lambda x, negative_slope=0.01: jax.nn.leaky_relu(x, negative_slope),
        each(ONE, {}, {"negative_slope": 0.3}),
    ),
    Row("silu", mg.silu, jax.nn.silu, each(ONE)),
    Row("softplus", mg.softplus, jax.nn.softplus, each(ONE)),
    Row("gelu", mg.gelu, lambda x: jax.nn.gelu(x, approximate=False), each(ONE)),
    Row(
        "clip",
        mg.clip,
        lambda x, low=None, high=None: jnp.clip(x, low, high),
        each(ONE[::2], {"low": -0.5, "high": 0.7}, {"low": 0.1}, {"high": 0.1}, {}),
    ),
    Row(
        "where",
        mg.where,
        jnp.where,
        each(
            [
                ((2, 3), (2, 3), (2, 3)),
                ((3,), (2, 1), ()),
                ((2, 1), (1, 3), (3,)),
                ((), (), ()),
                ((0, 3), (3,), ()),
            ]
        ),
        (coin, real),
    ),
]
FEW = each([((),), ((2, 3),)])
FUNCTIONS = [
    *(
        Row(name, getattr(mg, name), getattr(jnp, name), FEW, (unit,))
        for name in (
            "tan",
            "arcsin",
            "arccos",
            "arctan",
            "sinh",
            "cosh",
            "arcsinh",
            "arctanh",
            "expm1",
            "log1p",
            "log2",
            "log10",
            "square",
            "reciprocal",
        )
    ),
    Row("arccosh", mg.arccosh, lambda x: jnp.arccosh(x), FEW, (above_one,)),
    Row("elu", mg.elu, jax.nn.elu, each(ONE, {}, {"alpha": 0.3})),
    Row("remainder", mg.remainder, jnp.remainder, each(PAIRS[1:6]), (real, positive)),
]
STEPS = [
    Row(name, getattr(mg, name), getattr(jnp, name), each(PAIRS), (few,))
    for name in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
] + [Row("sign", mg.sign, jnp.sign, each(ONE), (few,))]
MORE_STEPS = [
    Row("detach", mg.detach, lax.stop_gradient, FEW),
    Row("floor_divide", mg.floor_divide, jnp.floor_divide, each(PAIRS[1:6]), (real, positive)),
    Row(
        "argsort",
        mg.argsort,
        jnp.argsort,
        each([((2, 3, 4),), ((5, 0),)], {}, {"axis": 0}, {"axis": None}),
        (few,),
    ),
    *(
        Row(
            f"random.{name}",
            lambda x, seed=0, draw=draw: draw(x.shape, dtype=x.dtype, seed=seed),
            lambda x, seed=0, reference=reference: reference(x.size, seed, 1).reshape(x.shape),
            each([((7,),), ((2, 3, 4),), ((0, 3),)], {"seed": 3}),
        )
        for name, draw, reference in (
            ("normal", mg.random.normal, mg.kernels.random.normal_reference),
            ("uniform", mg.random.uniform, mg.kernels.random.uniform_reference),
        )
    ),
    Row(
        "loss.one_hot",
        lambda i: by_name("loss.one_hot")(i, 3, 1),
        lambda i: jax.nn.one_hot(jnp.where(i == 1, 3, i), 3, dtype=bool),
        each([((5,),), ((2, 3),)]),
        (ids(3),),
    ),
    Row(
        "loss.mean_inverse",
        by_name("loss.mean_inverse"),
        lambda x: jnp.broadcast_to(1 / x.mean(), x.shape),
        each([((5,),), ((2, 3),)]),
        (positive,),
    ),
    *(
        Row(name, getattr(mg, name), getattr(jnp, name), FEW)
        for name in ("floor", "ceil", "trunc", "rint")
    ),
    *(
        Row(name, getattr(mg, name), getattr(jnp, name), FEW, (odd,))
        for name in ("isnan", "isinf", "isfinite")
    ),
    *(
        Row(name, getattr(mg, name), getattr(jnp, name), each([((2, 3), (3,))]), (few,))
        for name in ("logical_and", "logical_or")
    ),
    Row("logical_not", mg.logical_not, jnp.logical_not, FEW, (few,)),
    *(
        Row(
            name,
            getattr(mg, name),
            getattr(jnp, name),
            [
                *each(
                    [((2, 3, 4),)],
                    {},
                    {"axis": 1},
                    {"axis": -1, "keepdims": True},
                    {"keepdims": True},
                ),
                (((),), {}),
            ],
            (few,),
        )
        for name in ("argmax", "argmin")
    ),
]
REDUCE = [
    Row("sum", mg.sum, jnp.sum, REDUCTIONS + EMPTY_REDUCTIONS),
    Row("mean", mg.mean, jnp.mean, REDUCTIONS + EMPTY_REDUCTIONS),
    Row("max", mg.max, jnp.max, REDUCTIONS),
    Row("min", mg.min, jnp.min, REDUCTIONS),
    Row("max", mg.max, jnp.max, REDUCTIONS, (few,)),  # ties share, as in JAX
    Row("min", mg.min, jnp.min, REDUCTIONS, (few,)),
    Row("logsumexp", mg.logsumexp, jax.nn.logsumexp, REDUCTIONS[::2]),
    Row(
        "softmax", mg.softmax, jax.nn.softmax, each(ONE_ND, {}, {"axis": 0}) + each([((0, 3),)], {})
    ),
    Row(
        "log_softmax",
        mg.log_softmax,
        jax.nn.log_softmax,
        each(ONE_ND, {}, {"axis": 0}) + each([((0, 3),)], {}),
    ),
]
KEYS = [
    1,
    -1,
    slice(1, None),
    slice(None, None, -1),
    slice(1, 1),
    slice(-2, -5),
    ...,
    None,
    (),
    (slice(None), -1),
    (slice(None), slice(2, 0, -1)),
    (..., 0),
    (0, ..., None),
    (1, slice(None, None, 2), 0),
    np.array([0, 0, 1]),
    np.array([], int),
    np.array([[0, 1], [1, 1]]),
    (slice(None), np.array([2, 0, 2])),
    (np.array([0, 1]), np.array([2, 2])),
    (0, slice(None), np.array([3, 3])),
    np.array([True, False]),
    np.zeros((2, 3), bool),
    (np.array([1]), None, slice(1, 2)),
]
SHAPE = [
    Row(
        "reshape",
        mg.reshape,
        jnp.reshape,
        [
            (((2, 3),), {"shape": (3, 2)}),
            (((2, 3),), {"shape": -1}),
            (((2, 6),), {"shape": (2, -1, 3)}),
            (((1,),), {"shape": ()}),
            (((),), {"shape": (1, 1)}),
            (((0, 3),), {"shape": (3, 0, 2)}),
        ],
    ),
    Row(
        "reshape",
        mg.flatten,
        lambda x, start_axis=0: x.reshape(*x.shape[:start_axis], -1),
        [(((2, 3, 4),), {}), (((2, 3, 4),), {"start_axis": 1}), (((),), {})],
    ),
    Row(
        "transpose",
        mg.transpose,
        jnp.transpose,
        [
            (((2, 3),), {}),
            (((2, 3, 4),), {"axes": (1, 2, 0)}),
            (((2, 3, 4),), {"axes": (-1, 0, 1)}),
            (((),), {}),
            (((0, 3),), {}),
            (((4,),), {}),
        ],
    ),
    Row(
        "getitem",
        mg.getitem,
        lambda x, key: x[key],
        each([((2, 3, 4),)], *({"key": key} for key in KEYS)),
    ),
    Row(
        "getitem",
        mg.getitem,
        lambda x, key: x[key],
        each([((),)], {"key": ()}, {"key": None}, {"key": ...}),
    ),
    Row(
        "getitem",
        lambda x, i: mg.getitem(x, (slice(1, None), keep_integers(i))),
        lambda x, i: x[1:, i],
        each([((2, 3), (4,)), ((3, 3, 2), (2, 2))]),
        (real, ids(3)),
    ),  # the index is a node
    Row(
        "concatenate",
        lambda *xs, **o: mg.concatenate(xs, **o),
        lambda *xs, **o: jnp.concatenate(xs, **o),
        [
            (((2, 3), (1, 3)), {}),
            (((2, 3), (2, 1), (2, 2)), {"axis": -1}),
            (((2, 0), (2, 3)), {"axis": 1}),
            (((4,),), {}),
        ],
    ),
    Row(
        "stack",
        lambda *xs, **o: mg.stack(xs, **o),
        lambda *xs, **o: jnp.stack(xs, **o),
        [
            *each([((2, 3), (2, 3)), ((2, 0), (2, 0), (2, 0))], {}, {"axis": 1}, {"axis": -1}),
            (((), ()), {}),
        ],
    ),
    Row(
        "pad",
        mg.pad,
        lambda x, pad_width, value=0: jnp.pad(x, pad_width, constant_values=value),
        each(
            [((2, 3),), ((0, 3),)],
            {"pad_width": 1},
            {"pad_width": (1, 2)},
            {"pad_width": ((0, 2), (3, 0)), "value": -1},
        ),
    ),
    Row(
        "astype",
        lambda x: by_name("astype")(by_name("astype")(x, np.float64), x.dtype),
        lambda x: x,
        each(ONE),
    ),
    Row(
        "broadcast_to",
        mg.broadcast_to,
        jnp.broadcast_to,
        [
            (((3,),), {"shape": (2, 3)}),
            (((2, 1, 3),), {"shape": (4, 2, 5, 3)}),
            (((),), {"shape": (2, 2)}),
            (((1,),), {"shape": (0,)}),
            (((2, 3),), {"shape": (2, 3)}),
        ],
    ),
]
LINALG = [
    Row(
        "matmul",
        mg.matmul,
        jnp.matmul,
        each(
            [
                ((2, 3), (3, 4)),
                ((3,), (3,)),
                ((3,), (3, 4)),
                ((2, 3), (3,)),
                ((8, 0), (0, 8)),
                ((0, 3), (3, 2)),
                ((5, 2, 3), (3, 4)),
                ((2, 3), (5, 3, 4)),
                ((5, 1, 2, 3), (4, 3, 2)),
                ((5, 2, 3), (3,)),
                ((3,), (5, 3, 2)),
                ((1, 1), (1, 1)),
            ]
        ),
    ),
    Row(
        "linear",
        mg.linear,
        lambda x, w, b=0.0: x @ w.T + b,
        each(
            [
                ((2, 3), (4, 3), (4,)),
                ((2, 3), (4, 3)),
                ((3,), (4, 3), (4,)),
                ((5, 2, 3), (4, 3), (4,)),
                ((0, 3), (4, 3), (4,)),
                ((2, 0), (4, 0), (4,)),
                ((1, 1), (1, 1), (1,)),
            ]
        ),
    ),
]
STATISTICS = [
    # with many zeros
    Row("prod", mg.prod, jnp.prod, REDUCTIONS[::2] + EMPTY_REDUCTIONS[1:], (few,)),
    Row("prod", mg.prod, jnp.prod, REDUCTIONS[::2]),
    Row(
        "norm",
        mg.norm,
        lambda x, axis=None, keepdims=False: jnp.sqrt(jnp.sum(x * x, axis, keepdims=keepdims)),
        REDUCTIONS[::2],
        (positive,),
    ),
    Row("cumsum", mg.cumsum, jnp.cumsum, each([((2, 3, 4),)], {"axis": 1}, {"axis": -1})),
    Row("cumprod", mg.cumprod, jnp.cumprod, each([((2, 5),)], {"axis": 1}, {"axis": 0})),
    Row("cumprod", mg.cumprod, jnp.cumprod, each([((2, 5),)], {"axis": 1}), (few,)),
    Row(
        "einsum",
        lambda *xs, s: mg.einsum(s, *xs),
        lambda *xs, s: jnp.einsum(s, *xs),
        [
            (((2, 3), (3, 4)), {"s": "ij,jk->ik"}),
            (((2, 3), (3, 4), (4, 2)), {"s": "ij,jk,ki"}),
            (((3, 3),), {"s": "ii"}),
            (((3, 3),), {"s": "ii->i"}),
            (((2, 2, 3),), {"s": "iij->ij"}),
            (((2, 3),), {"s": "ij->j"}),
            (((2, 3, 4),), {"s": "...ij->...ji"}),
            (((5, 2, 3), (3, 4)), {"s": "...ij,...jk"}),
            (((2,), (3,)), {"s": "a,b->ba"}),
            (((1, 3), (2, 3)), {"s": "ij,ij->i"}),
            (((4, 1, 3), (5, 3)), {"s": "b...k,...k->...b"}),
            (((0, 3), (3,)), {"s": "ij,j"}),
            (((2, 2), (2,)), {"s": "ii,i"}),
            (((2, 3), ()), {"s": "ij,->i"}),
        ],
    ),
]
CONV = [
    Row(
        "conv2d",
        mg.conv2d,
        jax_conv,
        [
            (((2, 3, 5, 6), (4, 3, 3, 2), (4,)), {}),
            # H and W differ in everything
            (((2, 3, 5, 6), (4, 3, 3, 2)), {"stride": (2, 1), "padding": (1, 2)}),
            # the stride leaves a tail
            (((1, 1, 7, 8), (2, 1, 3, 3), (2,)), {"stride": 2, "padding": 1}),
            (((2, 2, 7, 9), (2, 2, 3, 2), (2,)), {"dilation": (2, 3), "stride": (1, 2)}),
            (((2, 4, 5, 4), (6, 2, 2, 3), (6,)), {"groups": 2, "padding": 1}),
            (((2, 3, 4, 4), (6, 1, 3, 3), (6,)), {"groups": 3}),  # depthwise
            (((2, 3, 4, 5), (2, 3, 4, 5), (2,)), {}),  # kernel == input
            (((2, 3, 4, 5), (2, 3, 1, 1), (2,)), {}),
            (((1, 1, 1, 1), (1, 1, 3, 3), (1,)), {"padding": 3}),  # the border sees padding only
            (((0, 3, 5, 6), (4, 3, 3, 2), (4,)), {}),  # an empty batch: the weight's gradient is 0
            (((1, 1, 8, 9), (1, 1, 6, 7), (1,)), {}),
        ],
    ),  # more than 32 taps
    Row(
        "conv1d",
        mg.conv1d,
        jax_conv,
        [
            (((2, 3, 7), (4, 3, 3), (4,)), {}),
            (((2, 4, 8), (2, 2, 3)), {"stride": 2, "padding": 1, "groups": 2}),
            (((1, 2, 9), (3, 2, 3), (3,)), {"dilation": 3, "stride": 2}),
            (((2, 1, 4), (1, 1, 4), (1,)), {}),
        ],
    ),
    Row(
        "conv_transpose2d",
        mg.conv_transpose2d,
        jax_conv_transpose,
        [
            (((2, 3, 4, 3), (3, 2, 3, 2), (2,)), {}),
            (((2, 3, 3, 4), (3, 4, 3, 2)), {"stride": (2, 1), "padding": (1, 0)}),
            (((1, 2, 3, 2), (2, 1, 3, 4), (1,)), {"stride": (3, 2), "output_padding": (2, 1)}),
            (((2, 4, 3, 2), (4, 3, 2, 2), (6,)), {"groups": 2, "dilation": (2, 1)}),
            (((0, 3, 4, 3), (3, 2, 3, 2), (2,)), {}),
        ],
    ),
    Row(
        "conv_transpose1d",
        mg.conv_transpose1d,
        jax_conv_transpose,
        [
            (((2, 3, 5), (3, 4, 3), (4,)), {}),
            (((2, 4, 4), (4, 1, 3)), {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2}),
            (((1, 2, 4), (2, 3, 2), (3,)), {"dilation": 3}),
        ],
    ),
]
WINDOWS_2D = [
    # overlapping
    (((2, 3, 4, 6),), {"kernel_size": 2}),
    (((2, 1, 5, 7),), {"kernel_size": (3, 2), "stride": (1, 2)}),
    (((1, 2, 5, 6),), {"kernel_size": 3, "stride": 2, "padding": 1}),
    (((1, 1, 4, 5),), {"kernel_size": (4, 5)}),
    (((2, 1, 3, 3),), {"kernel_size": 1, "stride": 2}),
    (((0, 2, 4, 4),), {"kernel_size": 2}),
]
DILATED_2D = [
    (((2, 1, 6, 7),), {"kernel_size": (3, 2), "stride": (1, 2), "dilation": (2, 3)}),
    (((1, 2, 5, 6),), {"kernel_size": 2, "padding": 1, "dilation": 2}),
]
DILATED_1D = [(((1, 2, 8),), {"kernel_size": 3, "stride": 1, "padding": 1, "dilation": 2})]
WINDOWS_1D = [
    (((2, 3, 7),), {"kernel_size": 2}),
    (((1, 2, 8),), {"kernel_size": 3, "stride": 1, "padding": 1}),
    (((1, 1, 5),), {"kernel_size": 5}),
]
POOL = [
    Row("max_pool2d", mg.max_pool2d, jax_max_pool, [*WINDOWS_2D, *DILATED_2D]),
    Row(
        "max_pool2d", mg.max_pool2d, jax_max_pool, WINDOWS_2D, (few,)
    ),  # at ties the first wins, as in JAX
    Row("avg_pool2d", mg.avg_pool2d, jax_avg_pool, WINDOWS_2D),
    Row("max_pool1d", mg.max_pool1d, jax_max_pool, [*WINDOWS_1D, *DILATED_1D]),
    Row("avg_pool1d", mg.avg_pool1d, jax_avg_pool, WINDOWS_1D),
]
RNN = [
    ((4, 3, 2), (3, 5), (5, 2), (5, 5), (5,), (5,)),
    ((1, 1, 1), (1, 1), (1, 1), (1, 1), (1,), (1,)),
    ((0, 3, 2), (3, 5), (5, 2), (5, 5), (5,), (5,)),
    ((2, 0, 2), (0, 3), (3, 2), (3, 3), (3,), (3,)),
]


def recurrent(states: int, gates: int) -> list[Any]:
    """Shapes for layers of several gates: all sizes differ; all 1; no steps; no samples; samples
    for two shards.
    """
    sizes = [(4, 3, 2, 5), (1, 1, 1, 1), (0, 3, 2, 5), (2, 0, 2, 3), (3, 9, 2, 1)]
    return [
        ((t, n, k), *((n, m),) * states, (gates * m, k), (gates * m, m), (gates * m,), (gates * m,))
        for t, n, k, m in sizes
    ]


LAYERS = [
    Row(
        "embedding",
        mg.embedding,
        lambda i, w: w[i],
        each([((5,), (4, 3)), ((2, 3), (4, 2)), ((), (4, 2)), ((0,), (4, 3)), ((3, 0), (4, 1))]),
        (ids(4), real),
    ),
    Row("rnn", mg.rnn, jax_rnn, each(RNN, {}, {"nonlinearity": "relu"})),
    # h and c of all steps; `mg.lstm` hands out parts
    Row("lstm", by_name("lstm"), jax_lstm, each(recurrent(2, 4))),
    Row("gru", mg.gru, jax_gru, each(recurrent(1, 3))),
    Row(
        "reverse_sequence",
        mg.reverse_sequence,
        jax_reverse_sequence,
        each([((4, 3, 2), (3,)), ((2, 5, 2, 3), (2,)), ((4, 0, 2), (0,)), ((5, 4, 1), (4,))]),
        (real, lengths),
    ),
]
RUNNING = np.array([0.5, -1.0, 2.0]), np.array([0.25, 1.0, 3.0])
AFFINE = [
    ((4, 3), (3,), (3,)),
    ((2, 3, 5), (3,), (3,)),
    ((2, 3, 4, 2), (3,), (3,)),
    ((2, 3, 2, 2), (3,)),
    ((5, 3),),
]
NORM = [
    Row(
        "batch_norm",
        lambda x, w=None, b=None, **o: mg.batch_norm(x, None, None, w, b, True, **o),
        jax_batch_norm,
        each([*AFFINE, ((1, 2, 3),), ((7, 1), (1,), (1,))], {}, {"eps": 0.1}),
    ),
    Row(
        "batch_norm",
        lambda x, w=None, b=None: mg.batch_norm(x, *RUNNING, w, b),
        lambda x, w=None, b=None: jax_batch_norm(x, w, b, *RUNNING),
        each([*AFFINE, ((1, 3),), ((0, 3, 2), (3,), (3,))]),
    ),
    Row(
        "layer_norm",
        lambda x, w=None, b=None, **o: mg.layer_norm(x, weight=w, bias=b, **o),
        jax_layer_norm,
        [
            *each(
                [((2, 5),), ((2, 3, 5), (5,)), ((4, 5), (5,), (5,)), ((5,), (5,), (5,))],
                {"normalized_shape": 5},
            ),
            (((2, 3, 4), (3, 4), (3, 4)), {"normalized_shape": (3, 4), "eps": 0.1}),
            (((0, 3), (3,), (3,)), {"normalized_shape": 3}),
            (((3, 1), (1,), (1,)), {"normalized_shape": [1]}),
        ],
    ),
    Row(
        "dropout",
        mg.dropout,
        jax_dropout,
        [
            *each([((),), ((7,),), ((2, 3, 4),), ((0, 3),)], {"seed": 3}),
            *each([((4, 5),)], {"p": 0.2, "seed": 0}, {"p": 0.0, "seed": 1}, {"p": 1.0, "seed": 2}),
        ],
    ),
]
LOSS = [
    Row(
        "mse_loss",
        mg.mse_loss,
        lambda x, t: ((x - t) ** 2).mean(),
        each([((4,), (4,)), ((2, 3), (2, 3)), ((), ())]),
    ),
    Row(
        "binary_cross_entropy",
        mg.binary_cross_entropy,
        jax_bce,
        each([((4,), (4,)), ((2, 1), (2, 1))]),
        (unit,),
    ),
    Row(
        "binary_cross_entropy_with_logits",
        mg.binary_cross_entropy_with_logits,
        lambda x, t: jax_bce(jax.nn.sigmoid(x), t),
        each([((4,), (4,)), ((2, 1), (2, 1))]),
        (real, unit),
    ),
    Row(
        "cross_entropy",
        mg.cross_entropy,
        jax_cross_entropy,
        each([((4, 3), (4,)), ((1, 1), (1,))]),
        (real, ids(1)),
    ),
    Row(
        "cross_entropy", mg.cross_entropy, jax_cross_entropy, each([((6, 3), (6,))]), (real, ids(3))
    ),
]

KINKED = [  # a gradient that is not the slope, on purpose
    Row(
        "embedding",
        lambda i, w: mg.embedding(i, w, 1),
        lambda i, w: w.at[1].set(lax.stop_gradient(w[1]))[i],
        each([((6,), (3, 2))]),
        (ids(3), real),
    ),
]

SMOOTH = [
    *ELEMENTWISE,
    *FUNCTIONS,
    *REDUCE,
    *STATISTICS,
    *SHAPE,
    *LINALG,
    *CONV,
    *POOL,
    *LAYERS,
    *NORM,
    *LOSS,
]
TABLE = [*SMOOTH, *STEPS, *MORE_STEPS, *KINKED]
