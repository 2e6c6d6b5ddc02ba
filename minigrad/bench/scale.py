"""A small model of what a data-parallel training step costs on n workers, fitted to measurements.

    seconds = computing + waiting for the slowest + all-reduce

Each worker computes its share of the batch, at a cost per step and a cost per sample. The workers'
times scatter, and all wait for the slowest. Then they exchange their gradients: each message costs
a latency, and its bytes pass at a bandwidth. `network_of` and `cost_of` find these numbers from one
and two workers; with the numbers of another network, the same formula predicts a thousand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from math import ceil, inf
from statistics import median
from typing import Any

import numpy as np

from .records import Record, middle

#: samples of all workers together; costs are fitted without those held out
BATCHES, HELD_OUT = (32, 64, 128, 256, 512), (128, 512)
#: (workers, samples in the whole batch, seconds of a step)
Measured = tuple[int, int, float]
#: the backward pass as a share of the computing: it costs about twice as much as the forward pass
BACKWARD = 2 / 3
#: What could help, as options of `StepCost.seconds`. Overlapping is at its best: messages travel
#: during the whole backward pass (Li et al., "PyTorch Distributed", 2020). 1 % of the gradient is
#: sent with indices: 1/50 of the bytes (Lin et al., "Deep Gradient Compression", 2018). A batch 8
#: times as large needs another learning rate, and at some size more epochs (Goyal et al.,
#: "Accurate, Large Minibatch SGD", 2017).
REMEDIES: Mapping[str, Mapping[str, Any]] = {
    "batch × 8": {"larger": 8},
    "overlapping": {"overlap": BACKWARD},
    "16 bits": {"compression": 2},
    "1 % of the gradient": {"compression": 50},
}


@dataclass(frozen=True)
class Network:
    """The connection between workers: `latency` in seconds a message, `bandwidth` in bytes/s."""

    latency: float
    bandwidth: float

    def all_reduce(self, n: int, size: float) -> float:
        """Seconds until n workers have the sum of their arrays of `size` bytes, by the fastest way.

        Ring: Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms" (2009). Recursive
        doubling (few messages), and halving and doubling (few bytes): Thakur, Rabenseifner and
        Gropp, "Optimization of collective communication operations in MPICH" (2005). Workers beyond
        a power of two send their array to another one first and receive the sum at the end. The
        additions are not counted.
        """
        doublings = n.bit_length() - 1
        power, moving = 1 << doublings, size / self.bandwidth
        whole = self.latency + moving
        beyond = 2 * whole if power < n else 0.0
        ring = 2 * (n - 1) * (self.latency + moving / n)
        halving = 2 * (doublings * self.latency + (power - 1) / power * moving)
        return min(ring, doublings * whole + beyond, halving + beyond)


#: the tables and appendix A assume an ordinary cluster: 10 Gbit/s, and 50 µs between two programs
CLUSTER = Network(latency=50e-6, bandwidth=1.25e9)


@cache
def slowest(n: int) -> float:
    """Return the expected largest of n standard normal numbers: ∫ x dΦ(x)ⁿ.

    1/√π for two, 3.24 for a thousand (David and Nagaraja, "Order Statistics", third edition 2003,
    chapter 3).
    """
    from scipy.special import ndtr

    x = np.linspace(-8.0, 8.0, 4001)
    return float((x[1:] + x[:-1]) / 2 @ np.diff(ndtr(x) ** n))


@dataclass(frozen=True)
class StepCost:
    """What a training step of one model costs.

    In seconds: `step`, however small the batch; `sample`, per sample; `leave`, with several
    workers, for each step must then leave the machine code; `beside`, the extra per sample when
    workers share a machine's memory and clock. `scatter` is the relative standard deviation of a
    worker's computing time; `size` is the gradient's bytes.
    """

    step: float
    sample: float
    leave: float
    beside: float
    scatter: float
    size: float

    def apart(self) -> StepCost:
        """The same with a machine for each worker."""
        return replace(self, beside=0.0)

    def seconds(
        self, n: int, batch: int, network: Network, overlap: float = 0.0, compression: float = 1.0
    ) -> float:
        """Seconds of a step with n workers; `ValueError` if workers exceed samples.

        Messages travel during a share `overlap` of the computing, and carry fewer bytes by a factor
        `compression`.
        """
        if not 1 <= n <= batch:
            raise ValueError(
                f"cost: {n} workers and a batch of {batch}; from 1 to {batch} workers were expected"
            )
        share = ceil(batch / n)
        computing = self.step + self.sample * share
        if n > 1:
            computing += self.leave + self.beside * share
        talking = network.all_reduce(n, self.size / compression)
        return computing * (1 + self.scatter * slowest(n)) + max(0.0, talking - overlap * computing)

    def throughput(
        self, n: int, batch: int, network: Network, *, larger: int = 1, **how: float
    ) -> float:
        """Samples per second with a batch `larger` times as large; `how` as for `seconds`."""
        return batch * larger / self.seconds(n, batch * larger, network, **how)

    def efficiency(self, n: int, batch: int, network: Network) -> float:
        """The speed-up over one worker, divided by n: 1 at best."""
        return self.seconds(1, batch, network) / (n * self.seconds(n, batch, network))


# ---------------- fitting
def _fitted(errors: Callable[[Any], Any], count: int) -> Any:
    """Costs ≥ 0 with the smallest sum of squared errors, which grow linearly with the costs."""
    from scipy.optimize import nnls

    at_zero = np.array(errors(np.zeros(count)))
    slopes = np.array([errors(unit) - at_zero for unit in np.eye(count)]).T
    largest = np.abs(slopes).max(0)
    return nnls(slopes / largest, -at_zero)[0] / largest


def network_of(records: Iterable[Record]) -> Network:
    """Return the network that explains the measured all-reduces between two workers."""
    found = [record for record in records if record["section"] == "all-reduce"]
    size, took = np.array([(record["bytes"], middle(record)) for record in found]).T
    latency, per_byte = map(float, _fitted(lambda x: (x[0] + x[1] * size) / took - 1, 2))
    return Network(latency, 1 / per_byte if per_byte else inf)


def jobs_of(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Return by job the records of steps with one thread a worker; jobs that are complete only."""
    jobs: dict[str, list[Record]] = {}
    for record in records:
        alone = record["contender"].endswith("× 1") and "rounds" in record
        if record["section"] == "distributed" and alone:
            jobs.setdefault(record["job"].partition(", batch")[0], []).append(record)
    return {name: found for name, found in jobs.items() if len(found) == 2 * len(BATCHES)}


