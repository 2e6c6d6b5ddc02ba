"""Symbols: parentheses where they are needed and nowhere else, text and LaTeX that say the same,
names that do no harm.
"""

from __future__ import annotations

import numpy as np
import pytest

from minigrad.viz.walk.symbols import (
    Symbol,
    apply,
    as_symbol,
    bar,
    latex_text,
    named,
    variable,
    word,
)

x, y, z = named("x"), named("y"), named("z")


@pytest.mark.parametrize(
    ("symbol", "text", "latex"),
    [
        ((x + y) * z, "(x + y)·z", r"(x + y) \cdot z"),
        (x * y + z, "x·y + z", r"x \cdot y + z"),
        (x - (y + z), "x − (y + z)", "x - (y + z)"),
        (x - y + z, "x − y + z", "x - y + z"),
        (x + (y - z), "x + y − z", "x + y - z"),
        (x / (y * z), "x/(y·z)", r"\frac{x}{y \cdot z}"),
        (x / y / z, "x/(y·z)", r"\frac{x}{y \cdot z}"),
        (x / y * z, "x/y·z", r"\frac{x}{y} \cdot z"),
        (x / (y / z), "x/(y/z)", r"\frac{x}{\frac{y}{z}}"),
        ((x / y) ** 2, "(x/y)²", r"\left(\frac{x}{y}\right)^{2}"),
        ((x + y) ** 2, "(x + y)²", "(x + y)^{2}"),
        (x**y, "x^y", "x^{y}"),
        (x ** (y - 1), "x^(y − 1)", "x^{y - 1}"),
        (x**0.5, "x^0.5", "x^{0.5}"),
        (x**-2.0, "x⁻²", "x^{-2}"),
        ((x**y) ** z, "(x^y)^z", "(x^{y})^{z}"),
        ((-x) ** 2, "(−x)²", "(-x)^{2}"),
        (-(x + y), "−(x + y)", "-(x + y)"),
        (-x * y, "−x·y", r"-x \cdot y"),
        (x - -y, "x + y", "x + y"),
        (x + -y, "x − y", "x - y"),
        (x - (-y * z), "x + y·z", r"x + y \cdot z"),
        (-x / -y, "x/y", r"\frac{x}{y}"),
        (-x / y, "−x/y", r"-\frac{x}{y}"),
        (x @ y.T + z, "x @ yᵀ + z", r"x \thinspace y^{\top} + z"),
        ((x @ y) * z, "(x @ y)·z", r"(x \thinspace y) \cdot z"),
        (x @ (y @ z), "x @ (y @ z)", r"x \thinspace (y \thinspace z)"),
        ((x + y).T, "(x + y)ᵀ", r"(x + y)^{\top}"),
        (x * (y > 0), "x·[y > 0]", r"x \cdot [y \gt 0]"),
        (x * ((y >= 0) & (y <= 1)), "x·[y ≥ 0 ∧ y ≤ 1]", r"x \cdot [y \ge 0 \wedge y \le 1]"),
        (np.sin(x + y) ** 2, "sin(x + y)²", r"\sin(x + y)^{2}"),
        (np.sqrt(x + 1), "√(x + 1)", r"\sqrt{x + 1}"),
        (np.absolute(x), "|x|", r"\lvert x \rvert"),
        (np.where(x > 0, y, 0), "where(x > 0, y, 0)", r"\operatorname{where}(x \gt 0, y, 0)"),
        (np.maximum(x, -0.5), "max(x, −0.5)", r"\max(x, -0.5)"),
        (x * 1e-5, "1e-05·x", r"1 \cdot 10^{-5} \cdot x"),
        (x[0, 1:], "x[0, 1:]", r"x[\text{0, 1:}]"),
    ],
)
def test_arithmetic(symbol, text, latex):
    assert (symbol.text, symbol.latex) == (text, latex)


@pytest.mark.parametrize(
    ("symbol", "text"),
    [
        (x * 1, "x"),
        (1.0 * x, "x"),
        (x + 0, "x"),
        (0 + x, "x"),
        (x - 0, "x"),
        (0 - x, "−x"),
        (x / 1, "x"),
        (x * 0, "0"),
        (x * x, "x²"),
        (x * x * x, "x³"),
        (2 * x * 3, "6·x"),
        (x * 2 * y, "2·x·y"),
        (x**1, "x"),
        (x**0.0, "1"),
        (x**2 * x, "x³"),
        (-0.5 * x * x, "−0.5·x²"),
        (as_symbol(2) + 1, "3"),
        (np.negative(-x), "x"),
        (x * True, "x"),
        (np.where(np.equal(x, x), y, z), "y"),
        (True & (x > 0), "x > 0"),
        (x * (x == x), "x"),
    ],
)
def test_what_goes_without_saying(symbol, text):
    assert symbol.text == text


def test_numpys_numbers_join_in():
    assert (np.float64(2.0) * x).text == "2·x" and (np.array(2.0) * x).text == "2·x"
    assert (
        np.square(x).text == "x²"
        and np.log1p(x).text == "log(1 + x)"
        and np.power(x, np.array(2)).text == "x²"
    )


@pytest.mark.parametrize(
    ("symbol", "text", "latex"),
    [
        (variable(3), "v₃", "v_3"),
        (variable(12), "v₁₂", "v_{12}"),
        (bar(variable(12)), "v̄₁₂", r"\bar v_{12}"),
        (bar(named("x")), "x̄", r"\bar x"),
        (bar(named("loss")), "bar(loss)", r"\overline{\mathrm{loss}}"),
        (named("W_hh"), "W_hh", r"W_{\mathrm{hh}}"),
        (named("h0"), "h0", "h_{0}"),
        (named("weight", 12), "weight₁₂", r"\mathrm{weight_{12}}"),
        (named("W", 3), "W₃", "W_{3}"),
        (named("my input"), "my input", r"\text{my input}"),
        (named("größe"), "größe", r"\text{größe}"),
        (word("… 2 rows"), "… 2 rows", r"\text{… 2 rows}"),
    ],
)
def test_names(symbol, text, latex):
    assert (symbol.text, symbol.latex) == (text, latex)


@pytest.mark.parametrize(
    "name", [r"\input{x}", "a|b", "$x$", "</script>", "a_b_c", "x^2", "{", "`x`", "[a](b)", "#%&~"]
)
def test_a_name_does_no_harm_in_latex_or_markdown(name):
    latex = named(name).latex
    inside = latex.removeprefix(r"\text{").removesuffix("}")
    assert latex == rf"\text{{{inside}}}" and not set(inside) & set("\\{}|$<>`*_^[]#%&~")
    assert len(inside) == len(name)


def test_every_ascii_character_is_safe_in_text():
    text = latex_text("".join(map(chr, range(32, 127))))[6:-1]
    assert not set(text) & set('\\{}|$<>`*_^[]#%&~"@;')


def test_a_long_list_of_arguments_is_cut():
    assert apply("f", *range(9)).text == "f(0, 1, 2, 3, …, 8)"


def test_what_symbols_cannot_do_is_an_error():
    with pytest.raises(TypeError):
        np.add.reduce(x)
    with pytest.raises(TypeError):
        np.concatenate([x, y])
    assert repr(x) == "<Symbol x>" and isinstance(hash(x), int) and isinstance(x == y, Symbol)
