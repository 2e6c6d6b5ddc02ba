"""Words in which rules declare how the samples of a batch keep apart (`run/batch.py` reads them).

A rule may declare

* `batch_axes`: samples that lie along one of the first so many axes of the first input lie along
  the same axis of the result (a number as in `axes[:n]`, or a method of the node);
* or `batch_axis(node, axes)`: along which axis of the result the samples lie, from where they lie
  in each input (None: nowhere, which is not so for all of them; `MEAN`: it is a mean over samples).
  It raises `NotSeparable` where the result for a sample depends on other samples of the batch.
"""

from collections.abc import Sequence

Axes = Sequence[int | None]
MEAN = -1


class NotSeparable(Exception):
    """The result for a sample depends on other samples of the batch."""
