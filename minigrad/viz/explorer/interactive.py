"""The base of drawings with a slider: how a notebook shows them and how a file keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

from ...files import write_atomically
from ..draw import Drawing
from .explorer import page


class Interactive:
    """A `drawing` and what its script needs besides.

    A notebook shows it; `html` is a fragment for any page, `save()` writes a page.
    """

    def __init__(self, drawing: Drawing, data: Mapping[str, Any]) -> None:
        self.drawing, self._data = drawing, data

    @cached_property
    def html(self) -> str:
        """One fragment of HTML, which loads nothing and needs no kernel."""
        return self.drawing.explorer(**self._data)

    def save(self, path: str | PathLike[str]) -> None:
        """Write a page to a `.html` file; else raise `ValueError`."""
        target = Path(path)
        if target.suffix.lower() != ".html":
            raise ValueError(f"save: {target.name!r}; a name that ends in .html was expected")
        write_atomically(target, page(self.html, self.drawing.title, self.drawing.theme).encode())

    def _repr_html_(self) -> str:
        return self.html

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self.html}
