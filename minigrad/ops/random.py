"""Numbers that are drawn anew in every run of a graph, by a seed: `mg.random`.

Each place that draws has a stream: a buffer (2,) of integers, the seed and how many draws there
were. A graph that runs again goes on in it, and so does a module that is called again: it keeps the
streams of the calls in its `forward`, in their order, as buffers `_stream_0`, …, which a
`Trainer` saves. So all modes draw the same numbers, and a part of a batch draws those that the
whole batch would draw for it, if the first axis of `shape` is the batch. Outside of a module each
call makes a stream of its own.

`seed` is an integer, a `numpy.random.Generator` to draw one on, None for the library's own
generator (a stream that a module keeps is made from the seed of its first call), or a stream.
`shape` is an integer or a tuple of them. Numbers are float32 or float64: `dtype`, by default that
of the parameters that are nodes, else the default dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .. import kernels
from ..checks import number, positive
from ..graph.conversion import Array
from ..graph.node import Buffer, Constant, GraphNode
from ..graph.rule import Operand, Operator, Rule, register
from ..graph.settings import advancing, float_dtype, scope
from ..seeds import generator
from .elementwise import less
from .kernel import constant, launch

__all__ = ["bernoulli", "normal", "uniform"]

Shape = int | Sequence[int]
APART = 0x9E3779B97F4A7C15  # 2^64 / golden ratio: far from seeds that people choose


# ---------------- streams
def stream_of(seed: Any = None, place: int = 0) -> Buffer:
    """A new stream; those of an integer differ by the place that they are for."""
    whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    first = int(seed) + place * APART if whole else int(generator(seed).integers(2**63))
    return Buffer(np.array([first % 2**63, 0]), "stream", np.int64, persistent=False)


def kept_stream(seed: Any = None) -> Buffer:
    """The stream of a call: a given one, that of its place in a module's `forward`, or a new
    one.
    """
    if isinstance(seed, Buffer):
        return seed
    if not (call := scope()):  # another tuple for each call of a module
        return stream_of(seed)
    held, i = vars(call[-1]), 0
    while (stream := held.get(f"_stream_{i}")) is not None and stream.scope is call:
        i += 1  # it belongs to an earlier place
    if stream is None:
        stream = held[f"_stream_{i}"] = stream_of(seed, i)
    stream.scope = call
    return stream


# ---------------- rules
class Drawing(Rule):
    """A rule that draws numbers from the stream among its attributes."""

    def check_stream(self, inputs: Sequence[Any], stream: Buffer) -> None:
        """Raise `ValueError` for a buffer that is no stream."""
        if stream.shape != (2,) or stream.dtype != np.int64:
            expected = "a Buffer of two int64 was expected"
            raise self.error(inputs, f"seed={stream!r}; {expected}", ValueError)

    def draw(self, node: Operator, kernel: Callable[..., None], out: Array, *numbers: Any) -> None:
        """Fill an array with the next draw; within `state_kept` with the last one again."""
        stream = node.attributes["stream"]._data
        if advancing():
            launch(node, kernels.norm.advance, stream[1:])
        first = constant(node, "first", np.zeros(1, np.int64), each=out.size)
        launch(node, kernel, stream, *numbers, out.reshape(-1), first)


class Uniform(Drawing):
    """Numbers in [0, 1) of the shape `shape`; their dtype is that of x, a number."""

    name, symbol, differentiable, draws = "random.uniform", "uniform", False, True
    formula = "apply('uniform', x)"
    vjp_formulas = (None,)

    def plan(self, x: Operand, shape: tuple[int, ...], stream: Buffer) -> tuple[int, ...]:
        self.check_stream(self.floats(x), stream)
        return shape

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        self.draw(node, getattr(kernels.random, self.symbol), out)


class Normal(Uniform):
    """Numbers of the standard normal distribution; see `Uniform`."""

    name, symbol = "random.normal", "normal"
    formula = "apply('normal', x)"


_uniform = register(Uniform())
_normal = register(Normal())


# ---------------- functions
def _drawn(
    rule: Any, shape: Shape, given: Sequence[Any], dtype: DTypeLike | None, seed: Any
) -> GraphNode:
    """Numbers of a rule, in the dtype of the nodes among the parameters that are `given`."""
    sizes = tuple(shape) if isinstance(shape, Sequence) else (shape,)
    for n in sizes:
        positive(rule.name, 0, shape=n)
    floats = [x.dtype for x in given if isinstance(x, GraphNode) and x.dtype.kind == "f"]
    one = Constant(1.0, dtype=float_dtype(dtype or (floats[0] if floats else None)))
    made: GraphNode = rule(one, sizes, kept_stream(seed))
    return made


def _moved(x: GraphNode, scale: Any, loc: Any) -> GraphNode:
    """x · scale + loc, without what changes nothing."""
    if not (isinstance(scale, int | float) and scale == 1):
        x = x * scale
    return x if isinstance(loc, int | float) and loc == 0 else x + loc


def normal(
    shape: Shape,
    loc: Operand = 0.0,
    scale: Operand = 1.0,
    *,
    dtype: DTypeLike | None = None,
    seed: Any = None,
) -> GraphNode:
    """Numbers of the normal distribution with mean `loc` and standard deviation `scale`.

    Both are numbers, or arrays or nodes that broadcast; gradients flow to them (Kingma & Welling
    2014). Raises `ValueError` for a wrong shape or stream, `DTypeError` for a wrong dtype.

    >>> mean = mg.Variable(2.0)
    >>> x = mg.random.normal(3, mean, 0.5, seed=0)
    >>> x.sum().backward()
    >>> x.value.round(2), mean.grad
    (array([1.42, 2.51, 1.72], dtype=float32), array(3., dtype=float32))
    """
    return _moved(_drawn(_normal, shape, (loc, scale), dtype, seed), scale, loc)


def uniform(
    shape: Shape,
    low: Operand = 0.0,
    high: Operand = 1.0,
    *,
    dtype: DTypeLike | None = None,
    seed: Any = None,
) -> GraphNode:
    """Numbers that are equally likely everywhere in [low, high); parameters and errors as of
    `normal`.

    >>> x = mg.random.uniform(3, -1.0, 1.0, seed=0)
    >>> x.value.round(2)
    array([ 0.5 , -0.26, -0.12], dtype=float32)
    >>> mg.Graph(x).forward().round(2)  # each run draws anew
    array([-0.49,  0.79, -0.25], dtype=float32)
    """
    width: Any = np.subtract(high, low)  # of a node a node
    return _moved(_drawn(_uniform, shape, (low, high), dtype, seed), width, low)


def bernoulli(
    shape: Shape, p: Operand = 0.5, *, dtype: DTypeLike | None = None, seed: Any = None
) -> GraphNode:
    """1.0 with probability p, else 0.0; no gradient flows to p, a number, an array or a node.

    Raises `ValueError` for a number p outside of [0, 1], and what `normal` raises.

    >>> mg.random.bernoulli(8, p=0.25, seed=0).value
    array([0., 0., 0., 0., 1., 0., 0., 1.], dtype=float32)
    """
    if isinstance(p, int | float):
        number("random.bernoulli", "from 0 to 1", lambda p: 0 <= p <= 1, p=p)
    drawn = _drawn(_uniform, shape, (p,), dtype, seed)
    return less(drawn, p) * Constant(1.0, dtype=drawn.dtype)
