"""The pages for teachers: one for each chapter, complete, and true to the chapter's figures and
exercises; the project.
"""

from __future__ import annotations

import re

import pytest

from minigrad.teach import book

FOLDER = book.folder() / "teaching"
PARTS = (
    "## Ninety minutes",
    "## Wrong answers, and what to ask then",
    "## Pictures for slides",
    "## Exam questions",
    "## Open exercises",
)
KINDS = ["know", "know", "compute", "compute", "judge"]

each_chapter = pytest.mark.parametrize("row", book.rows(), ids=lambda row: row[0])


def page(row: tuple[str, ...]) -> str:
    return (FOLDER / f"{row[2].split('-')[0]}.md").read_text("utf-8")


def part(text: str, title: str) -> str:
    return text.split(f"{title}\n")[1].split("\n## ")[0]


def table(text: str) -> list[list[str]]:
    """The rows of a table, below its head."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines[2:]]


def prose(row: tuple[str, ...]) -> str:
    cells = book.read(book.folder() / row[2]).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def test_there_is_a_page_for_each_chapter_and_the_index_leads_there():
    pages = {f"{file.split('-')[0]}.md" for _, _, file, _ in book.rows()}
    assert {path.name for path in FOLDER.iterdir()} == pages | {"project.md"}
    index = (book.folder() / "README.md").read_text("utf-8")
    for number, title, file, _ in book.rows():
        assert f"- [{number} · {title}](teaching/{file.split('-')[0]}.md)\n" in index
    assert "(teaching/project.md)" in index and "(glossary.md)" in index


@each_chapter
def test_a_page_has_its_parts_in_order(row):
    number, title, file, _ = row
    text = page(row)
    assert text.startswith(f"# {number} · {title}: for teachers\n")
    assert f"](../{file})" in text and "Before it:" in text
    assert [line for line in text.splitlines() if line.startswith("## ")] == list(PARTS)


@each_chapter
def test_a_plan_fills_ninety_minutes(row):
    plan = table(part(page(row), PARTS[0]))
    assert all(len(cells) == 4 and all(cells) for cells in plan)
    assert sum(int(minutes) for minutes, *_ in plan) == 90


@each_chapter
def test_there_are_wrong_answers_and_questions(row):
    wrong = table(part(page(row), PARTS[1]))
    assert len(wrong) >= 5 and all(len(cells) == 2 for cells in wrong)


@each_chapter
def test_figures_and_exercises_are_those_of_the_chapter(row):
    text, chapter = page(row), prose(row)
    assert f"`minigrad chapters figures {row[0]} --out slides`" in part(text, PARTS[2])
    figures = re.findall(r"(?m)^\*Figure (\d+)\.", chapter)
    for group in re.findall(r"Figures? (\d+(?:(?:, | and )\d+)*)", text):
        assert set(re.findall(r"\d+", group)) <= set(figures), group
    headings = [title.lower() for title in re.findall(r"(?m)^##+ (.+)$", chapter)]
    for name in re.findall(
        r'"([^"]+)"', " ".join(cells[3] for cells in table(part(text, PARTS[0])))
    ):
        first = re.sub(r"^steps (\d+) and \d+$", r"step \1", name.lower())
        assert any(title.startswith(first) for title in headings), name
    asked = [
        int(n) for n in re.findall(r"(?m)^(\d+)\. |[Ee]xercise (\d+)", chapter) for n in n if n
    ]
    for group in re.findall(r"[Ee]xercises? (\d+(?:(?:, | and | or | to )\d+)*)", text):
        assert max(map(int, re.findall(r"\d+", group))) <= max(asked), group


@each_chapter
def test_there_are_five_exam_questions_with_answers(row):
    questions = part(page(row), PARTS[3])
    assert re.findall(r"(?m)^\d\. \*\((\w+)\)\* ", questions) == KINDS
    assert questions.count("\n   *Answer.* ") == len(KINDS)


def test_the_projects_rubric_has_a_hundred_points():
    text = (FOLDER / "project.md").read_text("utf-8")
    rubric = table(part(text, "## Rubric"))
    assert sum(int(cells[1]) for cells in rubric) == 100
    days = [int(cells[0]) for cells in table(part(text, "## Milestones"))]
    assert days == sorted(days) and days[-1] == 14
    assert len(table(part(text, "## Themes"))[0]) == 4
