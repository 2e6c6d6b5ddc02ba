"""The numbers recorded during a training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class History:
    """The losses, times and scores of one `fit`.

    `batch_loss` has one number per step, the others one per epoch: `epoch_loss` (mean over the
    samples, as the parameters moved), `epoch_seconds`, and, where validation data was given,
    `validation_loss` and `accuracy` on it. `interrupted` says that Ctrl-C ended it early.

    >>> history = mg.train.History(epoch_loss=[0.5, 0.25])
    >>> history
    <History of 2 epochs, 0 steps, last loss 0.25>
    """

    batch_loss: list[float] = field(default_factory=list)
    epoch_loss: list[float] = field(default_factory=list)
    epoch_seconds: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    interrupted: bool = False

    def close_epoch(self, loss: float, seconds: float, scores: dict[str, float] | None) -> None:
        """Record an epoch that is done; `scores` are those of the validation data."""
        self.epoch_loss.append(loss)
        self.epoch_seconds.append(seconds)
        if scores is not None:
            self.validation_loss.append(scores["loss"])
            self.accuracy.append(scores["accuracy"])

    def plot(self, title: str = "") -> Any:
        """Loss and accuracy curves as a matplotlib figure."""
        from ..viz import training_curves

        return training_curves({"": self}, title=title)

    def __repr__(self) -> str:
        last = f", last loss {self.epoch_loss[-1]:.4g}" if self.epoch_loss else ""
        return f"<History of {len(self.epoch_loss)} epochs, {len(self.batch_loss)} steps{last}>"
