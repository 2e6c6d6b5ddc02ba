"""The gallery: its lines run, and what is stored in `figures/` is what they give."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from minigrad import cli
from minigrad.errors import DataError
from minigrad.gallery import gallery, keep, made, page, sections

SECTIONS = sections()
FIGURES = Path(__file__).parents[1] / "figures"
STORED = (FIGURES / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)
def test_every_plate_is_made_by_its_lines(section, tmp_path):
    try:
        shown = {plate.name: keep(thing, plate, tmp_path) for plate, thing in made(section)}
    except DataError as error:
        pytest.skip(str(error))
    assert set(shown) == {plate.name for plate in section.plates}
    for plate in section.plates:
        assert plate.code in STORED and plate.title in STORED
        if shown[plate.name].startswith("!["):
            file = f"gallery-{plate.name}.svg"
            assert f"]({file})" in STORED
            assert ET.parse(tmp_path / file).getroot().get("viewBox") and ET.parse(FIGURES / file)
    if (
        section == SECTIONS[0]
    ):  # nothing trained: the same numbers, hence the same bytes, on every machine
        assert all(
            (FIGURES / file.name).read_bytes() == file.read_bytes() for file in tmp_path.iterdir()
        )
        assert STORED.startswith(page(shown))


def test_every_picture_of_the_page_is_there_and_has_words():
    pictures = re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", STORED)
    assert len(pictures) >= 25
    assert all(len(words) > 20 and (FIGURES / file).stat().st_size for words, file in pictures)
    assert {file for _, file in pictures} == {file.name for file in FIGURES.glob("gallery-*")}


def test_a_part_of_the_gallery_leaves_the_page_alone(tmp_path, capsys):
    assert cli.main(["gallery", "--only", "graphs", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == ["Graphs", f"the gallery is in {tmp_path}/"]
    assert not (tmp_path / "README.md").exists() and (tmp_path / "gallery-sin-x2.svg").exists()


def test_what_cannot_be_had_is_left_out_and_said_so(tmp_path, monkeypatch):
    def refuse(section):
        if "digits" in section.title:
            raise DataError("no data here")
        return iter(())

    monkeypatch.setattr("minigrad.gallery.made", refuse)
    said = []
    gallery(tmp_path, say=said.append)
    assert said.count("  left out: no data here") == 2
    assert (tmp_path / "README.md").read_text(encoding="utf-8").startswith("# The gallery")
