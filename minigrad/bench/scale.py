"""A small model of what a data-parallel training step costs on n workers, fitted to measurements.

    seconds = computing + waiting for the slowest + all-reduce

Each worker computes its share of the batch, at a cost per step and a cost per sample. The workers'
times scatter, and all wait for the slowest. Then they exchange their gradients: each message costs
a latency, and its bytes pass at a bandwidth. `fit_network` and `fit` find these numbers from one
and two workers; with the numbers of another network, the same formula predicts a thousand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import ceil, inf
from typing import Any

import numpy as np

Found = dict[str, Any]
#: (workers, samples in the whole batch, seconds of a step)
Measured = tuple[int, int, float]
#: the backward pass as a share of the computing: it costs about twice as much as the forward pass
BACKWARD = 2 / 3
#: What could help, as options of `StepCost.seconds`. Overlapping is at its best: messages travel
#: during the whole backward pass (Li et al., "PyTorch Distributed", 2020). 1 % of the gradient is
#: sent with indices: 1/50 of the bytes (Lin et al., "Deep Gradient Compression", 2018). A batch 8
#: times as large needs another learning rate, and at some size more epochs (Goyal et al.,
#: "Accurate, Large Minibatch SGD", 2017).
REMEDIES: Mapping[str, Mapping[str, float]] = {
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
        if n == 1:
            return 0.0
        doublings = n.bit_length() - 1
        power, whole = 1 << doublings, self.latency + size / self.bandwidth
        beyond = 2 * whole if power < n else 0.0
        ring = 2 * (n - 1) * (self.latency + size / n / self.bandwidth)
        doubling = doublings * whole + beyond
        halving = (
            2 * (doublings * self.latency + (power - 1) / power * size / self.bandwidth) + beyond
        )
        return min(ring, doubling, halving)


#: the tables and chapter 11 assume an ordinary cluster: 10 Gbit/s, and 50 µs between two programs
CLUSTER = Network(latency=50e-6, bandwidth=1.25e9)


@cache
def slowest(n: int) -> float:
    """The expected largest of n standard normal numbers: ∫ x dΦ(x)ⁿ.

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

    def computing(self, n: int, batch: int) -> float:
        """Seconds of the worker with the largest share; `ValueError` if workers exceed samples."""
        if not 1 <= n <= batch:
            raise ValueError(
                f"cost: {n} workers and a batch of {batch}; from 1 to {batch} workers were expected"
            )
        share, several = ceil(batch / n), n > 1
        return self.step + self.sample * share + (self.leave + self.beside * share) * several

    def seconds(
        self,
        n: int,
        batch: int,
        network: Network,
        *,
        overlap: float = 0.0,
        compression: float = 1.0,
        larger: int = 1,
    ) -> float:
        """Seconds of a step with n workers.

        Parameters
        ----------
        overlap : share of the computing during which messages may already travel
        compression : factor by which fewer bytes are sent
        larger : factor by which the batch is larger
        """
        computing = self.computing(n, batch * larger)
        talking = network.all_reduce(n, self.size / compression)
        return computing * (1 + self.scatter * slowest(n)) + max(0.0, talking - overlap * computing)

    def throughput(self, n: int, batch: int, network: Network, **how: Any) -> float:
        """Samples per second; `how` as for `seconds`."""
        return float(batch * how.get("larger", 1) / self.seconds(n, batch, network, **how))

    def efficiency(self, n: int, batch: int, network: Network) -> float:
        """The speed-up over one worker, divided by n: 1 at best."""
        return self.seconds(1, batch, network) / (n * self.seconds(n, batch, network))


# ---------------- fitting
def _least_squares(
    rows: Sequence[Sequence[float]], seconds: Sequence[float], known: Sequence[float]
) -> Any:
    """x ≥ 0 with rows · x + known ≈ seconds, by relative errors (Lawson and Hanson, 1974).

    Raises `ValueError` where the rows do not determine x.
    """
    from scipy.optimize import nnls

    a, t = np.array(rows, float), np.array(seconds, float)
    widths = np.abs(a).max(0) if len(a) else a
    if not len(a) or not widths.all() or np.linalg.matrix_rank(a / widths) < a.shape[1]:
        raise ValueError(
            f"cost: {len(a)} measurements do not decide the costs; other sizes were expected, too"
        )
    return nnls(a / widths / t[:, None], 1 - np.array(known, float) / t)[0] / widths


def fit_network(sizes: Sequence[float], seconds: Sequence[float]) -> Network:
    """The network that explains the seconds of all-reduces between two workers, by their bytes."""
    latency, per_byte = _least_squares([(1, n) for n in sizes], seconds, [0.0] * len(sizes))
    return Network(float(latency), float(1 / per_byte) if per_byte else inf)


def fit(measured: Iterable[Measured], network: Network, scatter: float, size: float) -> StepCost:
    """The cost that best explains measurements on one machine.

    They must be of one worker and of several, each with two batch sizes at least.
    """
    rows, seconds, known = [], [], []
    for n, batch, took in measured:
        slow, share, several = 1 + scatter * slowest(n), ceil(batch / n), n > 1
        rows.append((slow, slow * share, slow * several, slow * share * several))
        seconds.append(took)
        known.append(network.all_reduce(n, size))
    step, sample, leave, beside = map(float, _least_squares(rows, seconds, known))
    return StepCost(step, sample, leave, beside, scatter, size)


def errors(cost: StepCost, network: Network, measured: Iterable[Measured]) -> list[float]:
    """predicted / measured − 1 for each measurement."""
    return [cost.seconds(n, batch, network) / took - 1 for n, batch, took in measured]


# ---------------- asking
def best(cost: StepCost, batch: int, network: Network, most: int = 1000) -> int:
    """The number of workers, up to `most`, with the fastest step."""
    return min(range(1, min(most, batch) + 1), key=lambda n: cost.seconds(n, batch, network))


def pays_until(
    cost: StepCost, batch: int, network: Network, most: int = 1000, least: float = 0.5
) -> int:
    """The largest number of workers, up to `most`, with an efficiency of at least `least`."""
    return max(
        n for n in range(1, min(most, batch) + 1) if cost.efficiency(n, batch, network) >= least
    )


def remedies(cost: StepCost, n: int, batch: int, network: Network) -> dict[str, float]:
    """The factor by which each of `REMEDIES` raises the throughput of n workers."""
    plain = cost.throughput(n, batch, network)
    return {
        name: cost.throughput(n, batch, network, **how) / plain for name, how in REMEDIES.items()
    }


# ---------------- what the benchmark has measured
def network_of(found: Found) -> Network:
    """The network between two ranks of one machine, from section `distributed`."""
    return fit_network(found["all_reduce"]["sizes"], found["all_reduce"]["seconds"])


def measured_of(job: Found, held_out: bool) -> list[Measured]:
    """One job's measurements: of the batch sizes to fit to, or of those held out."""
    return [
        (p["ranks"], p["batch"], p["seconds"])
        for p in job["points"]
        if (p["batch"] in job["held_out"]) == held_out
    ]


def cost_of(job: Found, network: Network) -> StepCost:
    """The cost of a job, fitted to the batch sizes that are not held out."""
    return fit(measured_of(job, held_out=False), network, job["scatter"], job["bytes"])
