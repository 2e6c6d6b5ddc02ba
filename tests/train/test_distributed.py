"""Data-parallel training under a real `mpiexec` on this machine; the ranks run `ranks.py`."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from systems import needs_signals
from train import ranks

import minigrad as mg
from minigrad.distribution import install_hint

SCRIPT = Path(ranks.__file__)
LIMIT = 120  # seconds; a start takes two or three
MPIEXEC = shutil.which(
    "mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
)

starts = pytest.mark.skipif(
    find_spec("mpi4py") is None or MPIEXEC is None,
    reason=f"mpi4py or mpiexec is missing; {install_hint('distributed')} brings both",
)


def command(*words):
    """Of one rank; a warning is an error."""
    return [sys.executable, "-W", "error", *map(str, words)]


def begin(*parts):
    """Start a job of parts (number of ranks, command)."""
    words = [word for n, each in parts for word in (":", "-n", str(n), *each)]
    env = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[2])}
    return subprocess.Popen(
        [MPIEXEC, *words[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=env,
    )


def end(job):
    """What it prints; a job that hangs is ended."""
    try:
        return job.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        job.kill()
        raise


def wait_for(path, job):
    """Wait until there is a file, and then for a random time."""
    since = time.monotonic()
    while not path.exists():
        if job.poll() is not None or time.monotonic() - since > LIMIT:
            job.kill()
            pytest.fail("".join(job.communicate()))
        time.sleep(0.02)
    time.sleep(np.random.default_rng().uniform(0, 0.3))


def ran(n, folder, *cases):
    """What each of n ranks returns."""
    folder.mkdir(exist_ok=True)
    job = begin((n, command(SCRIPT, folder, *cases)))
    _, errors = end(job)
    assert job.returncode == 0, errors[-3000:]
    found = [json.loads((folder / f"{rank}.json").read_text(encoding="utf-8")) for rank in range(n)]
    assert [each["size"] for each in found] == [n] * n
    return found


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What the ranks return, by their number."""
    folder = tmp_path_factory.mktemp("jobs")
    np.save(folder / "x.npy", ranks.X)
    np.save(folder / "y.npy", ranks.Y)
    cases = {
        1: ["steps_of_one"],
        2: ["shares", "refused", "modes"],
        3: ["shares", "refused", "interrupted"],
    }
    return {n: ran(n, folder / str(n), "steps", *cases[n]) for n in cases}


def close(one, other, rtol=1e-9):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=rtol, atol=1e-12, err_msg=name)


# ---------------- one step
CASES = [
    "a last batch of 3",
    "a last batch of 1",
    "one batch",
    "rows of a table",
    "compiled",
    "memory maps",
]


@starts
@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("case", CASES)
def test_n_ranks_train_as_one_process_with_the_whole_batch(case, n, results):
    expected = results[1][0]["steps_of_one"][case]
    assert len(expected["batch_loss"]) > 1
    for found in results[n]:
        close(found["steps"][case], expected)


@starts
def test_one_rank_trains_as_a_plain_process(results):
    assert results[1][0]["steps"] == results[1][0]["steps_of_one"]


@starts
@pytest.mark.parametrize("n", [2, 3])
def test_all_ranks_hold_the_same_numbers(n, results):
    """Losses, metrics, parameters and momenta, to the bit, also with a random seed."""
    first, *others = results[n]
    for other in others:
        assert other["steps"] == first["steps"]
        for name in ("history", "statistics", "evaluate", "no seed"):
            assert other["shares"][name] == first["shares"][name]


@starts
def test_the_same_seed_gives_the_same_bits_again(results, tmp_path):
    (again, _) = ran(2, tmp_path / "again", "shares")
    expected = results[2][0]["shares"]
    assert all(
        again["shares"][name] == expected[name]
        for name in ("history", "statistics", "masks", "evaluate", "no seed")
    )


