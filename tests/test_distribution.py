"""Names: what pip calls this library, and what is said where another distribution's package `minigrad` is met."""
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from minigrad import cli, distribution
from minigrad.bench.process import Failed, Process

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_messages_name_the_distribution_that_pyproject_builds():
    assert PROJECT["name"] == distribution.NAME
    assert PROJECT["scripts"] == {"minigrad": "minigrad.cli:main"}
    for extra in PROJECT["optional-dependencies"]:
        named = Requirement(distribution.install_hint(extra).removeprefix("pip install ").strip('"'))
        assert (named.name, named.extras) == (PROJECT["name"], {extra})
    assert distribution.install_hint() == "pip install minigrad-numba"


def wrong(text):
    """Commands that would install another distribution, and extras that do not exist."""
    found = re.findall(r"pip install [^\n`&;]*", text.replace('\\"', '"'))
    taken = [line for line in found if re.search(r"\bminigrad(?!-numba|/)\b", line)]
    named = re.findall(r"(?:\.|minigrad-numba)\[([a-z,]+)\]", "\n".join(found))
    extras = {name for group in named for name in group.split(",")}
    return taken, extras - set(PROJECT["optional-dependencies"])


@pytest.mark.parametrize("pattern", ["*.md", "notebooks/*", "figures/*.md", "minigrad/**/*.py", "tests/**/*.py"])
def test_every_command_installs_this_distribution(pattern):
    paths = [path for path in ROOT.glob(pattern) if path.is_file() and path != Path(__file__)]
    assert paths
    for path in paths:
        assert wrong(path.read_text("utf-8")) == ([], set()), path


def test_a_command_that_installs_another_distribution_is_found():
    bad = ['pip install "minigrad[onnx]"', "pip install -q minigrad"]
    assert wrong(" or ".join(f"`{line}`" for line in bad)) == (bad, set())
    assert wrong('run `pip install -e ".[onxx]"` or pip install "minigrad-numba[bench]"') == ([], {"onxx"})


def test_in_another_python_another_package_is_not_taken_for_this_one(tmp_path, monkeypatch):
    (tmp_path / "minigrad").mkdir()
    (tmp_path / "minigrad" / "__init__.py").write_text("class Tensor: pass")
    monkeypatch.chdir(tmp_path)  # where `python -c` looks first
    said = "another package of the same import name; this one comes with pip install minigrad-numba"
    with pytest.raises(Failed, match=said):
        Process("minigrad", python=sys.executable)


def installed(site, name, *files):
    """Write what pip leaves of a distribution that has installed these files."""
    info = site / f"{name.replace('-', '_')}-0.9.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.9\n")
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))


def test_files_of_another_distribution_in_the_package_are_reported(tmp_path, monkeypatch, capsys):
    package = tmp_path / "minigrad"
    installed(tmp_path, "minigrad-numba", "minigrad/__init__.py")
    distribution.check(package)
    installed(tmp_path, "minigrad", "minigrad/__init__.py", "minigrad/engine.py")
    monkeypatch.setattr(distribution.check, "__defaults__", (package,))
    assert cli.main(["data", "list"]) == 1
    said = capsys.readouterr().err
    assert "another distribution, minigrad 0.9" in said and "pip uninstall minigrad" in said and said.count("\n") == 1


def test_an_editable_installation_by_an_old_name_is_no_conflict(tmp_path):
    installed(tmp_path, "minigrad", "_minigrad.pth")
    distribution.check(tmp_path / "minigrad")
