"""Pictures as files: our own SVG as it is, or turned into PNG by resvg and into PDF by svglib and
ReportLab.

All three are plain wheels; no program of the system is needed. Neither knows CSS variables or media
queries, so they get the SVG with the colours of one theme written out, and the font that Matplotlib
ships, so that every machine gives the same picture.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from ...files import write_atomically
from .palette import EXPORT_FONT

_ZOOM = 2  # pixels per unit of a PNG: sharp on the screens of today


def save(
    path: str | os.PathLike[str], svg: str, plain: str, title: str, points: float = 1.0
) -> None:
    """Write a picture in the format that the name asks for; `plain` is its SVG for converters,
    `points` how many points of a PDF a pixel takes.

    Raises `ValueError` for a name that asks for another format.
    """
    target = Path(path)
    makers: dict[str, Callable[[], bytes]] = {
        ".svg": svg.encode,
        ".png": lambda: _png(plain),
        ".pdf": lambda: _pdf(plain, title, points),
    }
    maker = makers.get(target.suffix.lower())
    if maker is None:
        raise ValueError(
            f"save: {target.name!r}; a name that ends in {', '.join(makers)} was expected"
        )
    write_atomically(target, maker())


def _font_files() -> dict[tuple[str, str], Path]:
    """(weight, style) -> the file of the font that texts were measured with."""
    from matplotlib import get_data_path

    faces = {
        ("normal", "normal"): "",
        ("bold", "normal"): "-Bold",
        ("normal", "italic"): "-Oblique",
    }
    return {
        face: Path(get_data_path(), "fonts", "ttf", f"DejaVuSans{name}.ttf")
        for face, name in faces.items()
    }


def _png(plain: str) -> bytes:
    import resvg_py

    files = [str(file) for file in _font_files().values()]
    image = resvg_py.svg_to_bytes(
        svg_string=plain,
        zoom=_ZOOM,
        skip_system_fonts=True,
        font_files=files,
        font_family=EXPORT_FONT,
        sans_serif_family=EXPORT_FONT,
    )
    return bytes(image)


def _pdf(plain: str, title: str, points: float) -> bytes:
    from reportlab.graphics import renderPDF
    from reportlab.pdfgen.canvas import Canvas
    from svglib.fonts import register_font
    from svglib.svglib import svg2rlg

    for (weight, slant), file in _font_files().items():
        register_font(EXPORT_FONT, str(file), weight, slant)
    page: Any = svg2rlg(BytesIO(plain.encode()))
    page.scale(points, points)
    data = BytesIO()
    size = page.width * points, page.height * points
    canvas = Canvas(data, pagesize=size, invariant=1)  # no date, no random id
    canvas.setTitle(title)
    renderPDF.draw(page, canvas, 0, 0)
    canvas.save()
    return data.getvalue()
