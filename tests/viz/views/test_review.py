"""A review's words, their gradients, and the words that won; all words are made up."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from viz.views.models import TEXT, WORDS, after_a_step, find, state, text_model

import minigrad as mg
from minigrad import nn
from minigrad.viz import review

SVG = "{http://www.w3.org/2000/svg}"


class Images(HTMLParser):
    """The alt texts of all images of a page."""

    @classmethod
    def of(cls, html):
        page = cls()
        page.alts = []
        page.feed(html)
        return page.alts

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.alts.append(dict(attrs)["alt"])


def parsed(made):
    return ET.fromstring(made.svg)


def tokens(made):
    """(text, title, opacity of the ground, height of the bar, is it hollow) of each word that is
    shown
    """
    found = []
    for group in parsed(made).iter(f"{SVG}g"):
        if group.get("class") in ("token", "token against"):
            ground, bar = group.findall(f"{SVG}rect")
            texts = group.find(f"{SVG}text").text, group.find(f"{SVG}title").text
            numbers = float(ground.get("fill-opacity")), float(bar.get("height"))
            found.append((*texts, *numbers, group.get("class") != "token"))
    return found


def test_sizes_and_contributions_are_those_of_each_words_vector():
    model = text_model(probability=False).to(np.float64)
    made = review(model, TEXT, WORDS)
    vectors = model.embedding.weight.value[TEXT].copy()

    def score(vectors):
        words = mg.transpose(mg.Constant(vectors[None], dtype=np.float64), (0, 2, 1))
        return model.dense(model.flatten(model.pool(mg.relu(model.conv(words))))).item()

    assert made.numbers["score"] == pytest.approx(score(vectors))
    numeric = np.zeros_like(vectors)
    for place in np.ndindex(vectors.shape):
        up, down = vectors.copy(), vectors.copy()
        up[place] += 1e-6
        down[place] -= 1e-6
        numeric[place] = (score(up) - score(down)) / 2e-6
    assert np.allclose(made.numbers["gradient"], numeric, atol=1e-8)
    assert np.allclose(made.numbers["size"], np.linalg.norm(numeric, axis=1), atol=1e-8)
    assert np.allclose(made.numbers["contribution"], (numeric * vectors).sum(1), atol=1e-8)


def test_the_bracketed_words_are_those_of_the_winning_window():
    model = text_model(probability=False)
    made = review(model, TEXT, WORDS)
    head = model(np.array([TEXT]))
    pool, conv = find(head, "max_pool1d"), find(head, "conv1d")
    adds = pool.value[0].ravel() * model.dense.weight.value[0]
    best = int(np.abs(adds).argmax())
    filter, window = divmod(best, pool.shape[2])
    assert made.gram.filter == filter
    assert made.gram.contribution == pytest.approx(adds[best])
    start = made.gram.places[0]
    assert made.gram.places == (start, start + 1, start + 2)
    assert window * 5 <= start < window * 5 + 5
    assert mg.relu(conv).value[0, filter, start] == pool.value[0, filter, window]
    assert len([e for e in parsed(made).iter(f"{SVG}path") if e.get("class") == "bracket"]) >= 1


def test_tint_bar_and_sign_follow_the_contribution_and_every_word_is_there():
    made = review(text_model(), TEXT, WORDS)
    shown, added = tokens(made), made.numbers["contribution"]
    assert [text for text, *_ in shown] == [
        "2 × padding",
        "zug",
        "blim",
        "[?]",
        "<b>",
        'wo &"ld',
        "krax",
        "nanu",
        "]]>",
        "föhn",
        "zug",
    ]
    added = np.array([added[:2].sum(), *added[2:]])
    share = np.abs(added) / np.abs(added).max()
    assert np.allclose([bar for *_, bar, _ in shown], 9 * share, atol=0.051)
    assert np.allclose([ground for *_, ground, _, _ in shown], 0.32 * share, atol=0.0051)
    assert [against for *_, against in shown] == list(added < 0)
    assert len({against for *_, against in shown}) == 2
    assert shown[1][1] == f"zug, place 2: {added[1]:+.3g}"
    assert shown[3][1].startswith("(unknown), place 4: ")
    assert shown[0][1] == f"2 × padding: {added[0]:+.3g}"
    assert ".against .size{fill:none" in made.svg  # a sign without colour


def test_it_is_a_picture_with_a_name_and_a_description():
    made = review(text_model(), TEXT, WORDS)
    root = parsed(made)
    assert root.get("role") == "img"
    labels = [root.get("aria-labelledby"), root.get("aria-describedby")]
    assert [e.get("id") for e in root if e.tag in (f"{SVG}title", f"{SVG}desc")] == labels
    assert root.find(f"{SVG}desc").text == made.description
    assert root.find(f"{SVG}title").text == made.title == f"score {made.numbers['score']:.3g}"
    lines = made.describe().splitlines()
    assert len(lines) == 2 + 10
    top = int(made.numbers["contribution"].argmax())
    assert f"from “{made.name(top)}” {made.numbers['contribution'][top]:+.3g} to “" in lines[0]
    assert lines[1].startswith("  2 × padding: ")
    assert sum(line.endswith(", bracketed") for line in lines) == sum(
        p >= 1
        for p in made.gram.places  # all padding is one line
    )
    assert repr(made) == f"<Review of 10 words, score {made.numbers['score']:.3g}>"
    bundle = made._repr_mimebundle_()
    assert (
        (bundle["text/plain"], bundle["image/svg+xml"])
        == (repr(made), made.svg)
        == (repr(made), made._repr_svg_())
    )
    assert Images.of(bundle["text/html"]) == [f"{made.title}. {made.description}"]


def test_words_stay_inside_the_picture_and_apart():
    long = [i % 8 + 2 for i in range(200)]
    model = nn.Sequential(
        nn.Embedding(len(WORDS), 4, seed=0), nn.Flatten(), nn.Linear(800, 1, seed=0)
    )
    root = parsed(review(model, long, [*WORDS[:9], "w" * 300]))
    wide, tall = float(root.get("width")), float(root.get("height"))
    boxes = [e for e in root.iter(f"{SVG}rect") if e.get("class") == "ground"]
    places = [tuple(float(e.get(k)) for k in ("x", "y", "width")) for e in boxes]
    assert all(x > 0 and x + w < wide and y + 40 < tall for x, y, w in places)
    for (x, y, w), (next_x, next_y, _) in pairwise(places):
        assert next_y > y + 30 or x + w < next_x
    texts = [float(e.get("y")) for e in root.iter(f"{SVG}text")]
    assert max(texts) < tall


def test_without_pooling_there_is_no_bracket_and_with_zeros_no_bar():
    model = nn.Sequential(
        nn.Embedding(len(WORDS), 4, seed=0), nn.Flatten(), nn.Linear(12, 2, seed=0)
    )
    made = review(model, [2, 3, 4], WORDS, y=1)
    assert made.gram is None and made.title.startswith("loss ")
    assert not [e for e in parsed(made).iter(f"{SVG}path") if e.get("class") == "bracket"]
    model[2].weight.value[:] = 0
    assert {bar for *_, bar, _ in tokens(review(model, [2, 3, 4], WORDS))} == {0.0}


def test_only_padding():
    assert [text for text, *_ in tokens(review(text_model(), [0] * 12, WORDS))] == ["12 × padding"]


def test_the_model_is_left_as_it_was():
    model = text_model()
    after_a_step(model, np.array([TEXT]))
    before = state(model)
    review(model, TEXT, WORDS)
    review(model, TEXT, WORDS, np.array([1.0]), mg.binary_cross_entropy)
    assert state(model) == before


def test_saving(tmp_path):
    for theme in (None, "dark", "print"):
        made = review(text_model(), TEXT, WORDS, theme=theme)
        made.save(tmp_path / "x.svg")
        assert (tmp_path / "x.svg").read_text("utf-8") == made.svg
        written = []
        for _ in range(2):
            made.save(tmp_path / "x.png")
            written.append((tmp_path / "x.png").read_bytes())
        assert written[0] == written[1] and written[0].startswith(b"\x89PNG")
    with pytest.raises(
        ValueError, match=r"'x.gif'; a name that ends in .svg, .png, .pdf was expected"
    ):
        made.save(tmp_path / "x.gif")
    assert not list(tmp_path.glob("*.gif"))


def test_the_same_bytes_whatever_the_hash_seed():
    code = """