def measured_of(job: Iterable[Record], held_out: bool) -> list[Measured]:
    """Return a job's measurements: with the batch sizes to fit to, or with those held out."""
    return [
        (record["ranks"], record["batch"], middle(record))
        for record in job
        if (record["batch"] in HELD_OUT) == held_out
    ]


def cost_of(job: Iterable[Record], network: Network) -> StepCost:
    """Return the cost that best explains a job's measurements without those held out."""
    two = [record for record in job if record["ranks"] == 2 and record["batch"] not in HELD_OUT]
    scatter = median(each["waiting"] / each["computing"] for each in two) / slowest(2)
    measured, size = measured_of(job, held_out=False), two[0]["bytes"]

    def cost(x: Any) -> StepCost:
        step, sample, leave, beside = map(float, x)
        return StepCost(step, sample, leave, beside, scatter, size)

    return cost(_fitted(lambda x: errors(cost(x), network, measured), 4))


def errors(cost: StepCost, network: Network, measured: Iterable[Measured]) -> list[float]:
    """Return predicted / measured − 1 for each measurement."""
    return [cost.seconds(n, batch, network) / took - 1 for n, batch, took in measured]


# ---------------- predictions
def best(cost: StepCost, batch: int, network: Network) -> int:
    """Return the number of workers, up to 1000, with the fastest step."""
    return min(range(1, min(1000, batch) + 1), key=lambda n: cost.seconds(n, batch, network))


def pays_until(cost: StepCost, batch: int, network: Network) -> int:
    """Return the largest number of workers, up to 1000, with an efficiency of one half or more."""
    workers = range(1, min(1000, batch) + 1)
    return max(n for n in workers if cost.efficiency(n, batch, network) >= 0.5)


def remedies(cost: StepCost, n: int, batch: int, network: Network) -> dict[str, float]:
    """Return the factor by which each of `REMEDIES` raises the throughput of n workers."""
    plain = cost.throughput(n, batch, network)
    return {
        name: cost.throughput(n, batch, network, **how) / plain for name, how in REMEDIES.items()
    }
