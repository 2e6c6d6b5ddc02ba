"""Symbols: operands of NumPy's arithmetic that record formulas, as plain text and as LaTeX.

The LaTeX is safe within Markdown (GitHub, JupyterLab): no backslash before punctuation, no pipe, no
angle bracket, no underscore except between letters or digits.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from ..scene.text import shorten

#: operator precedence: an operand of a lower level is put in parentheses
AND, COMPARE, SUM, SIGN, MATMUL, PRODUCT, POWER, ATOM = range(8)
_MOST_ARGUMENTS = 6  # of a function; of more, the first and the last are shown

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_SUPERSCRIPTS = str.maketrans("−0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_COMPARISONS = {
    "equal": ("=", "="),
    "not_equal": ("≠", r"\ne"),
    "less": ("<", r"\lt"),
    "less_equal": ("≤", r"\le"),
    "greater": (">", r"\gt"),
    "greater_equal": ("≥", r"\ge"),
}
_LATEX_FUNCTIONS = {
    **{name: rf"\{name}" for name in ("sin", "cos", "tanh", "exp", "log", "max", "min")},
    "σ": r"\sigma",
    "Φ": r"\Phi",
    "Σ": r"\textstyle\sum",
    "convᵀ": r"\operatorname{conv}^{\top}",
}
_SAFE_IN_TEXT = " .,:/+-=()!?'"

Factors = tuple[tuple["Symbol", int], ...]


class Symbol(NDArrayOperatorsMixin):
    """An expression, as `text` and `latex`; arithmetic and NumPy's functions give symbols again.

    Only obvious terms are simplified: 1·x, x + 0, x·x as x², the place of a sign or a number.
    """

    __slots__ = ("coefficient", "factors", "latex", "level", "number", "opposite", "ratio", "text")
    __hash__ = object.__hash__

    def __init__(self, text: str, latex: str, level: int = ATOM) -> None:
        self.text, self.latex, self.level = text, latex, level
        self.number: float | None = None  # of a literal, which is never negative
        self.opposite: Symbol | None = None  # a, of -a
        self.coefficient: float = 1.0  # of a product
        self.factors: Factors = ((self, 1),)
        self.ratio: tuple[Symbol, Symbol] | None = None  # numerator and denominator of a quotient

    @property
    def T(self) -> Symbol:
        """The transposed matrix."""
        text, latex = _wrap(self, ATOM)
        return Symbol(f"{text}ᵀ", rf"{latex}^{{\top}}", POWER)

    def __getitem__(self, key: Any) -> Symbol:
        (text, latex), inner = (
            _wrap(self, ATOM),
            key if isinstance(key, Symbol) else word(key_text(key)),
        )
        return Symbol(f"{text}[{inner.text}]", f"{latex}[{inner.latex}]")

    def written_as(self, name: str) -> Symbol:
        """A function of that name, applied to this."""
        return apply(name, self)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        name = ufunc.__name__
        if method != "__call__" or options:
            return NotImplemented
        if name in _COMPARISONS:
            return _compare(name, *map(as_symbol, inputs))
        if name == "bitwise_and":
            return _both(*inputs)
        xs = [as_symbol(x) for x in inputs]
        return _UFUNCS[name](*xs) if name in _UFUNCS else apply(name, *xs)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        if function is np.where and len(args) == 3 and not options:
            condition, a, b = args
            if isinstance(condition, Symbol):
                return apply("where", *args)
            return a if condition else b
        return NotImplemented

    def __repr__(self) -> str:
        return f"<Symbol {self.text}>"


# ---------------- atoms
def variable(index: int) -> Symbol:
    """vᵢ, the node with that index."""
    return Symbol(
        "v" + str(index).translate(_SUBSCRIPTS), f"v_{{{index}}}" if index > 9 else f"v_{index}"
    )


def named(name: str, index: int | None = None) -> Symbol:
    """A node by its name; `index` is a subscript for names that are not unique."""
    name = shorten(name)
    text = name if index is None else name + str(index).translate(_SUBSCRIPTS)
    plain = re.fullmatch(r"([A-Za-z]+?)(?:_([A-Za-z0-9]+)|([0-9]+))?", name)
    if not plain:
        return Symbol(text, latex_text(text))
    base, below, digits = plain.groups()
    below = rf"\mathrm{{{below}}}" if below and not below.isdigit() else below or digits
    parts = [p for p in (below, None if index is None else str(index)) if p]
    latex = f"{base}_{{{','.join(parts)}}}" if parts else base
    return Symbol(text, latex if len(base) == 1 else rf"\mathrm{{{latex}}}")


def bar(symbol: Symbol) -> Symbol:
    """The adjoint of a node: a bar over one letter, `bar(name)` for a longer name."""
    if re.fullmatch(r"[^\W\d_][\d₀-₉]*", symbol.text):
        return Symbol(f"{symbol.text[0]}\u0304{symbol.text[1:]}", rf"\bar {symbol.latex}")
    return Symbol(f"bar({symbol.text})", rf"\overline{{{symbol.latex}}}")


def word(text: str) -> Symbol:
    """Plain words in a formula."""
    return Symbol(shorten(text, 40), latex_text(shorten(text, 40)))


def latex_text(text: str) -> str:
    r"""Text within a formula, in `\text{…}`; special characters as full-width ones."""
    return (
        rf"\text{{{''.join(c if c.isalnum() or c in _SAFE_IN_TEXT else _wide(c) for c in text)}}}"
    )


def _wide(c: str) -> str:
    return chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c


def key_text(key: Any) -> str:
    """The text of an index between brackets."""
    return ", ".join(_part(part) for part in (key if isinstance(key, tuple) else (key,))) or "()"


def _part(part: Any) -> str:
    if isinstance(part, slice):
        ends = ["" if end is None else str(end) for end in (part.start, part.stop, part.step)]
        return ":".join(ends if ends[2] else ends[:2])
    if isinstance(part, Symbol):
        return part.text
    shape = getattr(part, "shape", None)
    return "…" if part is ... else f"array {shape}" if shape else str(part)


def as_symbol(x: Any) -> Symbol:
    """A number as a symbol; None, a missing input, as 0."""
    if isinstance(x, Symbol):
        return x
    value = 0.0 if x is None else float(x)
    if value < 0:
        return _negative(as_symbol(-value))
    text = "∞" if value == np.inf else "NaN" if value != value else f"{value:.6g}"
    mantissa, _, exponent = text.partition("e")
    latex = {"∞": r"\infty", "NaN": r"\text{NaN}"}.get(text, text)
    latex = rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else latex
    symbol = Symbol(text, latex, ATOM if not exponent else PRODUCT)
    symbol.number, symbol.coefficient, symbol.factors = value, value, ()
    return symbol


# ---------------- arithmetic
def _wrap(x: Symbol, level: int) -> tuple[str, str]:
    """Text and LaTeX, in parentheses below `level`; a condition in Iverson brackets."""
    if x.level >= level:
        return x.text, x.latex
    left, right = "[]" if x.level <= COMPARE else "()"
    tall = (r"\left", r"\right") if r"\frac" in x.latex else ("", "")
    return f"{left}{x.text}{right}", f"{tall[0]}{left}{x.latex}{tall[1]}{right}"


def join(a: Symbol, b: Symbol, sign: tuple[str, str], level: int, left: int, right: int) -> Symbol:
    (at, al), (bt, bl) = _wrap(a, left), _wrap(b, right)
    return Symbol(f"{at} {sign[0]} {bt}", f"{al} {sign[1]} {bl}", level)


def _add(a: Symbol, b: Symbol) -> Symbol:
    if a.number == 0 or b.number == 0:
        return b if a.number == 0 else a
    if a.number is not None and b.number is not None:
        return as_symbol(a.number + b.number)
    if b.opposite is not None:
        return _subtract(a, b.opposite)
    return join(a, b, ("+", "+"), SUM, SUM, SUM)


def _subtract(a: Symbol, b: Symbol) -> Symbol:
    if a.number == 0 or b.number == 0:
        return _negative(b) if a.number == 0 else a
    if a.number is not None and b.number is not None:
        return as_symbol(a.number - b.number)
    if b.opposite is not None:
        return _add(a, b.opposite)
    return join(a, b, ("−", "-"), SUM, SUM, SIGN)


def _negative(a: Symbol) -> Symbol:
    if a.opposite is not None or a.number == 0:
        return a.opposite or a
    text, latex = _wrap(a, SIGN)
    symbol = Symbol(f"−{text}", f"-{latex}", SIGN)
    symbol.opposite = a
    return symbol


def multiply(a: Symbol, b: Symbol) -> Symbol:
    if a.opposite is not None:
        return _negative(multiply(a.opposite, b))
    if b.opposite is not None:
        return _negative(multiply(a, b.opposite))
    factors = list(a.factors)
    for base, exponent in b.factors:
        if factors and factors[-1][0].text == base.text:
            factors[-1] = (base, factors[-1][1] + exponent)
        else:
            factors.append((base, exponent))
    return _product(a.coefficient * b.coefficient, tuple(factors))


def _product(coefficient: float, factors: Factors) -> Symbol:
    if coefficient == 0 or not factors:
        return as_symbol(coefficient)
    parts = [] if coefficient == 1 else [as_symbol(coefficient)]
    parts += [_raised(base, as_symbol(exponent)) for base, exponent in factors]
    if len(parts) == 1:
        return parts[0]
    texts, latexes = zip(*(_wrap(part, PRODUCT) for part in parts), strict=True)
    symbol = Symbol("·".join(texts), r" \cdot ".join(latexes), PRODUCT)
    symbol.coefficient, symbol.factors = coefficient, factors
    return symbol


def _divide(a: Symbol, b: Symbol) -> Symbol:
    if a.opposite is not None or b.opposite is not None:
        quotient = _divide(a.opposite or a, b.opposite or b)
        return (
            quotient if a.opposite is not None and b.opposite is not None else _negative(quotient)
        )
    if b.number == 1:
        return a
    if a.ratio is not None:
        return _divide(a.ratio[0], multiply(a.ratio[1], b))
    symbol = Symbol(
        f"{_wrap(a, PRODUCT)[0]}/{_wrap(b, POWER)[0]}", rf"\frac{{{a.latex}}}{{{b.latex}}}", PRODUCT
    )
    symbol.ratio = (a, b)
    return symbol


def _power(a: Symbol, b: Symbol) -> Symbol:
    if b.number is not None and b.number.is_integer() and 0 < b.number < 100 and a.number is None:
        return _product(1.0, ((a, int(b.number)),))
    return as_symbol(1) if b.number == 0 else _raised(a, b)


def _raised(a: Symbol, b: Symbol) -> Symbol:
    """a to the power b as one factor."""
    if b.number == 1:
        return a
    text, latex = _wrap(a, ATOM)
    whole = re.fullmatch(r"−?\d+", b.text) is not None
    above = b.text.translate(_SUPERSCRIPTS) if whole else f"^{_wrap(b, ATOM)[0]}"
    symbol = Symbol(f"{text}{above}", f"{latex}^{{{b.latex}}}", POWER)
    if b.number is not None and b.number.is_integer():
        symbol.factors = ((a, int(b.number)),)
    return symbol


def _compare(name: str, a: Symbol, b: Symbol) -> Any:
    if name == "equal" and a.text == b.text:
        return True
    return join(a, b, _COMPARISONS[name], COMPARE, SUM, SUM)


def _both(a: Any, b: Any) -> Any:
    """a and b, of which one may be a known boolean."""
    if isinstance(a, Symbol) and isinstance(b, Symbol):
        return join(a, b, ("∧", r"\wedge"), AND, AND, AND)
    known, open_ = (b, a) if isinstance(a, Symbol) else (a, b)
    return open_ if known else False


def _matmul(a: Symbol, b: Symbol) -> Symbol:
    return join(a, b, ("@", r"\thinspace"), MATMUL, MATMUL, POWER)


def _root(x: Symbol) -> Symbol:
    return Symbol(f"√{_wrap(x, ATOM)[0]}", rf"\sqrt{{{x.latex}}}", POWER)


def _absolute(x: Symbol) -> Symbol:
    return Symbol(f"|{x.text}|", rf"\lvert {x.latex} \rvert")


_UFUNCS: dict[str, Callable[..., Symbol]] = {
    "add": _add,
    "subtract": _subtract,
    "multiply": multiply,
    "divide": _divide,
    "negative": _negative,
    "power": _power,
    "float_power": _power,
    "square": lambda x: _power(x, as_symbol(2)),
    "matmul": _matmul,
    "sqrt": _root,
    "absolute": _absolute,
    "fabs": _absolute,
    "log1p": lambda x: apply("log", _add(as_symbol(1), x)),
    "maximum": lambda a, b: apply("max", a, b),
    "minimum": lambda a, b: apply("min", a, b),
}


def apply(name: str, *args: Any) -> Symbol:
    """A function of that name on its arguments."""
    parts = [as_symbol(x) for x in args]
    if len(parts) > _MOST_ARGUMENTS:
        parts = [*parts[: _MOST_ARGUMENTS - 2], Symbol("…", r"\dots"), parts[-1]]
    texts, latexes = ", ".join(x.text for x in parts), ", ".join(x.latex for x in parts)
    if name not in _LATEX_FUNCTIONS:
        latex = (
            rf"\operatorname{{{name}}}"
            if re.fullmatch("[A-Za-z]+", name)
            else latex_text(shorten(name))
        )
    else:
        latex = _LATEX_FUNCTIONS[name]
    tall = (r"\left", r"\right") if r"\frac" in latexes else ("", "")
    return Symbol(f"{shorten(name)}({texts})", f"{latex}{tall[0]}({latexes}{tall[1]})")
