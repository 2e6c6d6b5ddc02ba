"""Colours and line styles: the only place that knows them. Shape says the kind, ink the size;
colour repeats it.
"""

from __future__ import annotations

import re

#: light, dark and, for print, black on white: there shapes, line styles and glyphs say everything
_COLOURS = """\
bg             #ffffff  #11151c  #ffffff
fg             #1a1a1a  #e8eaed  #000000
muted          #5b6470  #a8b0ba  #333333
line           #6b7280  #9aa4b2  #333333
frame          #87909b  #606b7a  #808080
tint           #f7f8fa  #171d27  #ffffff
variable       #0072B2  #56B4E9  #000000
variable-fill  #eaf4fb  #12283a  #ffffff
constant       #8a6d00  #F0E442  #000000
constant-fill  #fcf8e6  #29280f  #ffffff
operator       #6b7280  #9aa4b2  #000000
operator-fill  #ffffff  #11151c  #ffffff
gradient       #A63F00  #E69F00  #000000
bad            #A63F00  #E69F00  #000000
faint          #8a8678  #707173  #8a8678
g0             #8a8678  #707173  #8a8678
g1             #707173  #8a8678  #707173
g2             #575d6d  #a59c74  #575d6d
g3             #3b496c  #c3b369  #3b496c
g4             #123570  #e1cc55  #123570
g5             #00224e  #fee838  #00224e
"""
_ROWS = [line.split() for line in _COLOURS.splitlines()]
LIGHT, DARK, PRINT = ({name: row[i] for name, *row in _ROWS} for i in range(3))
THEMES = {"light": LIGHT, "dark": DARK, "print": PRINT}

_FONT = "system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,'DejaVu Sans',sans-serif"
EXPORT_FONT = "DejaVu Sans"  # Matplotlib ships it
_INKS = (1.2, 1.7, 2.3, 2.9, 3.6, 4.4)
#: line width by the state of a gradient, where it is not the ink that says it
_WIDTHS = {"none": 1.2, "zero": 1.6, "vanished": 1.2, "exploded": 5.6, "nan": 3.0, "inf": 3.0}

_RULES = f"""\
.mg .bg{{fill:var(--bg)}}
.mg text{{font-family:{_FONT};font-size:10px;fill:var(--muted)}}
.mg .label{{font-size:13px;fill:var(--fg)}}
.mg .module .label,.mg .heading{{font-weight:bold}}
.mg .heading{{font-size:15px;fill:var(--fg)}}
.mg .note{{font-size:11px}}
.mg .v,.mg .d,.mg .s{{font-size:10.5px}}
.mg .v{{fill:var(--variable)}}
.mg .d{{fill:var(--gradient);font-style:italic}}
.mg .shape{{fill:var(--operator-fill);stroke:var(--operator);stroke-width:1.2}}
.mg .broadcasted .shape,.mg .module .shape{{stroke-width:2.2}}
.mg .inner{{fill:none;stroke:var(--operator);stroke-width:1.2}}
.mg .variable .shape,.mg .ghost .shape{{\
fill:var(--variable-fill);stroke:var(--variable);stroke-width:2.4}}
.mg .ghost .shape{{stroke-width:1.4}}
.mg .constant .shape{{fill:var(--constant-fill);stroke:var(--constant);stroke-dasharray:4 3}}
.mg .more .shape{{stroke-dasharray:1.5 3;stroke-linecap:round}}
.mg .fork .shape{{fill:var(--line);stroke:none}}
.mg .focus .shape{{stroke-width:4}}
.mg .back .line{{stroke-dasharray:9 4}}
.mg .ring{{fill:none;stroke:var(--bad);stroke-width:1.6}}
.mg .track{{fill:none;stroke:var(--muted);stroke-width:.8}}
.mg .bar{{fill:var(--muted)}}
.mg .frame{{fill:var(--tint);stroke:var(--frame);stroke-width:1.2}}
.mg .rule{{stroke:var(--frame);stroke-width:1}}
.mg .line{{fill:none;stroke:var(--line)}}
.mg .tip{{fill:var(--line)}}
"""
_HALO = """\
.mg .v,.mg .d,.mg .s{paint-order:stroke;stroke:var(--bg);stroke-width:3px;stroke-linejoin:round}
.mg .caption{paint-order:stroke;stroke:var(--tint);stroke-width:3px;stroke-linejoin:round}
.mg .framed .v,.mg .framed .d,.mg .framed .s{stroke:var(--tint)}
"""


def line_width(state: str, step: int) -> float:
    """How wide the line of a gradient is drawn."""
    return _WIDTHS[state] if state in _WIDTHS else _INKS[step]


def style(theme: str | None) -> str:
    """The style sheet of a drawing; None follows the reader's light or dark setting.

    An SVG in a page shares its style sheets with the page, so everything is kept to the class `mg`,
    and the colours to one class per theme: drawings of different themes stand side by side.
    """
    if theme is not None:
        return f".mg-{theme}{{{_variables(THEMES[theme])}}}\n{_rules()}"
    light, dark = _variables(LIGHT), _variables(DARK)
    return (
        f".mg-auto{{{light}}}\n@media(prefers-color-scheme:dark){{.mg-auto{{{dark}}}}}\n"
        f'[data-jp-theme-light="true"] .mg-auto{{{light}}}\n'
        f'[data-jp-theme-light="false"] .mg-auto{{{dark}}}\n{_rules()}'
    )


def plain_style(theme: str) -> str:
    """The style sheet for converters: no variables, no media queries, no halos (which some paint
    over the text).
    """
    colours = THEMES[theme]
    rules = _rules(halo=False).replace(_FONT, EXPORT_FONT)
    return re.sub(r"var\(--([\w-]+)\)", lambda m: colours[m[1]], rules)


def _rules(halo: bool = True) -> str:
    rows = [_RULES + _HALO if halo else _RULES]
    for step in range(len(_INKS)):
        rows.append(
            f".mg .g{step} .line{{stroke:var(--g{step})}}.mg .g{step} .tip{{fill:var(--g{step})}}\n"
        )
    rows.append(".mg .zero .line{stroke-dasharray:.1 4;stroke-linecap:round}\n")
    rows.append(
        ".mg .vanished .line{stroke:var(--faint);stroke-dasharray:6 4}.mg .vanished "
        ".tip{fill:var(--faint)}\n"
    )
    rows.append(".mg .nan .line,.mg .inf .line{stroke:var(--bad);stroke-dasharray:9 3}")
    rows.append(".mg .nan .tip,.mg .inf .tip{fill:var(--bad)}\n")
    return "".join(rows)


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in colours.items())
