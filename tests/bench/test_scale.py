"""The cost of a data-parallel step: hand-computed values, limits, and what is fitted is found
again.
"""

import math

import numpy as np
import pytest
from bench import given

from minigrad.bench import scale
from minigrad.bench.scale import Network, StepCost

SLOW = Network(latency=1e-3, bandwidth=1e6)
FREE = Network(latency=0.0, bandwidth=math.inf)


def test_all_reduce_by_hand():
    assert SLOW.all_reduce(1, 1e6) == 0
    assert SLOW.all_reduce(2, 1000) == pytest.approx(
        2e-3
    )  # one message of the whole, there and back at once
    assert SLOW.all_reduce(8, 0) == pytest.approx(3e-3)  # three doublings
    # 4 ms · 1e6 bytes: doubling 2 (1 ms + 1 s); halving and doubling 4 · 1 ms + 2 · 3/4 s; ring 6 ·
    # 1 ms + 6/4 s
    assert SLOW.all_reduce(4, 1e6) == pytest.approx(1.504)
    # 3 workers: the ring's 4 (1 ms + 1/3 s), where the others have to bring the third one in
    assert SLOW.all_reduce(3, 1e6) == pytest.approx(4e-3 + 4 / 3)
    assert SLOW.all_reduce(3, 0) == pytest.approx(
        3e-3
    )  # one doubling, and two messages for the third


def test_all_reduce_at_its_limits():
    assert FREE.all_reduce(1000, 1e9) == 0
    assert Network(0.0, 1e6).all_reduce(1024, 1e6) == pytest.approx(
        2 * 1023 / 1024
    )  # each byte leaves twice
    assert Network(1e-3, math.inf).all_reduce(1024, 1e9) == pytest.approx(10e-3)
    for n in (2, 4, 64, 1024):
        assert (
            SLOW.all_reduce(n, 1e4)
            <= SLOW.all_reduce(2 * n, 1e4)
            <= 2 * (2 * n - 1) * (1e-3 + 1e-2 / (2 * n))
        )


def test_the_slowest_of_normal_numbers():
    assert scale.slowest(1) == pytest.approx(0, abs=1e-12)
    assert scale.slowest(2) == pytest.approx(1 / math.sqrt(math.pi), rel=1e-6)
    assert scale.slowest(3) == pytest.approx(1.5 / math.sqrt(math.pi), rel=1e-6)
    assert scale.slowest(1000) == pytest.approx(3.24144, abs=1e-4)  # published tables
    drawn = np.random.default_rng(0).standard_normal((20_000, 16)).max(1).mean()
    assert scale.slowest(16) == pytest.approx(drawn, abs=0.02)


def test_a_step_by_hand():
    cost = StepCost(step=1e-3, sample=1e-4, leave=5e-4, beside=2e-5, scatter=0.1, size=1000)
    assert cost.seconds(1, 100, SLOW) == pytest.approx(
        1e-3 + 100e-4
    )  # nobody to wait for, nobody to talk to
    computing = 1e-3 + 50e-4 + 5e-4 + 10e-4
    assert cost.seconds(2, 99, SLOW) == pytest.approx(
        computing * (1 + 0.1 / math.sqrt(math.pi)) + 2e-3
    )
    apart = (computing - 10e-4) * (1 + 0.1 / math.sqrt(math.pi)) + 2e-3
    assert cost.apart().seconds(2, 99, SLOW) == pytest.approx(apart)
    assert cost.throughput(2, 100, SLOW) == pytest.approx(100 / cost.seconds(2, 100, SLOW))
    assert cost.efficiency(1, 100, SLOW) == 1
    with pytest.raises(ValueError, match="101 workers and a batch of 100; from 1 to 100"):
        cost.seconds(101, 100, SLOW)


def test_what_helps_by_hand():
    cost = StepCost(step=0.0, sample=1e-3, leave=0.0, beside=0.0, scatter=0.0, size=8000)
    plain = 10e-3 + 9e-3
    assert cost.seconds(2, 20, SLOW) == pytest.approx(plain)
    assert cost.seconds(2, 20, SLOW, overlap=0.5) == pytest.approx(10e-3 + 4e-3)
    assert cost.seconds(2, 20, SLOW, overlap=1.0) == pytest.approx(
        10e-3
    )  # never less than the computing
    assert cost.seconds(2, 20, SLOW, compression=8) == pytest.approx(10e-3 + 2e-3)
    assert cost.throughput(2, 20, SLOW, larger=8) == pytest.approx(160 / (80e-3 + 9e-3))
    found = scale.remedies(cost, 2, 20, SLOW)
    assert set(found) == set(scale.REMEDIES)
    assert found["overlapping"] == pytest.approx(plain / (10e-3 + 9e-3 - 2 / 3 * 10e-3))
    assert found["16 bits"] == pytest.approx(plain / (10e-3 + 5e-3))
    assert found["batch × 8"] == pytest.approx(8 * plain / (80e-3 + 9e-3))


