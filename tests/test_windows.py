"""minigrad where Windows' gaps are: no fork, no fcntl, no select on pipes, a console in cp1252. It
is simulated here, on any system, by `windows/sitecustomize.py`, which each process of these tests
loads when it starts.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
#: the C locale without Python's help: `open` without an encoding takes ASCII, so that any other
#: letter is an error
SETTINGS = {
    "PYTHONPATH": os.pathsep.join(map(str, [TESTS / "windows", TESTS, TESTS.parent])),
    "PYTHONUTF8": "0",
    "PYTHONCOERCECLOCALE": "0",
    "LC_ALL": "C",
    "PYTHONIOENCODING": "cp1252",
}


def run(code, folder):
    """What a script prints; it is a file, which processes that it spawns import."""
    script = folder / "script.py"
    script.write_text(code, encoding="utf-8")
    env = {**os.environ, **SETTINGS}
    done = subprocess.run(
        [sys.executable, script], cwd=folder, env=env, capture_output=True, timeout=300
    )
    assert done.returncode == 0, done.stderr.decode("cp1252")
    return done.stdout.decode("cp1252")


def test_the_simulation_lacks_what_windows_lacks(tmp_path):
    said = run(
        """
import locale, multiprocessing, os, select, subprocess, sys
for module in ("fcntl", "resource"):
    try:
        __import__(module)
    except ImportError:
        print("no", module)
for name in ("fork", "register_at_fork", "getuid", "sysconf", "getloadavg", "sched_getaffinity"):
    print("no" * (not hasattr(os, name)), name)
pipe, _ = os.pipe()
try:
    select.select([pipe], [], [], 0)
except OSError as error:
    print(error.errno)
unicode = "utf" in locale.getpreferredencoding(False).lower()
print(multiprocessing.get_start_method(), sys.stdout.encoding, unicode)
subprocess.run([sys.executable, "-c", "import os; print(hasattr(os, 'fork'))"])
""",
        tmp_path,
    )
    missing = [
        "fcntl",
        "resource",
        "fork",
        "register_at_fork",
        "getuid",
        "sysconf",
        "getloadavg",
        "sched_getaffinity",
    ]
    assert said.splitlines() == [
        *(f"no {name}" for name in missing),
        "10038",
        "spawn cp1252 False",
        "False",
    ]


def test_training_drawing_and_processes_of_joblib(tmp_path):
    said = run(
        """
import numpy as np
import minigrad as mg
from minigrad import nn
from minigrad.train import cross_validate

def make():
    return nn.Sequential(nn.Linear(2, 8, seed=0), nn.Tanh(), nn.Linear(8, 1, seed=1))

def main():
    data = mg.data.circle(200)
    losses = {}
    for mode in ("compiled", "replay"):
        model = make()
        trainer = mg.Trainer(model, mg.mse_loss, mg.optim.Adam(model.parameters()), mode=mode)
        history = trainer.fit(data.x_train, data.y_train, epochs=2, batch_size=20, progress=True)
        losses[mode] = history.batch_loss
    np.testing.assert_allclose(losses["compiled"], losses["replay"], rtol=1e-4)
    mg.save(trainer, "trainer.safetensors")
    mg.load(trainer, "trainer.safetensors")
    x = mg.Variable(2.0, name="größe ∂")
    mg.sin(x).backward()
    drawing = mg.draw(mg.sin(x**2))
    drawing.save("graph.svg")
    print(drawing.layout.engine)
    recipe = {"folds": 2, "epochs": 1, "batch_size": 20, "mode": "replay"}
    arrays = data.x_train, data.y_train
    one, two = (cross_validate(make, *arrays, n_jobs=jobs, **recipe) for jobs in (1, 2))
    np.testing.assert_allclose(one.test_loss, two.test_loss, rtol=1e-5)

if __name__ == "__main__":
    main()
""",
        tmp_path,
    )
    assert said.split() == ["graphviz"]
    assert "größe ∂" in (tmp_path / "graph.svg").read_text(encoding="utf-8")


def test_the_demo_prints_its_table_where_a_character_cannot_be_shown(tmp_path):
    """Once it trained and then ended with exit code 2: the table's lines are no characters of
    cp1252.
    """
    said = run(
        """
from minigrad import cli, demo
from minigrad.demo import Result

row = ("2 × 5 folds", "0.97 ± 0.01", "x − 1", "∂ 3e-10")
demo.run_experiment = lambda name, *rest: [Result(name, *row)]
code = cli.main(["demo", "--only", "rnn", "--out", "out"])
print("exit code", code)
""",
        tmp_path,
    )
    lines = said.splitlines()
    assert "rnn         2 × 5 folds  0.97 ± 0.01  x ? 1  ? 3e-10" in lines
    assert lines[-1] == "exit code 0"
    assert (tmp_path / "out" / "sin-x2.svg").exists()


@pytest.mark.parametrize(
    "arguments",
    [["train", "mlp", "--epochs", "0"], ["bench", "--rounds", "0"], ["draw", "none.py:x"]],
)
def test_bad_use_is_one_line_and_code_2(arguments, tmp_path):
    said = run(
        f"""
import subprocess, sys
command = [sys.executable, "-m", "minigrad.cli", *{arguments!r}]
done = subprocess.run(command, capture_output=True)
print(done.returncode, done.stderr.count(b"\\n"))
""",
        tmp_path,
    )
    assert said.split() == ["2", "1"]


def test_the_benchmark_measures_and_leaves_out_what_the_system_does_not_say(tmp_path):
    said = run(
        """
from bench.tasks import small_task
from minigrad.bench.disturbance import others
from minigrad.bench.machine import machine
from minigrad.bench.process import Failed, Process

small_task().save("task.npz")
with Process("minigrad") as process:
    answer = process.measure("task.npz", "minigrad replay", 3)
    print(answer["steps"], answer["loss"] > 0)
    process.patience = 0.0
    try:
        process.ask("measure", steps=10**6, seed=0)
    except Failed as error:
        print(error)
print(machine()["memory"], others())
""",
        tmp_path,
    )
    assert said.splitlines() == ["3 True", "no answer in 0 s", "None None"]
