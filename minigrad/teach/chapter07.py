"""The exercises of chapter 7, A CNN on MNIST."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from .checking import answer, exercise, expect

answer(
    "7/parameters",
    32 * (8 * 5 * 5 + 1),
    "One filter: 8 sheets of 5 × 5 weights, and a bias. Now 32 of them.",
    {
        6400: "Each of the 32 output channels has a bias, too.",
        832: "A filter has a 5 × 5 sheet for each of the 8 input channels.",
        800: "A filter has a 5 × 5 sheet for each of the 8 input channels, and a bias.",
        208: "That is the first convolution, of one channel into 8.",
    },
    rtol=0,
)


@exercise("7/rows")
def _rows(given: Any) -> str | None:
    cases = {
        (28, 5, 1, 0, 1): "without any options a kernel of k rows has n - k + 1 places.",
        (28, 3, 1, 1, 1): "p rows of zeros are added above and p below.",
        (28, 3, 2, 0, 1): "the kernel's first place is 0, then s, 2 s, …; it makes a last step "
        "only if it fits in whole.",
        (28, 3, 1, 0, 2): "a kernel of k rows with dilation d covers d · (k - 1) + 1 rows.",
        (17, 4, 3, 2, 2): "each option alone is right, all together are not: first pad, then "
        "cover, then step.",
    }
    for (n, k, s, p, d), hint in cases.items():
        image, kernel = np.ones((1, 1, n, n)), np.ones((1, 1, k, k))
        expected = ops.conv2d(image, kernel, stride=s, padding=p, dilation=d).shape[2]
        told = expect(given(n, k, s, p, d), expected, hint, rtol=0)
        if told is not None:
            return f"rows(n={n}, k={k}, s={s}, p={p}, d={d}) should be {expected}: {told}"
    return None
