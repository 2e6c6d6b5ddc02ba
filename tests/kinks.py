"""What happens where functions have kinks and poles, asked of minigrad, PyTorch and JAX: the table
of the page `numerics.md`.

`python tests/kinks.py` writes it anew; the column of a library that is not installed stays as it
is.
"""

from __future__ import annotations

import importlib.util
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from pages import SITE

PAGE = SITE / "numerics.md"
BEGIN, END = "<!-- kinks -->\n", "<!-- end of kinks -->"
INF, NAN = np.inf, np.nan
WINDOW = [[[[1.0, 1.0], [1.0, 1.0]]]]
HOLES = [[[[1.0, NAN], [NAN, 2.0]]]]


def minigrad(row: Row) -> Any:
    import minigrad as mg

    xs = [mg.Variable(x, dtype=np.float64) for x in row.at]
    y = row.calls[0](mg, *xs)
    if row.value:
        return [y.value]
    y.backward(np.ones(y.shape))
    return [x.grad for x in xs]


def torch(row: Row) -> Any:
    import torch

    xs = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in row.at]
    y = row.calls[1](torch, *xs)
    if row.value:
        return [y.detach().numpy()]
    y.backward(torch.ones_like(y))
    return [x.grad.numpy() for x in xs]


def jax(row: Row) -> Any:
    import jax

    jax.config.update("jax_enable_x64", True)
    xs = [jax.numpy.asarray(x, dtype=float) for x in row.at]
    y, pull = jax.vjp(lambda *xs: row.calls[2](jax, *xs), *xs)
    return [y] if row.value else pull(jax.numpy.ones_like(y))


LIBRARIES: dict[str, Callable[[Row], Any]] = {"minigrad": minigrad, "torch": torch, "jax": jax}


class Row:
    """A case: its words, the point, and the function in minigrad, PyTorch and JAX (None: it has
    none).
    """

    def __init__(self, words: str, at: list[Any], *calls: Any, value: bool = False) -> None:
        self.words, self.at, self.calls, self.value = words, at, calls, value

    def answer(self, library: str) -> str:
        """The slopes in all inputs, or the value, as the table shows them."""
        if self.calls[list(LIBRARIES).index(library)] is None:
            return "–"
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                arrays = LIBRARIES[library](self)
            except (ValueError, IndexError, RuntimeError):
                return "error"
        return answers_of(arrays)


def answers_of(arrays: Any) -> str:
    """Some arrays of slopes, or of a value, as the table shows them."""
    return ", ".join(_number(v) for array in arrays for v in np.asarray(array, float).ravel())


def _number(v: float) -> str:
    return (
        "NaN"
        if v != v
        else "∞"
        if v == INF
        else "−∞"
        if v == -INF
        else f"{v + 0:.4g}".replace("-", "−")
    )


def same(f: Callable[..., Any]) -> tuple[Any, Any, Any]:
    """The same words for all three, with the module that has the function."""
    return f, f, lambda jax, *xs: f(jax.numpy, *xs)


