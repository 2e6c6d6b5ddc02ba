"""The tables of section `distributed`, from given numbers."""

import json
from pathlib import Path

import pytest

from minigrad.bench import cluster, scale
from minigrad.bench.ranks import FITTED, HELD_OUT, MODELS, RANKS, SIZES

ROOT = Path(__file__).parents[2]
COST, NETWORK = scale.StepCost(1e-5, 1e-5, 1e-4, 2e-6, 0.1, 4e6), scale.Network(1e-5, 1e9)


def section():
    """One model with a given cost; where the batch is 512 it takes twice as long as it should."""

    def point(ranks, threads, batch):
        took = COST.seconds(ranks, batch, NETWORK) * (2 if batch == 512 else 1)
        return {
            "ranks": ranks,
            "threads": threads,
            "each": 1 if ranks == 2 else threads,
            "batch": batch,
            "seconds": took,
            "computing": 0.75 * took,
            "talking": 0.25 * took,
            "waiting": 0.125 * took,
        }

    points = [point(ranks, 1, batch) for ranks in (1, 2) for batch in (32, 64, 128, 256, 512)]
    rows = [point(ranks, threads, 128) for ranks in (1, 2) for threads in (1, 2)]
    job = {
        "title": "CNN",
        "batch": 128,
        "held_out": [128, 512],
        "bytes": 4_000_000,
        "scatter": 0.1,
        "agree": True,
        "rows": rows,
        "points": points,
    }
    sizes = [1000, 10**6, 10**7]
    return {
        "all_reduce": {"sizes": sizes, "seconds": [NETWORK.all_reduce(2, size) for size in sizes]},
        "jobs": {"J1a": job, "J2": {"title": "text", "batch": 128, "reason": "no reviews"}},
        "grid": {"fits": 8, "one": 4.0, "two": 2.5, "gain": 1.6, "low": 1.5, "high": 1.7},
    }


def cells(text, begin):
    """The cells of the table row that begins so."""
    return next(
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in text.splitlines()
        if line.startswith(begin)
    )


def test_every_number_stands_where_it_belongs():
    text = cluster.distributed(section())
    one, two = COST.seconds(1, 128, NETWORK), COST.seconds(2, 128, NETWORK)
    row = cells(text, "| J1a CNN")
    assert (
        row[1:4] == ["4 MB", "99,200", "99,200"] and row[6] == f"{one / two:.2g}"
    )  # 128 / 1.29 ms
    assert row[7:] == ["25%", "12%", "yes"]  # an eighth, rounded to even
    assert "2 × 2: only 1 for each rank" in text and "1 × 2: only" not in text
    assert "latency 10 µs, bandwidth 1 GB/s" in text
    assert cells(text, "| J1a  ") == [
        "J1a",
        "10 µs",
        "10 µs",
        "100 µs",
        "2 µs",
        "10%",
        "0%, 0%",
        "25%, 50%",
    ]
    assert "left out: no reviews (J2)" in text
    assert "8 fits: 4 s in one process, 2.5 s in two; 1.6 (1.5–1.7) times as fast in two" in text


def test_the_cluster_is_that_of_the_model():
    fastest = cells(cluster.distributed(section()), "| J1a CNN ")
    text = cluster.distributed(section()).partition("machines at 50 µs and 10 Gbit/s")[2]
    row, best = cells(text, "| J1a CNN"), scale.best(COST.apart(), 1024, scale.CLUSTER)
    assert (
        row[1] == str(best)
        and row[3] == str(scale.pays_until(COST.apart(), 1024, scale.CLUSTER))
        and fastest != row
    )
    helps = [float(cell) for cell in cells(text.partition("64 of them")[2], "| J1a ")[2:]]
    assert helps == pytest.approx(
        list(scale.remedies(COST.apart(), 64, 1024, scale.CLUSTER).values()), rel=0.05
    )


def test_what_is_missing_is_left_out():
    assert cluster.distributed({"reason": "no mpi4py"}) == "distributed: left out: no mpi4py"
    assert "fitted" in cluster.distributed({"all_reduce": section()["all_reduce"]})
    assert cluster.distributed({"grid": section()["grid"]}).startswith("grid search of 8 fits")
    assert cluster.distributed({}) == ""


def test_losses_that_differ_are_shouted():
    found = section()
    found["jobs"]["J1a"]["agree"] = False
    assert cells(cluster.distributed(found), "| J1a CNN")[-1] == "NO"


def test_the_committed_numbers_have_every_model_and_size():
    found = json.loads((ROOT / "figures" / "bench-distributed.json").read_text(encoding="utf-8"))[
        "distributed"
    ]
    assert tuple(found["jobs"]) == MODELS and tuple(found["all_reduce"]["sizes"]) == SIZES
    for job in found["jobs"].values():
        points = {(point["ranks"], point["batch"]) for point in job["points"]}
        assert (
            points >= {(ranks, batch) for ranks in RANKS for batch in (*FITTED, *HELD_OUT)}
            and job["agree"]
        )
    assert "fastest with" in cluster.distributed(found)
