"""The house rules that a machine can check: style, types, floors, and what stands in the README."""
import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = {
    "distribution": 1, "errors": 1, "files": 1, "interrupts": 1, "seeds": 1, "kernels": 1, "data": 1, "graph": 2, "ops": 3,
    "run": 3, "optim": 3, "viz": 3, "nn": 4, "train": 5, "models": 5, "sklearn": 6, "interop": 6, "teach": 6,
    "experiments": 6, "demo": 6, "bench": 6, "cli": 7,
}  # fmt: skip
SOURCES = sorted((ROOT / "minigrad").rglob("*.py"))


def run(*command):
    return subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)


def test_ruff_has_nothing_to_say():
    result = run("ruff", "check", "--no-cache", "minigrad", "tests")
    assert result.returncode == 0, result.stdout


def test_types_are_strict_in_graph_and_operators():
    result = run("mypy", "--cache-dir=/dev/null")
    assert result.returncode == 0, result.stdout


def imported(path):
    """(line, top-level part of minigrad) of every import of the package in a file."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = (*base, *(node.module or "").split("."))
            full = [module] if len(module) > 1 and module[1] else [(*module[:1], alias.name) for alias in node.names]
            yield from ((node.lineno, parts[1]) for parts in full if parts[0] == "minigrad" and len(parts) > 1)


@pytest.mark.parametrize("path", [p for p in SOURCES if p.parent != ROOT / "minigrad" or p.stem in FLOORS], ids=str)
def test_no_arrow_runs_upstairs_and_every_file_can_be_read_in_one_sitting(path):
    own = path.relative_to(ROOT / "minigrad").parts[0].removesuffix(".py")
    # History.plot asks for pictures, which stand below it; nothing in viz imports what it draws
    upstairs = [(line, part) for line, part in imported(path) if FLOORS.get(part, 0) > FLOORS[own]]
    assert not upstairs
    assert len(path.read_text().splitlines()) <= 400


def test_importing_is_light():
    heavy = {"numba", "scipy", "matplotlib", "sklearn", "graphviz", "mpi4py", "dask", "ray"}
    code = f"import sys, minigrad; print(*{heavy} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert loaded == []


def test_the_readmes_first_two_blocks_are_the_demo_and_the_tests():
    blocks = re.findall(r"```[a-z]*\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert all(block.count("\n") == 1 and ".venv" in block for block in blocks[:2])
    assert "minigrad demo" in blocks[0]
    assert "pytest" in blocks[1]


def test_the_readmes_example_runs(capsys):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    exec(compile(blocks[0], "README.md", "exec"), {})
    said = re.search(r"```text\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert capsys.readouterr().out == said.group(1)
