"""The public surface is typed: a script that uses all of it passes mypy and pyright in their strict
modes, with the types that it asserts.
"""

import ast
import builtins
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import minigrad as mg

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SCRIPT = HERE / "user_script.py"
#: the names that the script has for modules, and names that it imports from there or leaves out
MODULES = {
    "mg": (mg, "__version__"),
    "nn": (mg.nn, ""),
    "optim": (mg.optim, ""),
    "mg.train": (mg.train, "FoldError History Recipe Scores Trainer load save"),
}


@pytest.mark.parametrize("prefix", MODULES)
def test_the_script_uses_every_public_name(prefix):
    module, others = MODULES[prefix]
    names = dir(mg) if module is mg else module.__all__
    public = {name for name in names if not isinstance(getattr(module, name), ModuleType)}
    tree = ast.parse(SCRIPT.read_text(encoding="utf-8"))
    used = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not {f"{prefix}.{name}" for name in public - set(others.split())} - used


def test_mypy_accepts_the_script():
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent"]
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    result = subprocess.run(
        [*command, "--cache-dir", os.devnull, str(SCRIPT)],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == 0, result.stdout


def test_pyright_accepts_the_script(tmp_path):
    """basedpyright is pyright with its own interpreter for JavaScript in a wheel."""
    pytest.importorskip("basedpyright", reason="basedpyright is missing; it is in the test extra")
    settings = {
        "include": [str(SCRIPT)],
        "typeCheckingMode": "strict",
        "reportAny": True,
        "reportExplicitAny": False,
        "pythonVersion": "3.11",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-m", "basedpyright", "--outputjson", "-p", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    found = json.loads(result.stdout)["generalDiagnostics"]
    lines = [f"{each['range']['start']['line'] + 1}: {each['message']}" for each in found]
    assert result.returncode == 0, "\n".join(lines)


def test_a_star_import_leaves_pythons_own_functions_alone():
    assert not {name for name in mg.__all__ if hasattr(builtins, name)}
    assert {"abs", "max", "min", "sum", "sklearn"} <= set(dir(mg))
    assert mg.sum is mg.ops.sum and mg.abs is mg.ops.abs


def test_dir_shows_the_public_names_and_nothing_else():
    """Everything that it shows is there; modules in it are those with an `__all__`."""
    assert set(mg.__all__) <= set(dir(mg))
    modules = {name for name in dir(mg) if isinstance(getattr(mg, name), ModuleType)}
    assert modules == {
        "data", "interop", "nn", "ops", "optim", "random", "sklearn", "teach", "train", "viz",
    }  # fmt: skip
    assert not [name for name in dir(mg) if name.startswith("_") and name != "__version__"]
