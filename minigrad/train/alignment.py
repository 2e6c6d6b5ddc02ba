"""The start of a training on several ranks: all begin with the state of rank 0."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import GraphError
from ..run.samples import each, take
from .batches import Batches, SampleArrays


def align(trainer: Any, data: SampleArrays | Batches, call: dict[str, Any]) -> None:
    """Give all ranks the state of rank 0, and different dropout masks.

    On all ranks alike, raises `ValueError` where they were called differently or get no sample of a
    full batch, `TypeError` for an iterable, and `GraphError` for a loss that is no mean over the
    samples: shares of it could not be averaged.
    """
    ranks, optimizer = trainer.ranks, trainer.optimizer
    options = {
        f"{i}.{name}": len(x) if name == "params" else x
        for i, group in enumerate(optimizer.param_groups)
        for name, x in group.items()
    }
    about = {
        "data": [each(lambda array: array.shape, some) for some in (data.x, data.y)]
        if isinstance(data, SampleArrays)
        else "an iterable",
        "batch_size": data.batch_size,
        "mode": trainer.mode,
        "dtype": str(trainer.dtype),
        "optimizer": type(optimizer).__name__,
        "lr": optimizer.lr,
        "options": {"max_grad_norm": optimizer.max_grad_norm, **options},
    }
    ranks.check_same({**about, **call})
    if isinstance(data, Batches):
        raise TypeError(
            "Trainer: distributed=True and an iterable of batches; arrays were expected, to be "
            "shared out"
        )
    if data.batch_size < ranks.size:
        raise ValueError(
            f"Trainer: batch_size={data.batch_size} on {ranks.size} ranks; at least one sample "
            f"each was expected"
        )
    trainer.load_state_dict(ranks.broadcast(trainer.state_dict()))
    _check_mean(trainer, data)
    ranks.separate_streams(trainer.model.buffers())


def _check_mean(trainer: Any, data: SampleArrays) -> None:
    """Raise `GraphError` unless the loss on two samples is the mean of the losses on each."""
    if data.length < 2:
        return
    both, *alone = (
        trainer._scores(take(data.x, slice(a, b)), take(data.y, slice(a, b)), {})["loss"]
        for a, b in ((0, 2), (0, 1), (1, 2))
    )
    if np.isfinite(both) and not np.isclose(both, np.mean(alone), rtol=1e-3):
        losses = f"{both:.6g} for two samples, {alone[0]:.6g} and {alone[1]:.6g} for each"
        raise GraphError(
            f"Trainer: distributed=True needs a loss that is the mean over the samples; it "
            f"is {losses}"
        )
