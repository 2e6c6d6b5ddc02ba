"""The base of all pictures that are SVG: how a notebook shows them and how files keep them."""

from __future__ import annotations

import hashlib
import re
from os import PathLike
from typing import Any

from .page import export
from .page.geometry import NOTE, TITLE
from .page.html import embed
from .page.palette import THEMES, plain_style, style
from .page.svg import MARGIN, document, px, wrap
from .scene.text import escape


def check_theme(function: str, theme: Any) -> None:
    """Raise `ValueError` unless `theme` is None or the name of a theme."""
    if theme is not None and theme not in THEMES:
        raise ValueError(
            f"{function}: theme={theme!r}; {', '.join(map(repr, THEMES))} or None was expected"
        )


class SvgPicture:
    """A picture that shows itself in a notebook; subclasses add `title`, `description`, `render`.

    `svg` is the picture, `html` the same for a page, `save()` writes a file.
    """

    theme: str | None
    points: float = 1.0

    @property
    def title(self) -> str:
        """The heading of the picture."""
        raise NotImplementedError

    @property
    def description(self) -> str:
        """The message of the picture in a few sentences."""
        raise NotImplementedError

    def render(self, theme: str | None, plain: bool = False) -> str:
        """The SVG in a theme; `plain` is for converters, which do not know CSS variables."""
        raise NotImplementedError

    @property
    def svg(self) -> str:
        """The picture as SVG."""
        return self.render(self.theme)

    @property
    def html(self) -> str:
        """The picture for a page: an image that a script replaces by the SVG itself."""
        return embed(self.svg, self.alt_text)

    @property
    def alt_text(self) -> str:
        """Title and description, for screen readers."""
        return f"{self.title}. {self.description}"

    def save(self, path: str | PathLike[str]) -> None:
        """Write a `.svg`, `.png` or `.pdf` file. Raises `ValueError` for any other name."""
        plain = self.render(self.theme or "light", plain=True)
        export.save(path, self.svg, plain, self.title, self.points)

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self), "image/svg+xml": self.svg, "text/html": self.html}

    def _document(
        self, theme: str | None, plain: bool, rules: str, size: tuple[float, float], body: str
    ) -> str:
        """`body` below the title, with the style sheet of the theme and additional CSS `rules`.

        `size` is that of the body: below it comes the description.
        """
        wide, tall = size
        notes = wrap(self.description, wide)
        lines = [
            text_element("note", MARGIN, tall + NOTE + 15 * i, line) for i, line in enumerate(notes)
        ]
        body = "\n".join([body, *lines])
        key = f"mg-{hashlib.sha256(f'{body}{theme}'.encode()).hexdigest()[:8]}"
        if plain:
            colours = THEMES[theme or "light"]
            rules = plain_style(theme or "light") + re.sub(
                r"var\(--([\w-]+)\)", lambda m: colours[m[1]], rules
            )
        else:
            rules = style(theme) + rules
        heading = text_element("heading", MARGIN, MARGIN + TITLE - 3, self.title)
        whole = wide + 2 * MARGIN, tall + 15 * len(notes) + MARGIN
        return document(
            key, theme, self.title, self.description, rules, whole, f"{heading}\n{body}"
        )


def text_element(kind: str, x: float, y: float, words: str, anchor: str = "start") -> str:
    """An SVG text element of class `kind`."""
    return (
        f'<text class="{kind}" x="{px(x)}" y="{px(y)}" '
        f'text-anchor="{anchor}">{escape(words)}</text>'
    )
