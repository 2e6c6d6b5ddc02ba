"""The numbers recorded during a training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..checks import one_of


@dataclass
class History:
    """The losses, times and scores of one `fit`.

    `batch_loss` has one number per step, the others one per epoch: `epoch_loss` (mean over the
    samples, as the parameters moved), `epoch_seconds`, and, where validation data was given,
    `validation_loss`, `accuracy` and, by name, the trainer's `metrics` on it. `interrupted` says
    that Ctrl-C ended it early, `stopped` that a callback did.

    >>> history = mg.train.History(epoch_loss=[0.5, 0.25])
    >>> history
    <History of 2 epochs, 0 steps, last loss 0.25>
    """

    batch_loss: list[float] = field(default_factory=list)
    epoch_loss: list[float] = field(default_factory=list)
    epoch_seconds: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    metrics: dict[str, list[float]] = field(default_factory=dict)
    interrupted: bool = False
    stopped: bool = False

    def close_epoch(self, loss: float, seconds: float, scores: dict[str, float] | None) -> None:
        """Record an epoch that is done; `scores` are those of the validation data."""
        self.epoch_loss.append(loss)
        self.epoch_seconds.append(seconds)
        if scores is not None:
            self.validation_loss.append(scores["loss"])
            self.accuracy.append(scores["accuracy"])
            for name, score in scores.items():
                if name not in ("loss", "accuracy"):
                    self.metrics.setdefault(name, []).append(score)

    @property
    def last(self) -> dict[str, float]:
        """The numbers of the last epoch: loss, validation_loss, accuracy, metrics, seconds."""
        lists = {
            "loss": self.epoch_loss,
            "validation_loss": self.validation_loss,
            "accuracy": self.accuracy,
            **self.metrics,
            "seconds": self.epoch_seconds,
        }
        return {name: numbers[-1] for name, numbers in lists.items() if numbers}

    def watched(self, monitor: str) -> float:
        """A number of the last epoch; "loss" is the loss of the validation where there is one.

        Raises `ValueError` for a name that is not in `last`.
        """
        last = self.last
        one_of("History", "monitor", monitor, last)
        return last.get(f"validation_{monitor}", last[monitor])

    def plot(self, title: str = "") -> Any:
        """Loss and accuracy curves as a matplotlib figure."""
        from ..viz import training_curves

        return training_curves({"": self}, title=title)

    def __repr__(self) -> str:
        last = f", last loss {self.epoch_loss[-1]:.4g}" if self.epoch_loss else ""
        return f"<History of {len(self.epoch_loss)} epochs, {len(self.batch_loss)} steps{last}>"
