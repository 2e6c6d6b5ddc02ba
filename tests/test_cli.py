"""The command line: one line and exit code 2 for bad use, and each command doing its work on a
small scale.
"""

import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

import minigrad
from minigrad import cli
from minigrad.experiments import EXPERIMENTS


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["train"],
        ["train", "transformer"],
        ["train", "mlp", "--epochs", "0"],
        ["train", "mlp", "--mode", "quick"],
        ["data", "burn"],
        ["draw"],
        ["draw", "mlp", "--unroll", "0"],
        ["demo", "--seeds", "-1"],
        ["sing"],
    ],
)
def test_bad_use_gets_one_line_and_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [["--help"], *([c, "--help"] for c in ("demo", "train", "draw", "warmup", "chapters", "data"))],
)
def test_help_everywhere(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 0
    assert "usage: minigrad" in capsys.readouterr().out


def test_the_version(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"minigrad {minigrad.__version__}\n"


def test_train_prints_and_saves(tmp_path, capsys):
    assert (
        cli.main(["train", "mlp", "--epochs", "1", "--batch-size", "500", "--out", str(tmp_path)])
        == 0
    )
    said = capsys.readouterr().out
    assert "epoch 1: loss" in said
    assert (tmp_path / "mlp.safetensors").stat().st_size > 1000


def test_warmup_prints_a_line_for_each_model(monkeypatch, capsys):
    warmed = []
    monkeypatch.setattr("minigrad.experiments.warm_up", warmed.append)
    assert cli.main(["warmup"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(EXPERIMENTS) and all(
        line.endswith(" s") for line in lines
    )
    assert warmed == list(EXPERIMENTS.values())


def test_the_help_of_draw_says_that_it_runs_the_script(capsys):
    with pytest.raises(SystemExit):
        cli.main(["draw", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "The script is run, with all that it does: draw only scripts that you would run." in said


def test_draw_writes_a_picture_with_gradients_on_request(tmp_path):
    for options, gradients in (([], 0), (["--gradients"], 18)):
        assert cli.main(["draw", "mlp", "-o", str(tmp_path / "mlp.svg"), *options]) == 0
        texts = ElementTree.parse(tmp_path / "mlp.svg").iter("{http://www.w3.org/2000/svg}text")
        assert (
            sum(text.get("class") == "d" for text in texts) == gradients
        )  # with "gradient below" in the legend


SCRIPT = """
import minigrad as mg
from beside import start
x = mg.Variable(start, name="from the script")
y = mg.sin(x) * 2.0
g = mg.Graph(y)
picture = mg.draw(y, title="mine")
number = 3
def make():
    return mg.cos(x)
def broken():
    raise RuntimeError("of my own")
"""


@pytest.fixture
def script(tmp_path):
    (tmp_path / "beside.py").write_text("start = 0.5", encoding="utf-8")
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    return str(tmp_path / "script.py")


@pytest.mark.parametrize("name", ["y", "g", "make", "picture"])
def test_draw_shows_what_a_script_builds(name, script, tmp_path):
    out = tmp_path / "graph.svg"
    assert cli.main(["draw", f"{script}:{name}", "-o", str(out), "--gradients"]) == 0
    drawn = ElementTree.parse(out)
    assert any(
        "from the script" in (text.text or "")
        for text in drawn.iter("{http://www.w3.org/2000/svg}text")
    )
    below = [
        text.text
        for text in drawn.iter("{http://www.w3.org/2000/svg}text")
        if text.get("class") == "d"
    ]
    assert bool(below) == (name != "picture")  # which was drawn by the script already


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (":z", "makes no 'z'; it has x, y, g, picture"),
        (":number", "number of script.py is a int; a node, a Graph or a Drawing was expected"),
        ("", "was expected"),
        ("c.py:y", "there is no script"),
    ],
)
def test_a_script_that_does_not_build_it(name, said, script, capsys):
    assert cli.main(["draw", name if name == "c.py:y" else script + name]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_what_commands_write_by_default_leaves_a_checkout_clean(script, tmp_path, monkeypatch):
    """Pictures of another machine differ in the last digits: those of the checkout are made anew on
    request only.
    """
    place = tmp_path / "checkout"
    (place / "figures").mkdir(parents=True)
    shutil.copy(Path(__file__).parents[1] / ".gitignore", place)
    (place / "figures" / "sin-x2.svg").write_text("made elsewhere", encoding="utf-8")

    def git(*words):
        return subprocess.run(
            ["git", *words], cwd=place, capture_output=True, encoding="utf-8", check=True
        ).stdout

    git("init", "-q")
    git("add", ".")
    monkeypatch.chdir(place)
    monkeypatch.setattr("minigrad.demo.run_experiment", lambda *args: [])
    monkeypatch.setattr("minigrad.demo.run_mlp", lambda *args: [])
    before = git("status", "--porcelain")
    for command in (
        ["demo"],
        ["gallery", "--only", "graphs"],
        ["draw", f"{script}:y"],
        ["chapters", "student", "0"],
    ):
        assert cli.main(command) == 0
    written = {path.relative_to(place).as_posix() for path in place.glob("*/*.[sj]*")} - {
        "figures/sin-x2.svg"
    }
    assert written >= {
        "minigrad-demo/sin-x2.svg",
        "minigrad-demo/results.json",
        "minigrad-gallery/gallery-sin-x2.svg",
    }
    assert (place / "graph.svg").exists() and (place / "chapters").is_dir()
    assert git("status", "--porcelain", "--untracked-files=all") == before


def test_an_error_of_the_script_is_shown_as_python_shows_it(script):
    with pytest.raises(RuntimeError, match="of my own"):
        cli.main(["draw", f"{script}:broken"])


def test_an_unknown_kind_of_picture_is_bad_use(tmp_path, capsys):
    assert cli.main(["draw", "mlp", "-o", str(tmp_path / "mlp.bmp")]) == 2
    assert capsys.readouterr().err.startswith("minigrad: ")


def test_the_data_list_names_every_set(capsys):
    assert cli.main(["data", "list"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in ("circle", "imdb", "mnist", "mnist-sample"))


def test_data_of_an_unknown_name_is_bad_use(capsys):
    assert cli.main(["data", "verify", "cifar"]) == 2
    assert "cifar" in capsys.readouterr().err
