"""The formulas of rules: the value of an operator, and its contribution to each input's adjoint.

An elementwise rule is a function in NumPy's arithmetic; called with symbols, it returns its
formula, which therefore always matches the computation. Other rules declare formulas beside their
code (`Rule.formula`, `Rule.vjp_formulas`): Python expressions, which are evaluated with symbols,
too.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np

from ...graph.rule import Elementwise, Operator, Rule
from ..scene.text import shorten
from .symbols import (
    AND,
    COMPARE,
    MATMUL,
    POWER,
    SUM,
    Symbol,
    apply,
    as_symbol,
    join,
    key_text,
    latex_text,
    multiply,
    word,
)


def _over_axis(name: str, x: Any, axis: Any = None) -> Symbol:
    return apply(name, x) if axis is None else apply(name, x, word(f"axis={axis}"))


_CALLS = """
exp log where softmax onehot broadcast scatter unpool spread corr crop put part pad
stack concat reshape transpose slope σ mask
"""
#: the functions that formulas of rules may call
FUNCTIONS: dict[str, Callable[..., Symbol]] = {
    **{name: partial(apply, name) for name in _CALLS.split()},
    "sum": partial(_over_axis, "Σ"),
    **{name: partial(_over_axis, name) for name in ("mean", "max", "min", "var")},
    "root": np.sqrt,
    "scaled": lambda x, w: x if w is None else x * w,
    "maxpool": partial(apply, "maxpool"),
    "meanpool": partial(apply, "meanpool"),
    "conv": lambda x, w: join(x, w, ("∗", r"\ast"), MATMUL, MATMUL, POWER),
    "convt": partial(apply, "convᵀ"),
    "say": lambda value: word(str(value)),
    "at": lambda key: word(key_text(key)),
    "apply": apply,
    "given": lambda x, name, meaning: _given(x, join(name, meaning, ("=", "="), COMPARE, SUM, SUM)),
}
#: the letters that formulas may use for quantities without a name
LETTERS = {
    **{letter: Symbol(letter, letter) for letter in "dnpqtz"},
    "γ": Symbol("γ", r"\gamma"),
    "δ": Symbol("δ", r"\delta"),
    "ε": Symbol("ε", r"\epsilon"),
    "η": Symbol("η", r"\eta"),
}


def _given(x: Symbol, definition: Symbol) -> Symbol:
    """An expression and, after a comma, the definition of a letter in it."""
    return Symbol(f"{x.text}, {definition.text}", f"{x.latex}, {definition.latex}", AND)


def formula(node: Operator, y: Symbol, xs: Sequence[Symbol]) -> Symbol:
    """The formula of the node; y is its own symbol, xs are those of its inputs."""
    rule = node.rule
    if isinstance(rule, Elementwise):
        with np.errstate(all="ignore"):  # literals may have any value
            return as_symbol(rule.function(*_known(xs), **node.attributes))
    written = getattr(rule, "formula", None)
    if written is None:
        return apply(rule.symbol, *xs)
    return _written(written, node, {"y": y}, xs)


def adjoint(
    node: Operator, index: int, g: Symbol, y: Symbol, xs: Sequence[Symbol]
) -> Symbol | None:
    """The contribution of a node with adjoint g to the adjoint of an input; None without one."""
    rule = node.rule
    if not node.requires_grad or not node.inputs[index].requires_grad:
        return None
    if isinstance(rule, Elementwise):
        derivative = rule.derivatives[index]
        if derivative is None:
            return None
        with np.errstate(all="ignore"):
            found = as_symbol(derivative(g, y, *_known(xs), **node.attributes))
        return found if node.inputs[index].shape == node.shape else apply("Σ", found)
    if not hasattr(rule, "formula"):
        ratio = f"∂{shorten(rule.symbol)}/∂{xs[index].text}"
        slope = Symbol(
            ratio,
            rf"\frac{{\partial {latex_text(shorten(rule.symbol))}}}{{\partial {xs[index].latex}}}",
        )
        return multiply(g, slope)
    # the last formula holds for all further inputs
    formulas: tuple[str | None, ...] = getattr(rule, "vjp_formulas", (None,))
    text = formulas[min(index, len(formulas) - 1)]
    return None if text is None else _written(text, node, {"g": g, "y": y, "i": index}, xs)


def _known(xs: Sequence[Symbol]) -> list[Any]:
    """Literals as numbers, so that a rule can branch on them, unless all are literals."""
    values = [
        x.number if x.opposite is None else -(x.opposite.number or np.nan)
        for x in xs
        if _literal(x)
    ]
    if len(values) == len(xs):
        return list(xs)
    found = iter(values)
    return [next(found) if _literal(x) else x for x in xs]


def _literal(x: Symbol) -> bool:
    return x.number is not None or (x.opposite is not None and x.opposite.number is not None)


def _written(text: str, node: Operator, names: dict[str, Any], xs: Sequence[Symbol]) -> Symbol:
    """Evaluate a formula; its names are the node's inputs, attributes and sizes."""
    first = node.inputs[0]
    scope = {
        **FUNCTIONS,
        **LETTERS,
        **_arguments(node.rule, node.attributes, xs),
        **names,
        "shape": node.shape,
        "size": first.size,
        "rows": first.shape[0] if first.shape else 1,
        "count": first.size // (node.size or 1),
    }
    return as_symbol(eval(_compiled(text), {"__builtins__": {}}, scope))


def _arguments(rule: Rule, attributes: dict[str, Any], xs: Sequence[Symbol]) -> dict[str, Any]:
    """The arguments of `rule.plan` by name."""
    found, rest = dict(attributes), list(xs)
    for p in _parameters(rule):
        if p.kind is p.VAR_POSITIONAL:
            found[p.name], rest = tuple(rest), []
        elif p.name in attributes or not rest or p.kind is p.KEYWORD_ONLY:
            found[p.name] = attributes.get(p.name, p.default)
        else:
            found[p.name] = rest.pop(0)
    return found


@lru_cache(maxsize=256)
def _parameters(rule: Rule) -> tuple[inspect.Parameter, ...]:
    return tuple(inspect.signature(rule.plan).parameters.values())


@lru_cache(maxsize=1024)
def _compiled(text: str) -> Any:
    return compile(text, "<formula>", "eval")
