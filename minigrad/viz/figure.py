"""The class of the matplotlib figures; imported only when one is drawn, for matplotlib is slow."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as MatplotlibFigure

from ..files import write_atomically
from .scene.text import shorten

#: where each kind of file keeps the description; in an SVG it becomes the <title>, which screen
#: readers read
_DESCRIBED = {"svg": "Title", "png": "Description", "pdf": "Subject"}
_UNDATED = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}


#: A page turns light figures dark: lightness is inverted, and the hue, which that changes, is put
#: back. What is far from the background stays far from it. The style is an output of its own, for
#: where chapters are tested, pictures are left out, because they differ between machines.
_LIGHT = "img.jp-needs-light-background"  # the class that Jupyter gives them
_DARK = f"{_LIGHT}{{filter:invert(.93) hue-rotate(180deg)}}"
STYLE = (
    f"<style>@media(prefers-color-scheme:dark){{{_DARK}}}"
    f'[data-jp-theme-light="false"] {_DARK}'
    f'[data-jp-theme-light="true"] {_LIGHT}{{filter:none}}</style>'
)


class Figure(MatplotlibFigure):
    """A matplotlib figure that shows itself in a notebook, whatever pyplot is set to.

    Without a `theme` it is light, and dark where the page is. `description` says in a sentence or
    two what the figure shows: it is the alt text in a notebook and the description in files.
    `numbers` maps names to the data that was drawn.
    """

    description: str
    numbers: dict[str, Any]

    def __init__(
        self, width: float, height: float, settings: dict[str, Any], theme: str | None = None
    ) -> None:
        super().__init__(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(self)
        self.description, self.numbers, self._settings, self.theme = "", {}, settings, theme

    def save(self, path: str | PathLike[str]) -> None:
        """Write a `.svg`, `.png` or `.pdf` file. Raises `ValueError` for any other name."""
        write(self, path, self._settings)

    def _repr_png_(self) -> bytes:
        return encode(self, "png", 100, self._settings)

    def _repr_mimebundle_(
        self, include: Any = None, exclude: Any = None
    ) -> tuple[dict[str, str], dict[str, Any]]:
        """The picture and, where nbconvert looks for it, the alt text."""
        picture = b64encode(self._repr_png_()).decode()
        about = {"image/png": {"alt": shorten(self.description, 2000)}}
        follows = {} if self.theme else {"needs_background": "light"}
        return {"image/png": picture}, {**about, **follows}

    def _ipython_display_(self) -> None:
        from IPython import get_ipython

        shell: Any = get_ipython()
        if shell is None:
            raise NotImplementedError  # IPython then takes the picture alone
        if self.theme is None:
            shell.display_pub.publish({"text/html": STYLE})
        data, about = self._repr_mimebundle_()
        shell.display_pub.publish({"text/plain": repr(self), **data}, about)


def encode(figure: MatplotlibFigure, kind: str, dpi: int, settings: dict[Any, Any]) -> bytes:
    """The bytes of a file: with the description, without a date."""
    metadata: dict[str, Any] = dict(_UNDATED[kind])
    description = shorten(getattr(figure, "description", ""), 2000)
    if description:
        metadata[_DESCRIBED[kind]] = description
    data = BytesIO()
    with rc_context(settings):
        figure.savefig(data, format=kind, dpi=dpi, metadata=metadata)
    return data.getvalue()


def write(figure: MatplotlibFigure, path: str | PathLike[str], settings: dict[Any, Any]) -> None:
    """Write a figure as `.svg`, `.png` or `.pdf`, the same bytes for the same figure."""
    target = Path(path)
    kind = target.suffix.lower().removeprefix(".")
    if kind not in _UNDATED:
        raise ValueError(
            f"save: {target.name!r}; a name that ends in .{', .'.join(_DESCRIBED)} was expected"
        )
    write_atomically(target, encode(figure, kind, 150, settings))
