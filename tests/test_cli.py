"""The command line: one line and exit code 2 for bad use, and each command doing its work on a small scale."""
import pytest

from minigrad import cli


@pytest.mark.parametrize(
    "arguments",
    [[], ["train"], ["train", "transformer"], ["train", "mlp", "--epochs", "0"], ["train", "mlp", "--mode", "compiled"],
     ["data", "burn"], ["draw"], ["demo", "--seeds", "-1"], ["sing"]],
)  # fmt: skip
def test_bad_use_gets_one_line_and_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--help"], *([c, "--help"] for c in ("demo", "train", "draw", "data"))])
def test_help_everywhere(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 0
    assert "usage: minigrad" in capsys.readouterr().out


def test_train_prints_and_saves(tmp_path, capsys):
    assert cli.main(["train", "mlp", "--epochs", "1", "--batch-size", "500", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "epoch 1: loss" in said
    assert (tmp_path / "mlp.safetensors").stat().st_size > 1000


def test_draw_writes_a_picture(tmp_path):
    assert cli.main(["draw", "mlp", "-o", str(tmp_path / "mlp.svg")]) == 0
    assert (tmp_path / "mlp.svg").read_text().startswith("<svg")


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
