"""Wheel and source distribution: built without network, installed outside of the checkout, and used
from there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from email import message_from_bytes
from pathlib import Path
from xml.etree import ElementTree
from zipfile import ZipFile

import pytest
from needs import need

ROOT = Path(__file__).parents[1]
USE = """
import minigrad as mg
from importlib.metadata import version
y = mg.sin(mg.Variable(2.0, name="x") ** 2)
y.backward()
mg.draw(y).save("graph.svg")
print(mg.__file__, version("minigrad-numba"))
"""


def run(*command, cwd, **variables):
    """What a program says; it must succeed."""
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(source, out):
    """Build both in a folder with the project's files."""
    need("hatchling")
    run(sys.executable, "-m", "hatchling", "build", "-d", out, cwd=source)
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def site(built, tmp_path_factory):
    """A folder into which pip has installed the wheel. Everything else comes from this Python's own
    packages.
    """
    need("pip")
    target = tmp_path_factory.mktemp("site")
    pip = (
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        "--no-compile",
        "--target",
        target,
    )
    run(*pip, built[0], cwd=target, PIP_DISABLE_PIP_VERSION_CHECK="1")
    return target


def test_the_installed_wheel_is_used_from_another_folder(site, tmp_path):
    where, version = run(sys.executable, "-c", USE, cwd=tmp_path, PYTHONPATH=str(site)).split()
    assert Path(where) == site / "minigrad" / "__init__.py" and version
    drawn = ElementTree.parse(tmp_path / "graph.svg").iter("{http://www.w3.org/2000/svg}text")
    assert any("sin" in (text.text or "") for text in drawn)
    assert (site / "minigrad" / "py.typed").is_file()


def test_the_installed_command_has_the_chapters(site, tmp_path):
    command = shutil.which("minigrad", path=str(site / "bin"))
    lines = run(command, "chapters", cwd=tmp_path, PYTHONPATH=str(site)).splitlines()
    assert len(lines) == len(list((ROOT / "notebooks").glob("*.ipynb")))
    assert all(
        Path(line.split("minutes", 1)[1].strip()).is_relative_to(site / "minigrad" / "chapters")
        for line in lines
    )
    run(command, "chapters", "student", "--out", "class", cwd=tmp_path, PYTHONPATH=str(site))
    names = {path.name for path in (tmp_path / "class").iterdir()}
    assert {path.name for path in (ROOT / "notebooks").glob("*.ipynb")} < names
    assert names >= {"results.json", "bench.json", "bench-distributed.json"}  # what they read


def test_the_wheel_holds_the_package_and_the_chapters_only(built):
    names = set(ZipFile(built[0]).namelist())
    files = [path.relative_to(ROOT) for path in (ROOT / "minigrad").rglob("*") if path.is_file()]
    package = {path.as_posix() for path in files if "__pycache__" not in path.parts}
    notebooks = [path.relative_to(ROOT) for path in (ROOT / "notebooks").rglob("*") if path.suffix]
    left_out = {".ipynb_checkpoints", "__pycache__"}
    chapters = {
        f"minigrad/chapters/{path.as_posix()}"
        for path in notebooks
        if not left_out & {*path.parts} and path.name not in left_out
    }
    read = {
        f"minigrad/chapters/figures/{name}.json"
        for name in ("bench", "bench-distributed", "results")
    }
    info = {name for name in names if name.split("/")[0].endswith(".dist-info")}
    assert names - info == package | chapters | read


def test_the_source_distribution_holds_the_files_under_version_control(built):
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("no checkout: git is not asked which files belong to it")
    known = run(
        "git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT
    ).splitlines()
    with tarfile.open(built[1]) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    assert names == {name for name in known if (ROOT / name).exists()} | {"PKG-INFO"}


def test_the_source_distribution_builds_the_same_wheel(built, tmp_path):
    with tarfile.open(built[1]) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    assert build(source, tmp_path / "dist")[0].read_bytes() == built[0].read_bytes()


def test_an_editable_installation_uses_the_checkout(tmp_path):
    need("hatchling")
    code = "import sys; from hatchling.build import build_editable; build_editable(sys.argv[1])"
    run(sys.executable, "-c", code, tmp_path, cwd=ROOT)
    (wheel,) = map(ZipFile, tmp_path.iterdir())
    paths = [name for name in wheel.namelist() if ".dist-info/" not in name]
    assert len(paths) == 1 and Path(wheel.read(paths[0]).decode().strip()) == ROOT


def test_what_an_index_shows_needs_no_address_of_the_project(built):
    wheel = ZipFile(built[0])
    (name,) = (name for name in wheel.namelist() if name.endswith("METADATA"))
    metadata = message_from_bytes(wheel.read(name))
    page = metadata.get_payload()
    assert (
        metadata["Name"] == "minigrad-numba"
        and metadata["Description-Content-Type"] == "text/markdown"
    )
    assert page.startswith("# minigrad") and "pip install minigrad-numba\n" in page
    assert not re.findall(r"\]\((?!https:)", page), (
        "relative links and pictures lead nowhere on an index"
    )
    example = re.search(
        r"```python\n(.*?)```\s+```text\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S
    )
    package = (ROOT / "minigrad" / "PACKAGE.md").read_text("utf-8")
    found = re.search(r"```python\n(.*?)```\s+```text\n(.*?)```", package, re.S)
    assert example and found and example.groups() == found.groups()