from viz.views.models import TEXT, WORDS, text_model
from minigrad.viz import review
import hashlib
print(hashlib.sha256(review(text_model(), TEXT, WORDS).svg.encode()).hexdigest())
"""
    said = []
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2])}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True, env=env
        )
        said.append(done.stdout)
    assert said[0] == said[1]


def test_what_does_not_fit():
    model = text_model()
    for arguments, error, message in (
        ((3, TEXT, WORDS), TypeError, "review: cannot call a int"),
        ((model, [0.5], WORDS), mg.DTypeError, "ids hold float64; integers were expected"),
        (
            (model, [TEXT, TEXT], WORDS),
            mg.ShapeError,
            r"ids have shape \(2, 12\); the ids of one text",
        ),
        ((model, [], WORDS), mg.DTypeError, "ids hold float64"),
        ((model, [10], WORDS), ValueError, "ids from 10 to 10; 0 to 9 were expected"),
        ((model, TEXT, {"a": 1}), TypeError, "the vocabulary is a dict"),
        ((lambda ids: mg.Variable([[1.0]]), TEXT, WORDS), ValueError, "does not look the ids up"),
    ):
        with pytest.raises(error, match=message):
            review(*arguments)
    with pytest.raises(
        ValueError, match="theme='pink'; 'light', 'dark', 'print' or None was expected"
    ):
        review(model, TEXT, WORDS, theme="pink")
