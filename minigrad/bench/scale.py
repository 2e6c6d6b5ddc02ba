"""What a data-parallel training step costs on n workers: a small model, fitted to steps that were
measured.

    seconds = computing + waiting for the slowest + all-reduce

Each worker computes its share of the batch: so many seconds whatever the share, and so many for
each sample. The workers' times scatter, and the slowest is waited for. Then all exchange their
gradients: messages that cost a latency each, and bytes that pass at a bandwidth. `fit_network` and
`fit` find the numbers from one and two workers; with another network's numbers the same formula
tells what a thousand would do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import ceil, inf
from typing import Any

import numpy as np

#: (workers, samples in the whole batch, seconds of a step)
Measured = tuple[int, int, float]
#: the backward pass as a share of the computing: it costs about twice as much as the forward pass
BACKWARD = 2 / 3
#: What could help, as options of `Cost.seconds`. Overlapping is as good as it can be: messages
#: travel during all of the backward pass (Li and others, "PyTorch Distributed", 2020). 1 % of the
#: gradient goes with its places: 1/50 of the bytes (Lin and others, "Deep Gradient Compression",
#: 2018). A batch 8 times as large needs another learning rate, and at some size more epochs (Goyal
#: and others, "Accurate, Large Minibatch SGD", 2017).
REMEDIES: Mapping[str, Mapping[str, float]] = {
    "batch × 8": {"larger": 8},
    "overlapping": {"overlap": BACKWARD},
    "16 bits": {"compression": 2},
    "1 % of the gradient": {"compression": 50},
}


@dataclass(frozen=True)
class Network:
    """What lies between the workers: seconds of `latency` for each message, bytes per second of
    `bandwidth`.
    """

    latency: float
    bandwidth: float

    def all_reduce(self, n: int, size: float) -> float:
        """Seconds until n workers have the sum of their n arrays of `size` bytes, in the fastest of
        three ways.

        Ring: Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms" (2009). Recursive
        doubling (few messages), and halving and doubling (few bytes): Thakur, Rabenseifner and
        Gropp, "Optimization of collective communication operations in MPICH" (2005); where n is no
        power of two, those beyond one give away their array first and get the sum at the end. The
        additions themselves are left out.
        """
        if n == 1:
            return 0.0
        doublings = n.bit_length() - 1
        power, whole = 2**doublings, self.latency + size / self.bandwidth
        beyond = 2 * whole if power < n else 0.0
        ring = 2 * (n - 1) * (self.latency + size / n / self.bandwidth)
        doubling = doublings * whole + beyond
        halving = (
            2 * (doublings * self.latency + (power - 1) / power * size / self.bandwidth) + beyond
        )
        return min(ring, doubling, halving)


#: what the tables and chapter 11 assume: an ordinary cluster's 10 Gbit/s, and 50 µs from a program
#: to another machine's
CLUSTER = Network(latency=50e-6, bandwidth=1.25e9)


@cache
def slowest(n: int) -> float:
    """By how many standard deviations the largest of n normal numbers lies above the mean, on
    average: ∫ x dΦ(x)ⁿ.

    1/√π for two, 3.24 for a thousand (David and Nagaraja, "Order Statistics", third edition 2003,
    chapter 3).
    """
    from scipy.special import ndtr

    x = np.linspace(-8.0, 8.0, 4001)
    return float((x[1:] + x[:-1]) / 2 @ np.diff(ndtr(x) ** n))


@dataclass(frozen=True)
class Cost:
    """What a step of one model costs.

    Seconds: `step`, however small the batch; `sample`, for each sample; `leave`, where there is
    someone to talk to, for then each step has to leave the machine code; `beside`, more for each
    sample where workers share a machine's memory and clock. `scatter` is the standard deviation of
    a worker's computing, as a share of it; `size` the bytes of the gradient.
    """

    step: float
    sample: float
    leave: float
    beside: float
    scatter: float
    size: float

    def apart(self) -> Cost:
        """The same where every worker has a machine of its own."""
        return replace(self, beside=0.0)

    def computing(self, n: int, batch: int) -> float:
        """Seconds that the worker with the largest share computes. Raises `ValueError` for more
        workers than samples.
        """
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

        `overlap`: the share of the computing during which messages may already travel;
        `compression`: the gradient is sent in so many times fewer bytes; `larger`: the batch is so
        many times as large.
        """
        computing = self.computing(n, batch * larger)
        talking = network.all_reduce(n, self.size / compression)
        return computing * (1 + self.scatter * slowest(n)) + max(0.0, talking - overlap * computing)

    def throughput(self, n: int, batch: int, network: Network, **how: Any) -> float:
        """Samples per second; `how` as for `seconds`."""
        return batch * how.get("larger", 1) / self.seconds(n, batch, network, **how)

    def efficiency(self, n: int, batch: int, network: Network) -> float:
        """What is left of n workers: speed-up over one worker by n, 1 at best."""
        return self.seconds(1, batch, network) / (n * self.seconds(n, batch, network))


