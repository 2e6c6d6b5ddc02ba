"""Every misuse of the table gets the error and the whole message that stand there, and leaves
everything as it was.

`python -m pytest tests/misuse --collect-only -q` lists them.
"""

import linecache
import re
from pathlib import Path

import pytest
from misuse import graphs, models
from misuse.use import Use

from minigrad import DataError, DTypeError, GraphError, ShapeError, cli

TABLE = [*graphs.TABLE, *models.TABLE]
OURS = (ShapeError, DTypeError, GraphError, DataError)


def test_there_are_many_and_each_once():
    texts = [
        linecache.getline(row[0].__code__.co_filename, row[0].__code__.co_firstlineno).strip()
        for row in TABLE
    ]
    assert len(set(texts)) == len(TABLE) >= 180


@pytest.mark.parametrize("row", TABLE, ids=[f"{row[1].__name__}: {row[2]}" for row in TABLE])
def test_a_misuse_is_explained_and_changes_nothing(row, tmp_path):
    act, kind, message, *module = row
    use = Use(tmp_path)
    before = use.state()
    with pytest.raises(kind) as caught:
        act(use)
    error = caught.value
    assert type(error) is kind
    whole = message.replace("{folder}", str(tmp_path))
    assert str(error) == whole or (
        whole.endswith("…") and str(error).startswith(whole[:-1])
    )  # then a library's own words
    assert [note.removeprefix("in module ") for note in notes(error, "in module ")] == module
    lines = notes(error, "in your line ")
    assert len(lines) == 1 or not isinstance(
        error, OURS
    )  # of the others, those that a rule or a module let through
    for line in lines:
        shows(line, act.__code__)
    assert use.state() == before


def notes(error, start):
    return [note for note in getattr(error, "__notes__", ()) if note.startswith(start)]


def shows(note, code):
    """The note has the line of the act, or one that this called in a model of the user's own."""
    number, name, text = re.fullmatch(r"in your line (\d+) of (\w+\.py): (.*)", note).groups()
    path = Path(code.co_filename)
    assert text == linecache.getline(str(path.with_name(name)), int(number)).strip()
    assert (name, int(number)) == (
        path.name,
        code.co_firstlineno,
    ) or text == "return self.second(hidden)"


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        ("", 2, "minigrad: the following arguments are required: command; see minigrad --help"),
        (
            "train",
            2,
            "minigrad train: the following arguments are required: name; see minigrad train --help",
        ),
        (
            "train mlp --epochs 0",
            2,
            "minigrad train: argument --epochs: invalid integer ≥ 1 value: '0'; see minigrad "
            "train --help",
        ),
        (
            "train mlp --seed -1",
            2,
            "minigrad train: argument --seed: invalid integer ≥ 0 value: '-1'; see minigrad "
            "train --help",
        ),
        ("train mlp --out {file}", 1, "minigrad: [Errno 17] File exists: '{file}'"),
        (
            "draw mlp --depth -1",
            2,
            "minigrad draw: argument --depth: invalid integer ≥ 0 value: '-1'; see minigrad "
            "draw --help",
        ),
        (
            "draw sketch",
            2,
            "minigrad: draw: 'sketch'; an experiment or script.py:name was expected",
        ),
        ("draw none.py:y", 2, "minigrad: draw: there is no script 'none.py'"),
        (
            "data verify cifar",
            2,
            "minigrad: data: name='cifar'; one of circle, imdb, mnist, mnist-sample was expected",
        ),
        (
            "bench --rounds none",
            2,
            "minigrad bench: argument --rounds: invalid integer ≥ 1 value: 'none'; see minigrad "
            "bench --help",
        ),
    ],
)
def test_the_command_line_answers_in_one_line(arguments, code, line, tmp_path, capsys):
    file = tmp_path / "taken"
    file.write_text("kept", encoding="utf-8")
    try:
        got = cli.main(arguments.replace("{file}", str(file)).split())
    except SystemExit as ended:
        got = ended.code
    assert (got, capsys.readouterr().err) == (code, line.replace("{file}", str(file)) + "\n")
    assert [path.read_text(encoding="utf-8") for path in tmp_path.iterdir()] == ["kept"]
