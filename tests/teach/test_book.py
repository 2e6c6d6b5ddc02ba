"""The chapters as files: the list, solutions taken out, versions written, and what a student sees
who runs one.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import venv
from argparse import Namespace

import nbformat
import pytest

import minigrad
from minigrad import cli
from minigrad.teach import book

CELL = """\
def double(x):
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION


### BEGIN SOLUTION
step = 3  # needed by nobody else
a, b = step, 2
### END SOLUTION
check("1/x", a)
print(b)"""


def test_solutions_give_way_to_what_the_rest_needs():
    assert (
        book.without_solutions(CELL)
        == """\
def double(x):
    raise NotImplementedError("your turn")


a = ...  # your turn
b = ...  # your turn
check("1/x", a)
print(b)"""
    )


def test_a_solution_that_nobody_needs_leaves_three_dots():
    assert (
        book.without_solutions("### BEGIN SOLUTION\nprint(1)\n### END SOLUTION")
        == "...  # your turn"
    )


def test_cells_without_solutions_stay_as_they_are():
    assert book.without_solutions("%matplotlib inline\nx = 1") == "%matplotlib inline\nx = 1"


@pytest.mark.parametrize(
    "source",
    [
        "### BEGIN SOLUTION",
        "### END SOLUTION\n### BEGIN SOLUTION",
        "### BEGIN SOLUTION\n" * 2 + "### END SOLUTION",
    ],
)
def test_marks_that_do_not_come_in_pairs(source):
    with pytest.raises(ValueError, match="were expected in turn"):
        book.without_solutions(source)


@pytest.mark.parametrize("path", book.chosen(), ids=lambda path: path.stem)
def test_a_students_version_has_no_solution_and_no_output_and_is_still_python(path):
    made, source = book.student_version(path), book.read(path)
    nbformat.validate(made)
    first, *others = made.cells
    assert first.source == book.INSTALL
    assert [cell.id for cell in others] == [cell.id for cell in source.cells]
    for cell, full in zip(others, source.cells, strict=True):
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None
            assert book.BEGIN not in cell.source and book.END not in cell.source
            assert (cell.source != full.source) == ("exercise" in cell.metadata.get("tags", ()))
            assert (book.TURN in cell.source) == (cell.source != full.source)
            ast.parse(re.sub("(?m)^%.*", "", cell.source))  # still Python


@pytest.mark.parametrize("number", ["0", "1", "2", "3", "4"])
def test_a_student_who_runs_all_is_stopped_in_the_exercises_only_and_told_why(number, tmp_path):
    nbclient = pytest.importorskip("nbclient")
    made = book.student_version(book.chosen([number])[0])
    nbclient.NotebookClient(
        made, timeout=300, allow_errors=True, resources={"metadata": {"path": tmp_path}}
    ).execute()
    failed = 0
    for cell in made.cells:
        errors = [output for output in cell.get("outputs", ()) if output.output_type == "error"]
        tags = cell.metadata.get("tags", ())
        if "needs-answer" in tags:
            continue
        assert bool(errors) == ("exercise" in tags), cell.id
        for error in errors:
            failed += 1
            assert error.ename == "NotYet" and "your turn" in error.evalue
            assert len(error.traceback) == 1, "the hint, and no trace of our own code"
    assert failed


def test_the_stored_versions_for_students_are_those_of_the_chapters(tmp_path, capsys):
    """`minigrad chapters student --out notebooks/student` makes them."""
    book.write(book.student_version, book.chosen(), tmp_path)
    stored = book.folder() / "student"
    assert {p.name for p in stored.iterdir()} == {p.name for p in tmp_path.iterdir()}
    for file in tmp_path.iterdir():
        assert (stored / file.name).read_bytes() == file.read_bytes(), file.name


@pytest.mark.processes
@pytest.mark.slow
def test_the_first_cell_installs_minigrad_into_an_environment_that_has_only_jupyter(tmp_path):
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    file = tmp_path / "cell.py"
    file.write_text(
        f"{book.INSTALL}\nimport minigrad\nprint(minigrad.__version__)\n", encoding="utf-8"
    )
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-P", file],
        cwd=book.folder() / "student",
        env=bare,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.stdout.strip() == minigrad.__version__, done.stderr


def test_versions_are_written_to_a_folder(tmp_path, capsys):
    assert cli.main(["chapters", "student", "0", "1", "--out", str(tmp_path / "s")]) == 0
    assert cli.main(["chapters", "instructor", "0", "--out", str(tmp_path / "i")]) == 0
    assert capsys.readouterr().out.count("wrote ") == 3
    assert sorted(p.name[:2] for p in (tmp_path / "s").iterdir()) == ["00", "01"]
    (instructor,) = (tmp_path / "i").iterdir()
    assert instructor.read_bytes() == book.chosen(["0"])[0].read_bytes()
    assert "BEGIN SOLUTION" not in (tmp_path / "s" / instructor.name).read_text("utf-8")


def test_figures_are_written_under_their_numbers(tmp_path, capsys):
    assert cli.main(["chapters", "figures", "0", "5", "9", "11", "--out", str(tmp_path)]) == 0
    names = {file.name for file in tmp_path.iterdir()}
    assert {"00-figure-1.svg", "00-figure-2.svg", "05-figure-2.png"} <= names
    assert {"09-figure-7a.png", "09-figure-7b.png"} <= names, "two pictures with one caption"
    assert {"11-figure-2.svg", "11-figure-3.svg"} <= names, "two captions in one cell"
    assert capsys.readouterr().out.count("wrote ") == len(names)
    captions = re.findall(
        r"(?m)^\*Figure (\d+)\. ",
        "\n".join(c.source for c in book.read(book.chosen(["0"])[0]).cells),
    )
    assert {re.sub("[a-h]?[.].*", "", name[10:]) for name in names if name[:2] == "00"} == set(
        captions
    )


def test_what_a_chapter_reads_goes_with_it(tmp_path):
    (source,) = book.chosen(["A"])
    book.write(book.student_version, [source], tmp_path / "class")
    assert (tmp_path / "class" / "bench-distributed.json").read_bytes() == (
        book.folder().parent / "figures/bench-distributed.json"
    ).read_bytes()
    sources = "\n".join(cell.source for cell in book.read(tmp_path / "class" / source.name).cells)
    assert '"bench-distributed.json"' in sources and "../" not in sources
    assert sorted(file.name for file in tmp_path.iterdir()) == ["class"]


def test_the_chapters_themselves_are_never_written_over(capsys):
    assert cli.main(["chapters", "student", "--out", str(book.folder())]) == 2
    assert "would overwrite the chapters" in capsys.readouterr().err


def test_the_list_has_a_line_for_each_chapter(capsys):
    assert cli.main(["chapters"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [number for number, *_ in book.rows()]
    assert all("minutes" in line for line in lines)


@pytest.mark.parametrize("action", ["student", "check", "open", "clean"])
def test_a_chapter_that_is_not_there_is_bad_use(action, tmp_path, capsys):
    assert cli.main(["chapters", action, "99", "--out", str(tmp_path)]) == 2
    assert "there is no chapter 99" in capsys.readouterr().err


def test_an_installation_without_notebooks_says_so(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(book, "__file__", str(tmp_path / "minigrad" / "teach" / "book.py"))
    assert cli.main(["chapters"]) == 1
    error = capsys.readouterr().err
    assert "not part of the installed package" in error and "pip install -e ." in error


def test_open_and_check_hand_the_right_file_on(monkeypatch):
    calls = []

    class Done:
        returncode = 3

    monkeypatch.setattr(
        book.subprocess, "run", lambda command, **options: calls.append(command) or Done
    )
    assert cli.main(["chapters", "open", "1"]) == 3
    assert cli.main(["chapters", "check", "1"]) == 3
    one = str(book.chosen(["1"])[0])
    assert calls[0][-2:] == ["jupyterlab", one] and calls[1][-1] == one and "--nbval" in calls[1]


def test_installed_chapters_are_copied_to_be_opened_and_never_changed(
    monkeypatch, tmp_path, capsys
):
    package, work = tmp_path / "minigrad", tmp_path / "work"
    shutil.copytree(book.folder(), package / "chapters" / "notebooks")
    shutil.copytree(
        book.folder().parent / "figures",
        package / "chapters" / "figures",
        ignore=shutil.ignore_patterns("*.svg"),
    )
    opened, done = [], Namespace(returncode=0)
    monkeypatch.setattr(book, "__file__", str(package / "teach" / "book.py"))
    monkeypatch.setattr(
        book.subprocess, "run", lambda command, **options: opened.append(command[-1]) or done
    )
    work.mkdir()
    (work / "00-a-graph-is-a-recipe.ipynb").write_text("my own work", encoding="utf-8")
    assert cli.main(["chapters", "open", "1", "--out", str(work)]) == 0
    assert opened == [str(work / book.chosen(["1"])[0].name)]
    assert {path.name for path in book.chosen()} < {path.name for path in work.iterdir()}
    assert (work / "00-a-graph-is-a-recipe.ipynb").read_text(encoding="utf-8") == "my own work"
    assert cli.main(["chapters", "clean", "0"]) == 2
    assert "that needs a checkout" in capsys.readouterr().err
    assert cli.main(["chapters"]) == 0
    assert (
        str(package / "chapters" / "notebooks" / "00-a-graph-is-a-recipe.ipynb")
        in capsys.readouterr().out
    )


def test_what_is_missing_is_named(monkeypatch, capsys):
    monkeypatch.setattr(book, "find_spec", lambda name: None)
    assert cli.main(["chapters", "open"]) == 1
    assert 'pip install "minigrad-numba[notebooks]"' in capsys.readouterr().err


def test_the_readmes_pictures_are_the_chapters_own():
    shown = {}
    shown_at = {"01-draw": "two-uses", "04-three": "three-cubes", "06-dead": "dead-relu"}
    for name, figure in shown_at.items():
        chapter = name.split("-")[0].lstrip("0")
        (cell,) = (c for c in book.read(*book.chosen([chapter])).cells if c.id == name)
        (svg,) = (o.data["image/svg+xml"] for o in cell.outputs if "data" in o)
        shown[f"chapter-{figure}.svg"] = svg
    readme = (book.folder().parent / "README.md").read_text("utf-8")
    for name, svg in shown.items():
        assert (book.folder().parent / "figures" / name).read_text("utf-8") == svg, (
            "minigrad chapters clean"
        )
        assert f"(figures/{name})" in readme


def test_clean_runs_a_notebook_and_takes_out_the_noise(tmp_path, monkeypatch):
    noisy = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("print(1)\nprint(2)", id="one")]
    )
    noisy.cells[0].execution_count, noisy.cells[0].metadata["collapsed"] = 7, True
    noisy.metadata["kernelspec"] = {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    noisy.metadata["mine"] = 1
    file = tmp_path / "noisy.ipynb"
    nbformat.write(noisy, file)
    monkeypatch.setattr(book, "chosen", lambda numbers: [file])
    assert book.chapters("clean", [], tmp_path) == 0
    made = nbformat.read(file, as_version=4)
    assert set(made.metadata) == {"kernelspec", "language_info"} and set(
        made.metadata.language_info
    ) == {"name"}
    (cell,) = made.cells
    assert (cell.id, cell.execution_count, cell.metadata) == ("one", 1, {})
    assert [output.text for output in cell.outputs] == ["1\n2\n"]
