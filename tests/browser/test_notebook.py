"""Drawings where most people see them: in a notebook exported by nbconvert, and in a real
JupyterLab.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from io import BytesIO

import pytest
from browser.chromium import Page, wait
from matplotlib.image import imread

from minigrad.viz.page.palette import DARK, LIGHT

SOURCE = """\
import minigrad as mg

x = mg.Variable(2.0, name="x")
y = mg.sin(x**2)
y.backward()
mg.draw(y)"""
NAMESPACE = "{http://www.w3.org/2000/svg}"
PLACES = (
    "JUPYTER_CONFIG_DIR",
    "JUPYTER_DATA_DIR",
    "JUPYTER_RUNTIME_DIR",
    "JUPYTERLAB_SETTINGS_DIR",
    "JUPYTERLAB_WORKSPACES_DIR",
    "IPYTHONDIR",
)

#: how many drawings there are, and the place of the first; null while there is none. JupyterLab and
#: nbconvert make images of SVGs, others leave them as they are
ALL = "[...document.querySelectorAll('svg.mg, img[src^=\"data:image/svg+xml\"]')]"
FIND = f"""(() => {{
  const shown = {ALL}.filter(e => e.tagName == 'svg' || e.naturalWidth > 0)
  const [first] = shown.map(e => e.getBoundingClientRect())
  return first && first.width > 0
    ? [shown.length, first.left, first.top, first.width, first.height] : null
}})()"""
SVG = (
    f"{ALL}.map(e => e.tagName == 'svg' ? e.outerHTML : fetch(e.src).then(answer => "
    f"answer.text()))[0]"
)


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """A small notebook, executed, as a file."""
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(SOURCE, id="drawing")])
    nbclient.NotebookClient(book, kernel_name="python3", timeout=120).execute()
    file = tmp_path_factory.mktemp("notebook") / "drawing.ipynb"
    nbformat.write(book, file)
    return file


@pytest.mark.parametrize("template", ["basic", "lab"])
def test_an_exported_notebook_shows_the_drawing(notebook, template, show):
    nbconvert = pytest.importorskip("nbconvert")
    body, _ = nbconvert.HTMLExporter(template_name=template).from_filename(str(notebook))
    page = show(body if "<html" in body else f"<!doctype html><meta charset=utf-8>{body}")
    count, *_, wide, high = page.run(FIND)
    assert count == 1 and wide > 200 and high > 100
    drawing = ET.fromstring(page.run(SVG))
    nodes = [g for g in drawing.iter(f"{NAMESPACE}g") if "node" in g.get("class", "").split()]
    assert [node.find(f"{NAMESPACE}title").text.split(";")[0] for node in nodes] == [
        "n0, variable x",
        "n1, constant 2",
        "n2, operator ^ (power)",
        "n3, operator sin (sin)",
    ]


def test_an_exported_drawing_has_a_name(notebook, show):
    nbconvert = pytest.importorskip("nbconvert")
    page = show(nbconvert.HTMLExporter(template_name="lab").from_filename(str(notebook))[0])
    wait(lambda: page.run("!!document.querySelector('.mgx-stage svg')"), what="the explorer")
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    names = [
        node.get("name", {}).get("value", "")
        for node in nodes
        if not node["ignored"] and node["role"]["value"] in ("group", "image", "img")
    ]
    assert all(names) and any(name.startswith("Computation graph of sin") for name in names)


@pytest.fixture
def lab(notebook, tmp_path):
    """The address of a JupyterLab that shows the notebook's folder and knows nothing of this
    machine's settings.
    """
    pytest.importorskip("jupyterlab")
    environment = {**os.environ, **{name: str(tmp_path / name.lower()) for name in PLACES}}
    subprocess.run(
        [sys.executable, "-m", "jupyter", "trust", notebook],
        env=environment,
        check=True,
        capture_output=True,
    )
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        "--port=0",
        "--IdentityProvider.token=",
        f"--ServerApp.root_dir={notebook.parent}",
        "--expose-app-in-browser",
        "--LabApp.news_url=",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]

    def address():
        for file in (tmp_path / "jupyter_runtime_dir").glob("jpserver-*.json"):
            text = file.read_text(encoding="utf-8")
            return json.loads(text)["url"] if text.endswith("}") else None

    with open(tmp_path / "log", "wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield wait(address, 60, "start of JupyterLab")
    finally:
        server.terminate()  # which shuts its kernels down, too
        try:
            server.wait(20)
        finally:
            server.kill()
            server.wait()


def ground(page: Page) -> str:
    """The colour at the drawing's left edge."""
    _, left, top, _, high = page.run(FIND)
    pixel = imread(BytesIO(page.screenshot()))[int(top + high / 2), int(left) + 6, :3] * 255
    return "#" + "".join(f"{round(float(c)):02x}" for c in pixel)


def test_jupyterlab_shows_the_drawing_in_its_own_theme(lab, page):
    page.go(f"{lab}lab/tree/drawing.ipynb")
    count, *_, wide, high = wait(lambda: page.run(FIND), 60, "the drawing in JupyterLab")
    assert count == 1 and wide > 200 and high > 100
    assert ground(page) == LIGHT["bg"]
    page.run("jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
    wait(lambda: page.run("document.body.dataset.jpThemeLight") == "false", 20, "the dark theme")
    wait(lambda: ground(page) == DARK["bg"], 20, "the dark drawing")
    page.run("jupyterapp.commands.execute('notebook:run-all-cells')")
    wait(
        lambda: page.run("document.querySelector('.jp-InputPrompt').textContent") == "[1]:",
        40,
        "the cell's run",
    )
    wait(lambda: page.run(FIND) and ground(page) == DARK["bg"], 20, "the drawing after a run")
