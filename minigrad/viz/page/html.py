"""A drawing as HTML for notebooks: an image with its words, which comes alive where scripts may run.

JupyterLab and nbconvert show `image/svg+xml` as an image without a name and without tooltips, and in a notebook that is
not trusted yet JupyterLab takes an inline SVG apart. So the SVG goes in as an image, which every place shows and a screen
reader can name; a script then puts the SVG itself in the image's place.
"""
from __future__ import annotations

import base64

from ..scene.text import escape

_SCRIPT = """\
for (const still of document.querySelectorAll("img.mg-still")) {
  const bytes = Uint8Array.from(atob(still.src.split(",")[1]), c => c.charCodeAt(0));
  const page = new DOMParser().parseFromString(new TextDecoder().decode(bytes), "image/svg+xml");
  still.replaceWith(document.importNode(page.documentElement, true));
}"""


def embed(svg: str, words: str) -> str:
    """The fragment that shows `svg`; `words` are for who cannot see it."""
    data = base64.b64encode(svg.encode()).decode()
    return (
        f'<img class="mg-still" alt="{escape(words)}" src="data:image/svg+xml;base64,{data}">\n<script>\n{_SCRIPT}\n</script>'
    )
