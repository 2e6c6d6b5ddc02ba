"""The explorer as data: packed arrays, limits, one fragment, the same bytes each time. How it
behaves is tested in a browser.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from viz.examples import mlp, neuron, sine

import minigrad as mg
from minigrad.viz import draw, play
from minigrad.viz.explorer.explorer import IN_FILES, IN_NOTEBOOKS, SIDE, Limits, arrays, packed


def data(html):
    (code,) = re.findall('class="mgx-data">([^<]+)<', html)
    return json.loads(gzip.decompress(base64.b64decode(code)))


def unpacked(entry):
    shape, scale, code, kept = entry
    whole = np.frombuffer(base64.b64decode(code), "<i2").astype(float)
    return shape, np.where(whole == -32768, np.nan, whole / 32767 * scale).reshape(kept)


@pytest.mark.parametrize(
    "array", [np.linspace(-3, 2, 12).reshape(3, 4), np.array(-2.5), np.zeros(3), np.array([True])]
)
def test_arrays_keep_four_digits(array):
    shape, found = unpacked(packed(array.shape, array))
    assert tuple(shape) == array.shape
    np.testing.assert_allclose(found, array, atol=np.abs(array).max() / 32767)


def test_what_is_not_finite():
    _, found = unpacked(packed((4,), np.array([np.nan, np.inf, -np.inf, 2.0])))
    np.testing.assert_array_equal(
        found, [np.nan, np.nan, np.nan, 2.0]
    )  # and no number that is none


def test_small_arrays_first_and_no_more_than_the_limit():
    x = mg.Variable(np.ones((3, 100, 100)), name="x")
    scene = draw(mg.sum(x * 2.0)).scene
    assert set(arrays(scene, 2)) == {"n1", "n3"}
    found = arrays(scene, 10**6)["n0"]["value"]
    assert (found[0], found[3]) == ([3, 100, 100], [3, SIDE, SIDE])


def test_value_before_gradient():
    assert list(arrays(draw(sine()).scene, 100)["n0"]) == ["value", "gradient"]


def test_values_that_are_not_written_are_not_stored():
    assert data(draw(sine(), values=False, grads=False).html)["arrays"] == {}


def test_a_notebook_holds_fewer_boxes_than_a_file():
    assert IN_NOTEBOOKS.boxes < IN_FILES.boxes and IN_NOTEBOOKS.entries < IN_FILES.entries
    drawing = draw(mlp())
    few, many = (len(data(drawing.explorer(Limits(n, 0)))["things"]) for n in (3, 100))
    assert few < many == len(data(drawing.html)["things"])


def test_a_group_comes_before_what_is_in_it():
    found = data(draw(mlp()).html)
    for box, cluster in found["within"].items():
        assert not cluster or found["order"][cluster] < found["order"][box]


def test_the_same_graph_gives_the_same_bytes():
    script = (
        "import sys; sys.path.insert(0, 'tests'); from viz.examples import mlp; import minigrad; "
        "import hashlib; print(hashlib.sha256(minigrad.draw(mlp()).html.encode()).hexdigest())"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1
    assert draw(neuron()).html != draw(sine()).html


def test_nothing_is_fetched():
    html = draw(mlp()).html
    outside = r"https?:(?!//www\.w3\.org/2000/svg)|@import|url\(|\bimport\b|fetch\(|src=\"(?!data:)"
    assert not re.search(outside, html)
    assert html.count("<script") == html.count("</script>") == 2


def test_saving_a_page(tmp_path):
    player = play(sine(), title="A <sine>")
    player.save(tmp_path / "x.HTML")
    page = (tmp_path / "x.HTML").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>") and "<title>A &lt;sine&gt;</title>" in page
    assert player.html in page and player._repr_html_() == player.html
    assert player._repr_mimebundle_() == {"text/plain": repr(player), "text/html": player.html}
    with pytest.raises(
        ValueError, match=r"^save: 'x\.svg'; a name that ends in \.html was expected$"
    ):
        player.save(tmp_path / "x.svg")


def test_the_script_is_written_to_be_read():
    from minigrad.viz.explorer import explorer

    lines = explorer._file("explorer.js").splitlines()
    assert len(lines) <= 720 and max(map(len, lines)) <= 120
