"""What pip makes of pyproject.toml: names and versions; and what is said where another package
`minigrad` is met.
"""

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from needs import need
from packaging.markers import default_environment
from packaging.requirements import Requirement

import minigrad
from minigrad import cli, distribution
from minigrad.bench.process import Process

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_messages_name_the_distribution_that_pyproject_builds():
    assert PROJECT["name"] == distribution.NAME
    assert PROJECT["scripts"] == {"minigrad": "minigrad.cli:main"}
    for extra in PROJECT["optional-dependencies"]:
        named = Requirement(
            distribution.install_hint(extra).removeprefix("pip install ").strip('"')
        )
        assert (named.name, named.extras) == (PROJECT["name"], {extra})
    assert distribution.install_hint() == "pip install minigrad-numba"


def wrong(text):
    """Commands that would install another distribution, and extras that do not exist."""
    found = re.findall(r"pip install [^\n`&;]*", text.replace('\\"', '"'))
    taken = [line for line in found if re.search(r"\bminigrad(?!-numba|/)\b", line)]
    named = re.findall(r"(?:\.|minigrad-numba)\[([a-z,]+)\]", "\n".join(found))
    extras = {name for group in named for name in group.split(",")}
    return taken, extras - set(PROJECT["optional-dependencies"])


@pytest.mark.parametrize(
    "pattern", ["*.md", "notebooks/*", "figures/*.md", "minigrad/**/*.py", "tests/**/*.py"]
)
def test_every_command_installs_this_distribution(pattern):
    paths = [path for path in ROOT.glob(pattern) if path.is_file() and path != Path(__file__)]
    assert paths
    for path in paths:
        assert wrong(path.read_text("utf-8")) == ([], set()), path


def test_a_command_that_installs_another_distribution_is_found():
    bad = ['pip install "minigrad[onnx]"', "pip install -q minigrad"]
    assert wrong(" or ".join(f"`{line}`" for line in bad)) == (bad, set())
    assert wrong('run `pip install -e ".[onxx]"` or pip install "minigrad-numba[bench]"') == (
        [],
        {"onxx"},
    )


def test_the_benchmark_times_this_package_whatever_lies_around(tmp_path, monkeypatch):
    (tmp_path / "minigrad").mkdir()
    (tmp_path / "minigrad" / "__init__.py").write_text("class Tensor: pass", encoding="utf-8")
    monkeypatch.chdir(tmp_path)  # where `python -c` looks first
    with Process("minigrad") as process:
        assert process.versions["minigrad"] == minigrad.__version__


def installed(site, name, *files):
    """Write what pip leaves of a distribution that has installed these files."""
    for file in files:
        (site / file).parent.mkdir(parents=True, exist_ok=True)
        (site / file).touch()
    info = site / f"{name.replace('-', '_')}-0.9.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.9\n", encoding="utf-8"
    )
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in files), encoding="utf-8")


def test_files_of_another_distribution_in_the_package_are_reported(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(distribution, "PACKAGE", tmp_path / "minigrad")
    installed(tmp_path, "minigrad-numba", "minigrad/__init__.py")
    installed(tmp_path, "minigrad", "minigrad/__init__.py", "minigrad/engine.py")
    assert cli.main(["data", "list"]) == 1
    said = capsys.readouterr().err
    assert (
        "another distribution, minigrad 0.9" in said
        and "pip uninstall minigrad" in said
        and said.count("\n") == 1
    )


@pytest.mark.parametrize(
    ("name", "file"), [("minigrad-numba", "minigrad/__init__.py"), ("minigrad", "_minigrad.pth")]
)
def test_this_distribution_and_an_editable_one_by_an_old_name_are_no_conflict(
    name, file, tmp_path, monkeypatch
):
    monkeypatch.setattr(distribution, "PACKAGE", tmp_path / "minigrad")
    installed(tmp_path, name, file)
    distribution.check()


# ---------------- versions
INTEL_MAC = {"sys_platform": "darwin", "platform_machine": "x86_64"}
PLATFORMS = {
    "Intel Mac": INTEL_MAC,
    "Apple Silicon": {"sys_platform": "darwin", "platform_machine": "arm64"},
    "Windows": {"sys_platform": "win32", "platform_machine": "AMD64"},
    "Linux": {"sys_platform": "linux", "platform_machine": "x86_64"},
    "Linux on ARM": {"sys_platform": "linux", "platform_machine": "aarch64"},
}


def required(platform):
    """The versions allowed on a platform, by package: those of the library and of all extras."""
    lines = [
        *PROJECT["dependencies"],
        *(line for extra in PROJECT["optional-dependencies"].values() for line in extra),
    ]
    found = {}
    for requirement in map(Requirement, lines):
        if requirement.marker is None or requirement.marker.evaluate(
            {**default_environment(), **platform}
        ):
            assert (
                found.setdefault(requirement.name, requirement.specifier) == requirement.specifier
            )
    return found


@pytest.mark.parametrize("name", PLATFORMS)
def test_every_platform_has_one_range_for_each_package(name):
    found, everywhere = required(PLATFORMS[name]), required(PLATFORMS["Linux"])
    lacking = {"Intel Mac": {"torch"}, "Windows": {"mpich"}}.get(name, set())
    assert set(everywhere) - set(found) == lacking
    assert "0.62.0" in found["numba"] and "0.69.0" not in found["numba"]


def test_intel_macs_get_the_last_versions_with_wheels():
    found = required(INTEL_MAC)
    for package, last, after in (("numba", "0.62.1", "0.63.0"), ("jax", "0.4.38", "0.5.0")):
        assert last in found[package] and after not in found[package]
        assert after in required(PLATFORMS["Apple Silicon"])[package]


def test_what_is_installed_here_is_allowed():
    here = required({})
    for package in ("numba", "numpy", "scipy", "scikit-learn", "jax"):
        assert metadata.version(package) in here[package]


def test_the_lowest_versions_are_those_of_pyproject():
    script = re.search(
        r"lowest\.txt\" <<'END'\n(.*?)^END$", (ROOT / ".ci" / "run").read_text("utf-8"), re.S | re.M
    )[1]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, encoding="utf-8", check=True
    )
    pinned = {line.name: line.specifier for line in map(Requirement, done.stdout.splitlines())}
    names = {line.name for line in map(Requirement, PROJECT["dependencies"])}
    assert (
        set(pinned) == names
        and str(pinned["numba"]) == "==0.62"
        and str(pinned["reportlab"]) == "==4.4.3"
    )


def test_tests_are_skipped_where_a_package_is_missing():
    said = r'no_such_package is not installed; pip install "minigrad-numba\[bench\]" brings it'
    with pytest.raises(pytest.skip.Exception, match=said):
        need("no_such_package", "bench")
    files = [
        "graph/test_autodiff.py",
        "interop/test_onnx.py",
        "ops/test_derivatives.py",
        "proof/test_graphs.py",
    ]
    hidden = (
        "import sys; sys.modules['jax'] = None; import pytest; sys.exit(pytest.main(sys.argv[1:]))"
    )
    options = [
        "-o",
        "addopts=",
        "--import-mode=importlib",
        "--collect-only",
        "-q",
        "-rs",
        "-p",
        "no:cacheprovider",
    ]
    command = [sys.executable, "-c", hidden, *options, *(f"tests/{file}" for file in files)]
    said = subprocess.run(
        command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    ).stdout
    assert (
        re.search(r"SKIPPED \[4\] .*: jax is not installed", said) and "no tests collected" in said
    ), said
