"""The state of a training: how far it has come, and everything that a checkpoint holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import GraphError, ShapeError
from ..graph.conversion import Array
from ..graph.node import Buffer
from ..nn import Module
from ..nn.module import load_leaves
from ..ops.random import stream_of
from ..optim import Optimizer
from ..optim.lr_scheduler import LRScheduler

_WORD = (1 << 64) - 1
#: streams that a module makes when it first draws (`ops/random.py`), so that a model may lack those
#: of a file; of those that the file lacks, nothing had been drawn yet
_DRAWN = re.compile(r"buffers\.(.*?)\.?(_stream_\d+)")


class TrainingState:
    """The progress of `Trainer.fit`, from which another call resumes.

    `epoch` epochs are done, and `batch` batches of the next one, whose losses add up to `total`
    over their `seen` samples; `epochs` are planned in all. The shuffling generator is kept as it
    was when that epoch began: it starts from `seed`, or, without one, goes on where it was in the
    state `before`; the first one starts from 0. An epoch has `length` samples in batches of
    `batch_size`; for an iterable of batches, `length` is the number of batches and `batch_size` is
    0. Both are 0 before training.
    """

    def __init__(self, seed: int | None = None, before: TrainingState | None = None) -> None:
        if not isinstance(seed, int | np.integer | None) or (seed is not None and seed < 0):
            kind = ValueError if isinstance(seed, int | np.integer) else TypeError
            raise kind(f"Trainer: seed={seed!r}; an integer ≥ 0 or None was expected")
        self.epoch = self.batch = self.seen = self.length = self.batch_size = self.epochs = 0
        self.total = 0.0
        self._generator: Any = np.random.PCG64(seed or 0).state
        if before is not None and seed is None:
            self._generator = before._next_generator
        self._next_generator: Any = self._generator

    def enter(self, length: int, batch_size: int) -> None:
        """Set the size of an epoch; `ShapeError` if an interrupted epoch had other batches."""
        if self.batch and (length, batch_size) != (self.length, self.batch_size):
            raise ShapeError(
                f"Trainer: resume=True within an epoch over "
                f"{_batches(self.length, self.batch_size)}; "
                f"the data is {_batches(length, batch_size)}"
            )
        self.length, self.batch_size = length, batch_size

    def order(self, shuffle: bool) -> Array:
        """The order of the samples in the present epoch, the same at each call."""
        self._next_generator = self._generator
        if not shuffle:
            return np.arange(self.length)
        bits = np.random.PCG64(0)
        bits.state = self._generator
        order = np.random.Generator(bits).permutation(self.length)
        self._next_generator = bits.state
        return order

    def record(self, losses: list[float], samples: int) -> None:
        """Count steps that were made, each on this many samples."""
        for loss in losses:  # one by one, so that the sum does not depend on how they are grouped
            self.total += loss * samples
        self.batch += len(losses)
        self.seen += len(losses) * samples

    def end_epoch(self) -> None:
        """Count the present epoch as done."""
        self.epoch += 1
        self.batch = self.seen = 0
        self.total, self._generator = 0.0, self._next_generator

    # ---------------- in a checkpoint
    def state_dict(self) -> dict[str, Array]:
        """Everything as arrays by name."""
        bits, inner = self._generator, self._generator["state"]
        words = [word for n in (inner["state"], inner["inc"]) for word in (n >> 64, n & _WORD)]
        words += [bits["has_uint32"], bits["uinteger"]]
        done = [self.epoch, self.batch, self.seen, self.length, self.batch_size]
        return {
            "done": np.array(done, np.int64),
            "total": np.array([self.total]),
            "generator": np.array(words, np.uint64),
        }

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Array]) -> TrainingState:
        """The training state that `state_dict` described. Raises `GraphError` for other arrays."""
        made = cls()
        kinds, expected = (
            {name: (array.shape, array.dtype) for name, array in arrays.items()}
            for arrays in (state, made.state_dict())
        )
        if kinds != expected or (state["done"] < 0).any():
            raise GraphError(
                "Trainer: the file holds no valid training state (done, total, generator)"
            )
        made.epoch, made.batch, made.seen, made.length, made.batch_size = map(int, state["done"])
        made.total = float(state["total"][0])
        high, low, inc_high, inc_low, has_uint32, uinteger = map(int, state["generator"])
        made._generator = made._next_generator = {
            "bit_generator": "PCG64",
            "state": {"state": high << 64 | low, "inc": inc_high << 64 | inc_low},
            "has_uint32": has_uint32,
            "uinteger": uinteger,
        }
        return made


def _batches(length: int, batch_size: int) -> str:
    if batch_size:
        return f"{length} samples in batches of {batch_size}"
    return f"{length} batches of an iterable"


# ---------------- everything that a checkpoint holds
def collect(
    model: Module, optimizer: Optimizer, state: TrainingState, scheduler: LRScheduler | None
) -> dict[str, Array]:
    """Copies of all numbers of a training as arrays by name."""
    parts = {
        "model.": model.state_dict(),
        "optimizer.": optimizer.state_dict(),
        "scheduler.": scheduler.state_dict() if scheduler else {},
        "buffers.": {name: buffer.value.copy() for name, buffer in _streams(model).items()},
        "course.": state.state_dict(),  # the name in files since the first edition
    }
    return {part + name: array for part, arrays in parts.items() for name, array in arrays.items()}


def restore(
    model: Module, optimizer: Optimizer, scheduler: LRScheduler | None, arrays: Mapping[str, Array]
) -> TrainingState:
    """Load what `collect` returned; returns the training state.

    Raises `GraphError`, `ShapeError` or `DTypeError` where something differs; nothing is changed
    then.
    """
    before = collect(model, optimizer, TrainingState(), scheduler)
    modules = dict(model.named_modules())
    found = {name: _DRAWN.fullmatch(name) for name in set(arrays) ^ set(before)}
    streams = {name: (modules[m[1]], m[2]) for name, m in found.items() if m and m[1] in modules}
    begun = {name: before[name] * (1, 0) for name in streams if name in before}
    arrays, made = {**arrays, **begun}, [streams[name] for name in streams if name not in before]
    if differing := sorted(found.keys() - streams.keys()):
        more = f" and {len(differing) - 5} more" if len(differing) > 5 else ""
        raise GraphError(
            f"Trainer: the state is of another trainer; differing: {', '.join(differing[:5])}{more}"
        )
    state = TrainingState.from_state_dict(_part(arrays, "course."))

    def put(held: Mapping[str, Array]) -> None:
        model.load_state_dict(_part(held, "model."))
        load_leaves(type(model).__name__, _streams(model), _part(held, "buffers."))
        optimizer.load_state_dict(_part(held, "optimizer."))
        if scheduler:
            scheduler.load_state_dict(_part(held, "scheduler."))

    try:
        for module, name in made:
            setattr(module, name, stream_of(0))
        put(arrays)
    except Exception:
        for module, name in made:
            delattr(module, name)
        put(before)
        raise
    return state


def _part(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def _streams(model: Module) -> dict[str, Buffer]:
    """Buffers of the training, not of the model: positions in random streams."""
    return {name: buffer for name, buffer in model.named_buffers() if not buffer.persistent}
