"""Run slices of the tests in the settings that this machine can take, and print the table of
the page `platforms.md`.

    python tests/platforms.py                  all rows; minutes each where kernels must be compiled
    python tests/platforms.py workqueue TBB    only rows whose name holds one of these words

A row that cannot be run here says why. TBB comes with `pip install tbb`. The row of aarch64 needs
qemu-aarch64 and, in AARCH64_ROOT, the root folder of an aarch64 Linux whose /usr/bin/python3 has
minigrad's dependencies and pytest.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTEST = (
    "-m",
    "pytest",
    "-o",
    "addopts=",
    "-q",
    "--import-mode=importlib",
    "-p",
    "no:cacheprovider",
    "-m",
    "not slow and not mutation",
)
KERNELS = (
    "tests/kernels/test_gemm.py",
    "tests/kernels/test_mathfn.py",
    "tests/kernels/test_pool.py",
    "tests/kernels/test_softmax.py",
    "tests/kernels/simd/test_maxima.py",
    "tests/kernels/test_update.py",
)
THREADS, PATH = "tests/test_threads.py", "LD_LIBRARY_PATH"
TRAINING = ("tests/run/test_compiled.py", "tests/train/test_batches.py")
LAYER = """
import sys
from test_threads import losses
losses()
import numba
sys.exit(f"Numba took {numba.threading_layer()}" if numba.threading_layer() != sys.argv[1] else 0)
"""
ELSEWHERE = ("macOS on Apple Silicon and on Intel", "Windows itself")


@dataclass(frozen=True)
class Row:
    """A setting: variables of the environment, and the tests to run. `missing` says why it cannot
    be run here.
    """

    name: str
    tests: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    missing: str = ""
    python: tuple[str, ...] = (sys.executable,)

    @property
    def said(self) -> str:
        words = [f"{name}={value}" for name, value in self.settings.items() if name != PATH]
        return f"`{' '.join(words)}`" if words else ""


def rows() -> list[Row]:
    found = [Row("this machine as it is", KERNELS + TRAINING)]
    layers = {"workqueue": "workqueue", "OpenMP": "omp", "TBB": "tbb"}
    found += [
        Row(f"threads by {name}", (*TRAINING, THREADS), layer(layers[name])) for name in layers
    ]
    family = "" if platform.machine() in ("x86_64", "AMD64") else "this is not an x86 processor"
    levels = {"x86-64": "+sse2", "x86-64-v2": "+sse4.2", "x86-64-v3": "+avx,+avx2,+fma"}
    for level, features in levels.items():
        # features that are not set at all would be this machine's, AVX-512 included
        narrow = {"NUMBA_CPU_NAME": level, "NUMBA_CPU_FEATURES": features}
        found.append(Row(f"vectors of {level}", KERNELS + TRAINING, narrow, family))
    found.append(Row("plain Numba kernels", KERNELS + TRAINING, {"MINIGRAD_SIMD": "0"}))
    found.append(Row("kernels as plain Python", KERNELS, {"NUMBA_DISABLE_JIT": "1"}))
    found.append(Row("Windows, simulated", ("tests/test_windows.py",)))
    return [*found, aarch64(), *(Row(name, missing="no such machine here") for name in ELSEWHERE)]


def layer(name: str) -> dict[str, str]:
    """The system's loader must look where pip puts TBB."""
    paths = filter(None, [str(Path(sys.prefix) / "lib"), os.environ.get(PATH, "")])
    return {"NUMBA_THREADING_LAYER": name, "NUMBA_NUM_THREADS": "2", PATH: os.pathsep.join(paths)}


def aarch64() -> Row:
    emulator, root = shutil.which("qemu-aarch64"), os.environ.get("AARCH64_ROOT", "")
    missing = (
        "qemu-aarch64 is not installed"
        if not emulator
        else "AARCH64_ROOT is not set"
        if not root
        else ""
    )
    python = (str(emulator), "-L", root, f"{root}/usr/bin/python3")
    return Row("aarch64, emulated", KERNELS, missing=missing, python=python)


def environment(settings: dict[str, str]) -> dict[str, str]:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return {**os.environ, "PYTHONPATH": paths, **settings}


def unloaded(settings: dict[str, str]) -> str:
    """Why the threading layer of these settings cannot be used; "" where it can, or where none is
    named.
    """
    if "NUMBA_THREADING_LAYER" not in settings:
        return ""
    command = [sys.executable, "-c", LAYER, settings["NUMBA_THREADING_LAYER"]]
    done = subprocess.run(command, env=environment(settings), capture_output=True)
    return "Numba does not find this threading layer" if done.returncode else ""


def result(row: Row) -> str:
    """In words: how many tests passed, failed and were skipped, or why none was run."""
    missing = row.missing or unloaded(row.settings)
    if missing:
        return f"not run: {missing}"
    started = time.perf_counter()
    done = subprocess.run(
        [*row.python, *PYTEST, *row.tests],
        cwd=ROOT,
        env=environment(row.settings),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    counts = re.findall(
        r"\d+ (?:passed|failed|skipped|errors?)\b",
        done.stdout.rpartition("\n")[0].rpartition("\n")[2],
    )
    failed = re.findall(r"^(?:FAILED|ERROR) \S+", done.stdout, re.M)
    print(
        f"{row.name}: {time.perf_counter() - started:.0f} s", *failed, sep="\n  ", file=sys.stderr
    )
    said = ", ".join(counts) or "no result"
    return said if done.returncode == 0 else f"**{said}** (exit code {done.returncode})"


def main(words: list[str]) -> None:
    chosen = [row for row in rows() if not words or any(word in row.name for word in words)]
    print("| where | settings | result |", "| --- | --- | --- |", sep="\n")
    for row in chosen:
        print(f"| {row.name} | {row.said} | {result(row)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