def test_without_costs_of_talking_all_workers_pay():
    cost = StepCost(step=0.0, sample=1e-3, leave=0.0, beside=0.0, scatter=0.0, size=1e9)
    assert cost.efficiency(64, 128, FREE) == pytest.approx(1)
    assert scale.best(cost, 128, FREE) == scale.pays_until(cost, 128, FREE) == 128
    assert scale.best(cost, 4096, FREE) == 820  # then the largest share has 5, as with 1000


def test_where_it_stops_paying():
    cost = StepCost(step=0.0, sample=1e-3, leave=0.0, beside=0.0, scatter=0.0, size=0.0)
    network = Network(latency=8e-3, bandwidth=math.inf)
    # 64 ms on one; n = 2, 4, 8, 16: 32 + 8, 16 + 16, 8 + 24, 4 + 32 ms
    assert scale.best(cost, 64, network) == 4
    assert scale.pays_until(cost, 64, network) == 4  # 64 / (4 · 32)


def exchanges(network, sizes=(8, 1024, 65_536, 2**20)):
    return [
        given.record("all-reduce", f"{n} B", "ranks 2 × 1", network.all_reduce(2, n), bytes=n)
        for n in sizes
    ]


def steps(cost, network, noise=None):
    """Records of steps on one worker and two."""
    found = []
    for batch in scale.BATCHES:
        for n in (1, 2):
            took = cost.seconds(n, batch, network) * (noise.normal(1, 0.02) if noise else 1)
            waiting = cost.scatter * scale.slowest(2)
            where = {"ranks": n, "batch": batch, "bytes": cost.size}
            where |= {"computing": 1.0, "waiting": waiting}
            name = f"ranks {n} × 1"
            found.append(given.record("distributed", f"J1, batch {batch}", name, took, **where))
    return found


def test_a_network_is_found_again():
    found = scale.network_of(exchanges(Network(3e-6, 5e9)))
    assert (found.latency, found.bandwidth) == (pytest.approx(3e-6), pytest.approx(5e9))
    found = scale.network_of(exchanges(Network(1e-6, math.inf)))
    assert found.all_reduce(2, 1e9) == pytest.approx(1e-6)


TRUTH, NETWORK = StepCost(4e-5, 3e-6, 6e-5, 1e-6, 0.2, 1e4), Network(3e-6, 5e9)


def test_a_cost_is_found_again_and_predicts():
    jobs = scale.jobs_of(steps(TRUTH, NETWORK))
    assert list(jobs) == ["J1"]
    found = scale.cost_of(jobs["J1"], NETWORK)
    for name in ("step", "sample", "leave", "beside", "scatter", "size"):
        assert getattr(found, name) == pytest.approx(getattr(TRUTH, name))
    unseen = scale.measured_of(jobs["J1"], held_out=True)
    assert {batch for _, batch, _ in unseen} == set(scale.HELD_OUT)
    assert scale.errors(found, NETWORK, unseen) == pytest.approx([0] * 4, abs=1e-9)
    doubled = [(n, batch, took * 2) for n, batch, took in unseen]
    assert scale.errors(found, NETWORK, doubled) == pytest.approx([-0.5] * 4)


def test_what_is_held_out_does_not_decide_the_cost():
    records = steps(TRUTH, NETWORK)
    for record in records:
        if record["batch"] in scale.HELD_OUT:
            record["rounds"] = [1.0]
    found = scale.cost_of(scale.jobs_of(records)["J1"], NETWORK)
    assert found.sample == pytest.approx(TRUTH.sample)


def test_noise_moves_a_cost_little_and_never_below_zero():
    truth, noise = StepCost(0.0, 3e-6, 6e-5, 0.0, 0.1, 1e4), np.random.default_rng(0)
    found = scale.cost_of(scale.jobs_of(steps(truth, NETWORK, noise))["J1"], NETWORK)
    assert found.sample == pytest.approx(3e-6, rel=0.05)
    assert found.leave == pytest.approx(6e-5, rel=0.2)
    assert 0 <= found.step < 1e-5 and 0 <= found.beside < 5e-7


def test_a_job_that_is_not_complete_is_left_out():
    assert scale.jobs_of(steps(TRUTH, NETWORK)[:-1]) == {}
