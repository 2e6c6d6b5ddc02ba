"""The gallery: its lines run, and what is stored in `figures/` is what they give."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from minigrad import cli
from minigrad.errors import DataError
from minigrad.gallery import CODE, INTRODUCTION, SECTIONS, gallery, keep, made

FIGURES = Path(__file__).parents[1] / "figures"
STORED = (FIGURES / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.splitlines()[0])
def test_every_picture_is_made_by_its_lines(section, tmp_path):
    try:
        shown = {file: keep(thing, tmp_path / file) for file, thing in made(section)}
    except DataError as error:
        pytest.skip(str(error))
    assert list(shown) == re.findall(r"!\[\]\((.+?)\)", section)
    assert all(code in STORED for code, _ in CODE.findall(section))
    assert all(title in STORED for title in re.findall("(?m)^##.*", section))
    for file in shown:
        if shown[file].startswith("!["):
            assert f"]({file})" in STORED
            assert ET.parse(tmp_path / file).getroot().get("viewBox") and ET.parse(FIGURES / file)
        section = section.replace(f"![]({file})", shown[file])
    if section.startswith("## Graphs"):  # nothing trained: the same bytes on every machine
        assert all(
            (FIGURES / file.name).read_bytes() == file.read_bytes() for file in tmp_path.iterdir()
        )
        assert STORED.startswith(INTRODUCTION + section)


def test_every_picture_of_the_page_is_there_and_has_words():
    pictures = re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", STORED)
    assert len(pictures) >= 25
    assert all(len(words) > 20 and (FIGURES / file).stat().st_size for words, file in pictures)
    assert {file for _, file in pictures} == {file.name for file in FIGURES.glob("gallery-*.svg")}
    pages = re.findall(r"\]\(([\w-]+\.html)\)", STORED)
    assert set(pages) == {file.name for file in FIGURES.glob("gallery-*.html")} and len(pages) == 3


def test_a_part_of_the_gallery_leaves_the_page_alone(tmp_path, capsys):
    assert cli.main(["gallery", "--only", "graphs", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == ["Graphs", f"the gallery is in {tmp_path}/"]
    assert not (tmp_path / "README.md").exists() and (tmp_path / "gallery-sin-x2.svg").exists()


def test_what_cannot_be_had_is_left_out_and_said_so(tmp_path, monkeypatch, capsys):
    def refuse(section):
        if "digits" in section.splitlines()[0]:
            raise DataError("no data here")
        return iter(())

    monkeypatch.setattr("minigrad.gallery.made", refuse)
    gallery(tmp_path)
    assert capsys.readouterr().out.count("  left out: no data here") == 2
    assert (tmp_path / "README.md").read_text(encoding="utf-8").startswith("# The gallery")