# ---------------- fitting
def _least_squares(
    rows: Sequence[Sequence[float]], seconds: Sequence[float], known: Sequence[float]
) -> Any:
    """x ≥ 0 with rows · x + known ≈ seconds; errors count relative to the seconds (Lawson and
    Hanson, 1974).

    Raises `ValueError` where the rows do not decide.
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
    """The network through which an all-reduce between two workers took so many seconds for so many
    bytes.
    """
    latency, per_byte = _least_squares(
        [(1, size) for size in sizes], seconds, np.zeros(len(seconds))
    )
    return Network(float(latency), float(1 / per_byte) if per_byte else inf)


def fit(measured: Iterable[Measured], network: Network, scatter: float, size: float) -> Cost:
    """The cost that agrees best with the measurements on one machine: one worker and more, each
    with two batch sizes.
    """
    rows, seconds, known = [], [], []
    for n, batch, took in measured:
        slow, share, several = 1 + scatter * slowest(n), ceil(batch / n), n > 1
        rows.append((slow, slow * share, slow * several, slow * share * several))
        seconds.append(took)
        known.append(network.all_reduce(n, size))
    step, sample, leave, beside = map(float, _least_squares(rows, seconds, known))
    return Cost(step, sample, leave, beside, scatter, size)


def errors(cost: Cost, network: Network, measured: Iterable[Measured]) -> list[float]:
    """predicted / measured − 1 for each measurement."""
    return [cost.seconds(n, batch, network) / took - 1 for n, batch, took in measured]


# ---------------- asking
def best(cost: Cost, batch: int, network: Network, most: int = 1000) -> int:
    """The number of workers, up to `most`, with the fastest step."""
    return min(range(1, min(most, batch) + 1), key=lambda n: cost.seconds(n, batch, network))


def pays_until(
    cost: Cost, batch: int, network: Network, most: int = 1000, least: float = 0.5
) -> int:
    """The largest number of workers, up to `most`, of whose time at least the share `least` is
    used.
    """
    return max(
        n for n in range(1, min(most, batch) + 1) if cost.efficiency(n, batch, network) >= least
    )


def remedies(cost: Cost, n: int, batch: int, network: Network) -> dict[str, float]:
    """How many times as many samples per second each of `REMEDIES` gives n workers."""
    plain = cost.throughput(n, batch, network)
    return {
        name: cost.throughput(n, batch, network, **how) / plain for name, how in REMEDIES.items()
    }


# ---------------- what the benchmark has measured
def network_of(found: Mapping[str, Any]) -> Network:
    """The network of section `distributed`: what lies between two ranks of one machine."""
    return fit_network(found["all_reduce"]["sizes"], found["all_reduce"]["seconds"])


def measured_of(job: Mapping[str, Any], held_out: bool) -> list[Measured]:
    """What was measured of one of its jobs: with the batch sizes to fit to, or with those that were
    held out.
    """
    return [
        (p["ranks"], p["batch"], p["seconds"])
        for p in job["points"]
        if (p["batch"] in job["held_out"]) == held_out
    ]


def cost_of(job: Mapping[str, Any], network: Network) -> Cost:
    """The cost of a job, fitted to the batch sizes that are not held out."""
    return fit(measured_of(job, held_out=False), network, job["scatter"], job["bytes"])
