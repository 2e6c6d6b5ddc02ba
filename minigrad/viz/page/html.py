"""A drawing as HTML for notebooks: an image with its words, which comes alive where scripts may
run.

JupyterLab and nbconvert show `image/svg+xml` as an image without a name and without tooltips, and
in a notebook that is not trusted yet JupyterLab takes an inline SVG apart. So the SVG goes in as an
image, which every place shows and a screen reader can name; a script then puts the SVG itself in
the image's place.
"""

from __future__ import annotations

import base64

from ..scene.text import escape

#: makes the SVG element of an image that `still` made
ALIVE = """\
const alive = (still) => {
  const bytes = Uint8Array.from(atob(still.src.split(",")[1]), c => c.charCodeAt(0));
  const page = new DOMParser().parseFromString(new TextDecoder().decode(bytes), "image/svg+xml");
  return document.importNode(page.documentElement, true);
};"""
_SCRIPT = f"""{{
{ALIVE}
for (const still of document.querySelectorAll("img.mg-still")) still.replaceWith(alive(still));
}}"""


def embed(svg: str, words: str) -> str:
    """The fragment that shows `svg`; `words` are for who cannot see it."""
    return f"{still(svg, words, 'mg-still')}\n<script>{_SCRIPT}</script>"


def still(svg: str, words: str, kind: str) -> str:
    """The SVG as an image element of class `kind`."""
    data = base64.b64encode(svg.encode()).decode()
    return f'<img class="{kind}" alt="{escape(words)}" src="data:image/svg+xml;base64,{data}">'