# ---------------- batch norm, dropout, metrics
@starts
@pytest.mark.parametrize("n", [2, 3])
def test_batch_norm_sees_its_ranks_share_and_running_statistics_are_averaged(n, results):
    mean, var = np.zeros(4), np.ones(4)
    for start in (0, 7, 14):
        parts = [ranks.X[start + 7 * rank // n : start + 7 * (rank + 1) // n] for rank in range(n)]
        mean = 0.9 * mean + 0.1 * sum(part.mean(0) * len(part) for part in parts) / 7
        var = 0.9 * var + 0.1 * sum(part.var(0, ddof=1) * len(part) for part in parts) / 7
    np.testing.assert_allclose(results[n][0]["shares"]["statistics"], [mean, var], rtol=1e-12)


@starts
@pytest.mark.parametrize("n", [2, 3])
def test_dropout_draws_masks_of_its_own_on_each_rank(n, results):
    masks = [found["shares"]["masks"] for found in results[n]]
    assert [len(each) for each in masks] == [3] * n
    drawn = {
        tuple(i for i in mask if i < 12) for each in masks for mask in each
    }  # two samples of six
    assert len(drawn) == 3 * n


@starts
def test_compiled_steps_do_the_same_with_batch_norm_and_dropout(results):
    for found in results[2]:
        close(*found["modes"])


# ---------------- who speaks and who writes
@starts
@pytest.mark.parametrize("n", [2, 3])
def test_rank_0_alone_shows_progress(n, results):
    first, *others = (found["shares"]["bars"] for found in results[n])
    assert "3/3" in first or "0/3" in first
    assert others == [""] * (n - 1)


@starts
@pytest.mark.parametrize("n", [2, 3])
def test_what_cannot_be_distributed_is_refused_on_all_ranks(n, results):
    called, first = f"ValueError: Trainer: rank {n - 1} was called with", "rank 0 with"
    expected = {
        "iterable": "TypeError: Trainer: distributed=True and an iterable of batches; arrays were "
        "expected, "
        "to be shared out",
        "iterable on one": f"{called} data='an iterable', batch_size=0, {first} data=[(23, 4), "
        f"(23,)], batch_size=8",
        "few": f"ValueError: Trainer: batch_size={n - 1} on {n} ranks; at least one sample each "
        f"was expected",
        "seed": f"{called} seed=4, {first} seed=3",
        "data": f"{called} data=[(22, 4), (22,)], epochs=3, {first} data=[(23, 4), (23,)], "
        f"epochs=2",
        "resume": f"{called} resume=True, {first} resume=False",
        "optimizer": f"{called} optimizer='SGD', lr=0.5, options=…, {first} optimizer='Adam', "
        f"lr=0.01, options=…",
    }
    for found in results[n]:
        said = {name: re.sub("{[^}]*}", "…", text) for name, text in found["refused"].items()}
        mean = (
            "GraphError: Trainer: distributed=True needs a loss that is the mean over the "
            "samples; it is "
        )
        assert said.pop("sum").startswith(mean)
        assert said == expected


@starts
def test_ctrl_c_on_one_rank_stops_all_after_the_same_step_and_they_resume(results):
    for found in results[3]:
        assert found["interrupted"] == {"steps": [5, 7], "interrupted": [True, True], "same": True}


# ---------------- the end of a job
@starts
@pytest.mark.parametrize(("case", "n"), [("error", 3), ("ctrl_c", 2), ("outside", 2)])
def test_an_exception_on_one_rank_ends_the_job_with_one_message(case, n, tmp_path):
    job = begin((n, command(SCRIPT, tmp_path, case)))
    _, errors = end(job)
    assert job.returncode != 0
    name = "KeyboardInterrupt" if case == "ctrl_c" else "ArithmeticError"
    said = f"minigrad: {name} on rank {n - 1} of {n} ends the job"
    said += "" if case == "outside" else "; fit(resume=True) goes on from the last checkpoint"
    assert [line for line in errors.splitlines() if line.startswith("minigrad")] == [said]
    assert errors.count("Traceback") == 1
    assert case == "ctrl_c" or "ArithmeticError: no more" in errors


@starts
@needs_signals
def test_a_killed_rank_leaves_a_checkpoint_that_resumes(tmp_path):
    rng, saved = np.random.default_rng(), tmp_path / "0.safetensors"
    job = begin((2, command(SCRIPT, tmp_path, "endless")))
    try:
        wait_for(saved, job)
        os.kill(
            int((tmp_path / f"{rng.integers(2)}.pid").read_text(encoding="utf-8")), signal.SIGKILL
        )
        said = "".join(end(job))
    finally:
        job.kill()
    assert job.returncode != 0
    assert said.count("signal 9") == 1, said  # from mpiexec
    assert load_file(saved)
    for found in ran(2, tmp_path, "resumed"):
        begun, rest, expected, left = found["resumed"].values()
        assert begun > 0 and left == ["0.safetensors"]  # rank 0 alone writes
        assert (
            len(rest["batch_loss"]) == 6
            and rest["batch_loss"] == expected["batch_loss"][3 * begun :]
        )
        history = {"batch_loss", "epoch_loss", "validation_loss", "accuracy"}
        assert all(rest[name] == expected[name] for name in expected.keys() - history)


# ---------------- the command line
def lines(printed):
    """Of the epochs, without their times."""
    return [
        re.sub(", [0-9.]+ s$", "", line)
        for line in printed.splitlines()
        if line.startswith("epoch")
    ]


MLP = (
    "-m",
    "minigrad.cli",
    "train",
    "mlp",
    "--distributed",
    "--mode",
    "replay",
    "--batch-size",
    100,
)


@starts
@needs_signals
def test_minigrad_train_ended_by_ctrl_c_and_resumed(tmp_path):
    """In a terminal, Ctrl-C goes to mpiexec, which passes it on."""
    one, other = tmp_path / "one" / "mlp.safetensors", tmp_path / "other" / "mlp.safetensors"
    job = begin((2, command(*MLP, "--out", one.parent, "--epochs", 10**6)))
    wait_for(one, job)
    job.send_signal(signal.SIGINT)
    printed, errors = end(job)
    assert job.returncode == 130
    assert errors.count("minigrad: interrupted") == 1
    epochs, last = len(lines(printed)) + 1, []
    assert load_file(one)["course.done"][0] == epochs - 1
    for path, *more in ((one, "--resume"), (other,)):
        job = begin((2, command(*MLP, "--out", path.parent, "--epochs", epochs, *more)))
        printed, errors = end(job)
        assert job.returncode == 0, errors
        last.append(lines(printed)[-1])
        assert len(lines(printed)) == (1 if more else epochs)  # each line once, not from every rank
    assert last[0] == last[1]
    found = [load_file(path) for path in (one, other)]
    assert found[0].keys() == found[1].keys()
    assert all(np.array_equal(found[0][name], found[1][name]) for name in found[0])


@starts
def test_a_rank_that_fails_before_the_training_ends_the_job(tmp_path):
    job = begin((1, command(*MLP)), (1, command(*MLP, "--resume", "--out", tmp_path)))
    _, errors = end(job)
    assert job.returncode != 0
    missing, ends = (line for line in errors.splitlines() if line.startswith("minigrad"))
    assert "No such file or directory" in missing and "mlp.safetensors" in missing
    assert ends == "minigrad: FileNotFoundError on rank 1 of 2 ends the job"
    assert "Traceback" not in errors


def test_without_mpi4py_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    needed = (
        "distributed=True needs mpi4py and an MPI library: pip install "
        '"minigrad-numba[distributed]"'
    )
    with pytest.raises(ImportError, match=re.escape(f"Trainer: {needed}")):
        ranks.trainer()
    assert mg.train.distributed.Ranks().size == 1
