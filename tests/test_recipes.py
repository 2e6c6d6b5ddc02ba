"""The first recipe of `.github/CONTRIBUTING.md`, followed in a copy of the sources."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SECTION = '''

@elementwise("softsign", backward=(lambda g, y, x: g * np.square(1 - np.absolute(y)),))
def softsign(x: Any) -> Any:
    """x / (1 + |x|), a sigmoid that saturates slowly (Turian et al. 2009).

    >>> mg.softsign([-1.0, 0.0, 3.0]).value
    array([-0.5 ,  0.  ,  0.75], dtype=float32)
    """
    return x / (1 + np.absolute(x))
'''
RELU = '    Row("relu", mg.relu, jax.nn.relu, each(ONE)),\n'
ROW = '    Row("softsign", mg.softsign, jax.nn.soft_sign, each(ONE)),\n'
GENERATED = (
    "tests/graph/test_rule.py",
    "tests/ops/test_table.py",
    "tests/viz/walk/test_formulas.py",
    "tests/interop/test_onnx.py",
)


def test_an_elementwise_operator_is_one_section_and_one_row(tmp_path):
    for folder in ("minigrad", "tests"):
        leave = shutil.ignore_patterns("__pycache__", "*.ipynb")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=leave)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    functions, table = tmp_path / "minigrad/ops/elementwise.py", tmp_path / "tests/operators.py"
    functions.write_text(functions.read_text("utf-8") + SECTION, "utf-8")
    text = table.read_text("utf-8")
    assert text.count(RELU) == 1
    table.write_text(text.replace(RELU, RELU + ROW), "utf-8")
    command = [sys.executable, "-m", "pytest", "-o", "addopts=", "--import-mode=importlib", "-q"]
    result = subprocess.run(
        [*command, "-p", "no:cacheprovider", "-k", "softsign", *GENERATED],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-1000:]
    passed = int(result.stdout.rpartition(" passed")[0].split()[-1])
    assert passed > 20, result.stdout[-300:]
