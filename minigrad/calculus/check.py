"""Is a gradient right? Compare it with the slope that finite differences measure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import checks
from ..graph import settings
from ..graph.autodiff import topological_sort
from ..graph.conversion import Array
from ..graph.node import GraphNode, Variable
from .transforms import array_gradients, called


class GradientError(AssertionError):
    """A gradient that disagrees with central differences; the message shows the worst entry.

    >>> wrong = mg.operator(np.sin, lambda g, y, x: g * np.sin(x), name="wrong")
    >>> try:
    ...     mg.gradcheck(wrong, [0.5])
    ... except mg.GradientError as error:
    ...     print("found")
    found
    """


def gradcheck(
    fn: Callable[..., GraphNode],
    inputs: Sequence[Any],
    *,
    step: float = 1e-6,
    rtol: float = 1e-4,
    atol: float = 1e-7,
    seed: int = 0,
) -> bool:
    """Compare the gradients of `fn(*inputs)` for every input with central differences in float64.

    `inputs` are arrays or nodes of any shape; `fn` may return any shape: it is contracted with a
    fixed random cotangent, because a cotangent of ones hides errors that cancel (in a softmax,
    say). Each entry of each input is moved by `step` times max(1, |x|) both ways. Returns True, or
    raises `GradientError` that names the worst entry, its gradient and its slope. An error of 0.1 %
    in a gradient is found. Meanwhile buffers stay as they are, and a dropout layer draws the same
    mask every time.

    >>> mg.gradcheck(lambda x: mg.sin(x) * x, [np.array([0.5, 2.0])])
    True
    """
    checks.number("gradcheck", "> 0", lambda x: x > 0, step=step)
    with settings.default_dtype(np.float64), settings.state_kept():
        xs, y = called("gradcheck", fn, inputs, np.float64)
        cotangent = np.random.default_rng(seed).uniform(0.5, 1.5, y.shape)
        grads = array_gradients(topological_sort(y), cotangent, xs)
        for i, (x, grad) in enumerate(zip(xs, grads, strict=True)):
            slopes = _slopes(lambda: float((fn(*xs).value * cotangent).sum()), x, step)
            scale = max(1.0, float(np.abs(slopes).max(initial=0)))
            excess = np.abs(grad - slopes) - (atol * scale + rtol * np.abs(slopes))
            wrong = ~(excess <= 0)  # also where either is NaN
            if wrong.any():
                worst = np.unravel_index(excess.argmax(), excess.shape)  # NaN is the largest
                where = f"[{', '.join(map(str, worst))}]" if worst else ""
                raise GradientError(
                    f"gradcheck: input {i}{where}: gradient {grad[worst]:.8g}, central difference "
                    f"{slopes[worst]:.8g} ({wrong.sum()} of {wrong.size} entries are wrong)"
                )
    return True


def _slopes(total: Callable[[], float], x: Variable, step: float) -> Array:
    slopes = np.empty(x.shape)
    for i in np.ndindex(x.shape):
        kept = float(x.value[i])
        h = step * max(1.0, abs(kept))
        x.value[i] = kept + h
        above = total()
        x.value[i] = kept - h
        slopes[i] = (above - total()) / (2 * h)
        x.value[i] = kept
    return slopes
