"""What the tests of the operators share: the table's row, its cases, and JAX as an independent
oracle.

A `Row` says of one rule how to call it here and in JAX, and on which operands. `cases` spreads rows
out into single calls; `Case.reference` asks JAX, in float64, for the value and all gradients of
one.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from needs import need

import minigrad as mg

need("jax")
import jax

jax.config.update("jax_enable_x64", True)
#: each case is compiled once and run once
QUICK = {"xla_backend_optimization_level": "0", "xla_llvm_disable_expensive_passes": True}

Shapes = tuple[tuple[int, ...], ...]
Domain = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


# ---------------- what operands hold; float32 can hold each exactly
def real(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(rng.normal(size=shape), np.float32).astype(np.float64)


def positive(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(rng.uniform(0.5, 2, shape), np.float32).astype(np.float64)


def unit(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Probabilities, not too close to 0 and 1."""
    return np.asarray(rng.uniform(0.1, 0.9, shape), np.float32).astype(np.float64)


def above_one(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(1 + positive(rng, shape))


def odd(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers and what is none."""
    return np.asarray(rng.choice([np.nan, np.inf, -np.inf, 0.0, 2.5], shape))


def few(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers with many ties: -1, 0 and 1."""
    return rng.integers(-1, 2, shape).astype(np.float64)


def coin(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(rng.integers(0, 2, shape), bool)


def ids(count: int) -> Domain:
    return lambda rng, shape: np.asarray(rng.integers(0, count, shape))


# ---------------- the table's row
@dataclass(frozen=True)
class Row:
    """How to call one rule: `ours` and `theirs` take the same operands and options; the last domain
    repeats.
    """

    name: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    calls: list[tuple[Shapes, dict[str, Any]]]
    domains: tuple[Domain, ...] = (real,)


@dataclass(frozen=True)
class Case:
    row: Row
    shapes: Shapes
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        options = ",".join(f"{k}={v}" for k, v in self.options.items()).replace("\n", "")
        shapes = "x".join(map(str, self.shapes))
        return "-".join(filter(None, (self.row.name, shapes, options))).replace(" ", "")

    @cached_property
    def operands(self) -> list[np.ndarray]:
        rng = np.random.default_rng(zlib.crc32(str(self).encode()))
        domains = [*self.row.domains, *[self.row.domains[-1]] * len(self.shapes)]
        return [domain(rng, shape) for domain, shape in zip(domains, self.shapes, strict=False)]

    def ours(self, *xs: Any) -> mg.GraphNode:
        return self.row.ours(*xs, **self.options)

    @cached_property
    def reference(self) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
        """From JAX, in float64: the value, the gradients of the float operands, and the cotangent
        they belong to.
        """
        floats = [x for x in self.operands if x.dtype.kind == "f"]

        def of_floats(*given: Any) -> Any:
            left = iter(given)
            return self.row.theirs(
                *(next(left) if x.dtype.kind == "f" else x for x in self.operands), **self.options
            )

        def value_and_grads(*given: Any) -> Any:
            value, pull = jax.vjp(of_floats, *given)
            smooth = value.dtype.kind == "f"
            return value, pull(self.cotangent(value.shape)) if smooth else [
                np.zeros_like(x) for x in floats
            ]

        value, grads = jax.jit(value_and_grads, compiler_options=QUICK)(*floats)
        return np.asarray(value), [np.asarray(x) for x in grads], self.cotangent(value.shape)

    def cotangent(self, shape: tuple[int, ...]) -> np.ndarray:
        """The g that belongs to a result of that shape."""
        return np.asarray(np.random.default_rng(0).uniform(0.5, 1.5, shape), np.float32).astype(
            np.float64
        )

    def run(
        self, dtype: Any, arrays: list[np.ndarray] | None = None
    ) -> tuple[mg.GraphNode, list[mg.Variable]]:
        """The operator on variables of that dtype (integer operands stay arrays), pulled back from
        its g.
        """
        arrays = self.operands if arrays is None else arrays
        nodes = [mg.Variable(x, dtype=dtype) if x.dtype.kind == "f" else x for x in arrays]
        y = self.ours(*nodes)
        if y.requires_grad:
            y.backward(self.cotangent(y.shape))
        return y, [x for x in nodes if isinstance(x, mg.Variable)]


def cases(rows: list[Row]) -> list[Case]:
    return [Case(row, shapes, options) for row in rows for shapes, options in row.calls]


def each(shapes: list[Shapes], *options: dict[str, Any]) -> list[tuple[Shapes, dict[str, Any]]]:
    """Every choice of shapes with every choice of options."""
    return [(s, o) for s in shapes for o in (options or ({},))]


LAYOUTS = ("C", "F", "strided", "reversed", "broadcast", "read-only")


def lay_out(x: np.ndarray, layout: str) -> np.ndarray:
    """The same numbers in Fortran order, as every second entry, with negative strides, not to be
    written to; "broadcast" is the first row everywhere, with stride 0.
    """
    turned = (slice(None, None, -1),) * x.ndim
    if layout == "F":
        return x.copy(order="F")
    if layout == "strided" and x.ndim:
        return np.repeat(x, 2, axis=-1)[..., ::2]
    if layout == "reversed":
        return x[turned].copy()[turned]
    if layout == "broadcast" and x.ndim:
        return np.broadcast_to(x[:1], x.shape)
    x = x.copy()
    x.flags.writeable = layout != "read-only"
    return x


def assert_close(actual: Any, expected: Any, dtype: Any = np.float64) -> None:
    """Equal but for rounding, relative to the largest entry; the same shape; NaN and inf in the
    same places.
    """
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    tolerance = 1e-11 if dtype == np.float64 else 4e-6
    scale = max(1.0, float(np.abs(expected).max(initial=0, where=np.isfinite(expected))))
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * scale)


def gradients(
    fn: Callable[..., mg.GraphNode], *arrays: Any, seed: Any = None, dtype: Any = np.float64
) -> list[Any]:
    """The gradients of fn(*arrays), summed to one number unless `seed` is its cotangent."""
    xs = [mg.Variable(a, dtype=dtype) for a in arrays]
    y = fn(*xs)
    y.backward(np.ones(y.shape) if seed is None else seed)
    return [x.grad for x in xs]
