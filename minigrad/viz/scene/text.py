"""Text in drawings: numbers as they are written everywhere, how wide a line is, what must be
escaped.

Fonts differ from machine to machine, so a drawing never asks one. Widths come from the table below:
the advance widths of DejaVu Sans, the widest of the common sans-serif fonts, so that a text fits
wherever it is shown.
"""

from __future__ import annotations

import math
import unicodedata

from .measure import Stats

#: hundredths of the font size -> the characters that are so wide
_WIDTHS = r"""
 28 'ijl
 30 IJ
 32  ,.·
 34 /:;\|
 36 f
 37 -
 39 ᵀ
 40 ()[]t
 41 !²
 42 r
 46 "
 50 *_`–
 52 ∂
 53 sz
 54 ?
 55 c
 56 L
 58 Fk
 60 vxy
 61 P
 62 TYaeo
 64 $0123456789ESbdghnpqu{}σΣ√
 66 K
 67 ∇
 69 ABVXZ
 70 CR
 74 U
 75 N
 76 H
 77 ▽△▲
 78 &DG
 79 OQ
 82 w
 84 #+<=>^~↗✖±×∗−÷≤≥
 87 M
 88 ∅
 96 %
 97 ½
 98 m
 99 W
100 @…
"""
_WIDTH = {c: int(line[:3]) for line in _WIDTHS.splitlines() for c in line[4:]}
_UNKNOWN = 80
_FORBIDDEN = "\ufffe\uffff"
_PREFIXES = {-3: "n", -2: "µ", -1: "m", 0: "", 1: "k", 2: "M", 3: "G", 4: "T"}
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}

#: what stands before a number that is an alarm: shape says it, colour only repeats it
GLYPHS = {"zero": "∅", "vanished": "▽", "exploded": "△", "nan": "✖", "inf": "▲"}


def number(x: float, digits: int = 3) -> str:
    """A number with three significant digits, the same text wherever it appears."""
    if math.isnan(x):
        return "NaN"
    return f"{x + 0.0:.{digits}g}"  # adding 0 turns -0 into 0


def shape(axes: tuple[int, ...]) -> str:
    """A shape as NumPy prints it."""
    return str(tuple(axes))


def count(n: int, noun: str) -> str:
    """`1 node`, `7,850 parameters`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def value_lines(stats: Stats, shaped: bool = True) -> tuple[str, ...]:
    """What stands above an edge: the number, or mean±std (smallest…largest for whole numbers); of
    an array also its shape, if the box does not say it (`shaped`).
    """
    lines = (shape(stats.shape),) if stats.shape and shaped else ()
    if stats.state in ("nan", "inf"):
        return (*lines, alarm(stats))
    if stats.size == 1:
        return (*lines, number(stats.mean))
    if not stats.size:
        return (*lines, "empty")
    if stats.whole:
        return (*lines, f"{number(stats.low)}…{number(stats.high)}")
    return (
        *lines,
        f"{number(stats.mean, 2)}±{number(stats.std, 2)}",
    )  # a third digit would be noise, and wide


def gradient_line(stats: Stats, state: str = "") -> str:
    """What stands below an edge: the number, or the root mean square of an array, with the glyph of
    a `state` that is an alarm.
    """
    if not stats.size:
        return "empty"
    if stats.state in ("nan", "inf"):
        return alarm(stats)
    text = number(stats.mean) if stats.size == 1 or not stats.rms else f"rms {number(stats.rms)}"
    glyph = GLYPHS.get(state or stats.state)
    return f"{glyph} {text}" if glyph else text


def alarm(stats: Stats) -> str:
    """`✖ NaN`, `▲ inf` or `▲ -inf`."""
    if stats.state == "nan":
        return f"{GLYPHS['nan']} NaN"
    return f"{GLYPHS['inf']} {'-inf' if stats.high < math.inf else 'inf'}"


def width(line: str, size: float) -> float:
    """How wide a line is at most, in the unit of the font size."""
    return sum(_character(c) for c in line) * size / 100


def _character(c: str) -> int:
    known = _WIDTH.get(c)
    if known is not None:
        return known
    if unicodedata.combining(c):
        return 0
    return 100 if unicodedata.east_asian_width(c) in "WF" else _UNKNOWN


def shorten(line: str, most: int = 24) -> str:
    """One line of at most `most` characters: blanks and control characters become single spaces,
    the rest is `…`.
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in line).split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def quantity(x: float, unit: str) -> str:
    """A number with three digits and a prefix before its unit: `1.23 ms`, `560 kB`, `0 flop`."""
    if not x:
        return f"0 {unit}"
    power = math.floor(math.log10(float(f"{x:.2e}")) / 3 + 1e-9)
    power = min(max(power, min(_PREFIXES)), max(_PREFIXES))
    return f"{number(x / 1000.0**power)} {_PREFIXES[power]}{unit}"


def markdown(text: str) -> str:
    """Text that Markdown, HTML and MathJax show as it is: whatever could be markup becomes a
    character reference.
    """
    return "".join(_reference(c) for c in shorten(text, 1000))


def _reference(c: str) -> str:
    if c.isalnum() or c in " .,:;()=%+-'" or ord(c) > 127:
        return c
    # MathJax reads the page when it is done; what it looks for must not be next to other text
    return f"<span>&#{ord(c)};</span>" if c in "$\\" else f"&#{ord(c)};"


def escape(line: str) -> str:
    """Text as XML takes it, in element content and in attributes; the characters that XML forbids
    are left out.
    """
    return "".join(
        _ESCAPES.get(c, c)
        for c in line
        if " " <= c < "\ud800" or (c > "\udfff" and c not in _FORBIDDEN)
    )
