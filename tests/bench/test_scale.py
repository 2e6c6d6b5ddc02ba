"""The cost of a data-parallel step: hand-computed values, limits, and what is fitted is found
again.
"""

import math

import numpy as np
import pytest

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
    assert cost.apart().computing(2, 99) == pytest.approx(computing - 10e-4)
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
    assert (
        scale.best(cost, 128, FREE, most=50) == 43
    )  # then the largest share has 3 samples, as with 50 workers


def test_where_it_stops_paying():
    cost = StepCost(step=0.0, sample=1e-3, leave=0.0, beside=0.0, scatter=0.0, size=0.0)
    network = Network(latency=8e-3, bandwidth=math.inf)
    # 64 ms on one; n = 2, 4, 8, 16: 32 + 8, 16 + 16, 8 + 24, 4 + 32 ms
    assert scale.best(cost, 64, network) == 4
    assert scale.pays_until(cost, 64, network) == 4  # 64 / (4 · 32)
    assert scale.pays_until(cost, 64, network, least=0.9) == 1


def test_a_network_is_found_again():
    sizes = [8, 1024, 65_536, 2**20]
    found = scale.fit_network(sizes, [Network(3e-6, 5e9).all_reduce(2, size) for size in sizes])
    assert (found.latency, found.bandwidth) == (pytest.approx(3e-6), pytest.approx(5e9))
    assert scale.fit_network([8, 1024], [1e-6, 1e-6]).all_reduce(2, 1e9) == pytest.approx(1e-6)


POINTS = [(n, batch) for n in (1, 2) for batch in (32, 64, 256)]


def measured(cost, network, points=POINTS, noise=None):
    seconds = np.array([cost.seconds(*point, network) for point in points])
    if noise is not None:
        seconds *= noise.normal(1, 0.02, len(points))
    return [(*point, float(t)) for point, t in zip(points, seconds, strict=True)]


def test_a_cost_is_found_again_and_predicts():
    truth, network = StepCost(4e-5, 3e-6, 6e-5, 1e-6, 0.2, 1e4), Network(3e-6, 5e9)
    found = scale.fit(measured(truth, network), network, 0.2, 1e4)
    for name in ("step", "sample", "leave", "beside", "scatter", "size"):
        assert getattr(found, name) == pytest.approx(getattr(truth, name))
    unseen = measured(truth, network, [(1, 128), (2, 512), (4, 512)])
    assert scale.errors(found, network, unseen) == pytest.approx([0, 0, 0], abs=1e-9)
    assert scale.errors(found, network, [(n, b, t * 2) for n, b, t in unseen]) == pytest.approx(
        [-0.5] * 3
    )


def test_noise_moves_a_cost_little_and_never_below_zero():
    network = Network(3e-6, 5e9)
    truth, noise = StepCost(0.0, 3e-6, 6e-5, 0.0, 0.1, 1e4), np.random.default_rng(0)
    found = scale.fit(measured(truth, network, noise=noise), network, 0.1, 1e4)
    assert found.sample == pytest.approx(3e-6, rel=0.05) and found.leave == pytest.approx(
        6e-5, rel=0.1
    )
    assert 0 <= found.step < 1e-5 and 0 <= found.beside < 3e-7


@pytest.mark.parametrize(
    "points", [[], [(1, 32), (1, 64)], [(1, 32), (2, 64)], [(1, 32), (1, 64), (2, 64), (2, 64)]]
)
def test_measurements_that_decide_nothing_are_refused(points):
    network = Network(3e-6, 5e9)
    with pytest.raises(ValueError, match=f"{len(points)} measurements do not decide the costs"):
        scale.fit(
            measured(StepCost(1e-5, 1e-6, 1e-5, 0.0, 0.0, 1e4), network, points), network, 0.0, 1e4
        )


def test_a_report_is_read_without_what_was_held_out():
    truth, network = StepCost(4e-5, 3e-6, 6e-5, 1e-6, 0.2, 1e4), Network(3e-6, 5e9)
    sizes = [8, 1024, 2**20]
    points = [{"ranks": n, "batch": b, "seconds": t} for n, b, t in measured(truth, network)]
    points += [{"ranks": n, "batch": 128, "seconds": 1.0} for n in (1, 2)]
    job = {"points": points, "held_out": [128], "scatter": 0.2, "bytes": 1e4}
    found = {
        "all_reduce": {"sizes": sizes, "seconds": [network.all_reduce(2, size) for size in sizes]}
    }
    assert scale.network_of(found).bandwidth == pytest.approx(5e9)
    assert scale.cost_of(job, network).sample == pytest.approx(3e-6)
    assert scale.measured_of(job, held_out=True) == [(1, 128, 1.0), (2, 128, 1.0)]