ROWS = [
    Row(
        "relu′(0)", [0.0], lambda m, x: m.relu(x), lambda t, x: t.relu(x), lambda j, x: j.nn.relu(x)
    ),
    Row("abs′(0)", [0.0], *same(lambda m, x: m.abs(x))),
    Row("sign′(0)", [0.0], *same(lambda m, x: m.sign(x) + 0 * x)),
    Row("maximum(a, b), a = b", [1.0, 1.0], *same(lambda m, a, b: m.maximum(a, b))),
    Row("clip(x, 0, 1)′ at 0", [0.0], *same(lambda m, x: m.clip(x, 0, 1))),
    Row("clip(x, 0, 1)′ at 1", [1.0], *same(lambda m, x: m.clip(x, 0, 1))),
    Row("max of [2, 2]", [[2.0, 2.0]], *same(lambda m, x: m.max(x))),
    Row(
        "max of [2, 2] along an axis",
        [[2.0, 2.0]],
        lambda m, x: m.max(x, axis=0),
        lambda t, x: t.max(x, dim=0).values,
        lambda j, x: j.numpy.max(x, axis=0),
    ),
    Row(
        "max-pool, a window of equals",
        [WINDOW],
        lambda m, x: m.max_pool2d(x, 2),
        lambda t, x: t.nn.functional.max_pool2d(x, 2),
        lambda j, x: _jax_pool(j, x),
    ),
    Row(
        "max-pool, [1, NaN; NaN, 2]",
        [HOLES],
        lambda m, x: m.max_pool2d(x, 2),
        lambda t, x: t.nn.functional.max_pool2d(x, 2),
        lambda j, x: _jax_pool(j, x),
    ),
    Row("√′(0)", [0.0], *same(lambda m, x: m.sqrt(x))),
    Row("(x·√x)′ at 0", [0.0], *same(lambda m, x: x * m.sqrt(x))),
    Row(
        "norm of [0, 0]",
        [[0.0, 0.0]],
        lambda m, x: m.norm(x),
        lambda t, x: t.linalg.norm(x),
        lambda j, x: j.numpy.linalg.norm(x),
    ),
    Row(
        "std of [1, 1]",
        [[1.0, 1.0]],
        lambda m, x: m.std(x),
        lambda t, x: t.std(x, correction=0),
        lambda j, x: x.std(),
    ),
    Row(
        "var of [1], ddof = 1",
        [[1.0]],
        lambda m, x: m.var(x, ddof=1),
        lambda t, x: t.var(x),
        lambda j, x: x.var(ddof=1),
    ),
    Row("0⁰, in base and exponent", [0.0, 0.0], *same(lambda m, a, b: a**b)),
    Row("0^0.3", [0.0, 0.3], *same(lambda m, a, b: a**b)),
    Row("0^−0.3", [0.0, -0.3], *same(lambda m, a, b: a**b)),
    Row("(−30)³", [-30.0, 3.0], *same(lambda m, a, b: a**b)),
    Row("log′(0)", [0.0], *same(lambda m, x: m.log(x))),
    Row("where(x > 0, log x, 0)′ at 0", [0.0], *same(lambda m, x: m.where(x > 0, m.log(x), 0.0))),
    Row("x / x at 0", [0.0], *same(lambda m, x: x / x)),
    Row("arcsin′(1), arctanh′(1)", [1.0, 1.0], *same(lambda m, a, b: m.arcsin(a) + m.arctanh(b))),
    Row("prod of [0, 2, 3]", [[0.0, 2.0, 3.0]], *same(lambda m, x: m.prod(x))),
    Row("prod of [0, 0, 3]", [[0.0, 0.0, 3.0]], *same(lambda m, x: m.prod(x))),
    Row(
        "logsumexp of [−∞, −∞]",
        [[-INF, -INF]],
        lambda m, x: m.logsumexp(x),
        lambda t, x: t.logsumexp(x, 0),
        lambda j, x: j.nn.logsumexp(x),
    ),
    Row(
        "softmax of [∞, 0], value",
        [[INF, 0.0]],
        lambda m, x: m.softmax(x),
        lambda t, x: t.softmax(x, 0),
        lambda j, x: j.nn.softmax(x),
        value=True,
    ),
    Row("max of nothing", [[]], *same(lambda m, x: m.max(x)), value=True),
    Row(
        "binary cross-entropy, p = 0, t = 1, value",
        [[0.0]],
        lambda m, p: m.binary_cross_entropy(p, [1.0]),
        lambda t, p: t.nn.functional.binary_cross_entropy(p, t.ones(1, dtype=t.float64)),
        None,
        value=True,
    ),
    Row(
        "cross-entropy of no rows, value",
        [[[0.0, 0.0]]],
        lambda m, x: m.cross_entropy(x[:0], []),
        lambda t, x: t.nn.functional.cross_entropy(x[:0], t.zeros(0, dtype=t.int64)),
        None,
        value=True,
    ),
    Row(
        "embedding, id −1, value",
        [[[1.0], [2.0]]],
        lambda m, w: m.embedding([-1], w),
        lambda t, w: t.nn.functional.embedding(t.tensor([-1]), w),
        lambda j, w: w[j.numpy.array([-1])],
        value=True,
    ),
    Row(
        "mean of (x − t)², (2, 1) and (2,), value",
        [[[0.0], [1.0]]],
        lambda m, x: m.mse_loss(x, [0.0, 1.0]),
        lambda t, x: t.nn.functional.mse_loss(x, t.tensor([0.0, 1.0], dtype=t.float64)),
        lambda j, x: ((x - j.numpy.array([0.0, 1.0])) ** 2).mean(),
        value=True,
    ),
]


def _jax_pool(jax: Any, x: Any) -> Any:
    return jax.lax.reduce_window(x, -INF, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


def installed() -> list[str]:
    """The libraries that can be asked."""
    return [name for name in LIBRARIES if importlib.util.find_spec(name)]


def stored(text: str) -> dict[str, dict[str, str]]:
    """The page's table: words of a row -> library -> answer."""
    table = text.partition(BEGIN)[2].partition(END)[0]
    rows = [
        [cell.strip() for cell in line.strip("| ").split(" | ")]
        for line in table.splitlines()
        if line.startswith("| ")
    ]
    return {words: dict(zip(rows[0][1:], answers, strict=True)) for words, *answers in rows[2:]}


def table(text: str) -> str:
    """The table as it should be on that page."""
    known, ask = stored(text) if BEGIN in text else {}, installed()
    head = " | ".join(["slope of, or value where it says so", *LIBRARIES])
    lines = [f"| {head} |", "| --- |" + " --- |" * len(LIBRARIES)]
    for row in ROWS:
        answers = [
            row.answer(name) if name in ask else known.get(row.words, {}).get(name, "?")
            for name in LIBRARIES
        ]
        lines.append(f"| {row.words} | " + " | ".join(answers) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(
        re.sub(f"{BEGIN}.*?{END}", lambda _: f"{BEGIN}{table(text)}{END}", text, flags=re.S),
        encoding="utf-8",
    )
