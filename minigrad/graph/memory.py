"""Freed memory, kept for whoever wants it next."""

from __future__ import annotations

import numpy as np


def keep_freed_memory() -> None:
    """Let the C library keep what one training step frees for the next one.

    glibc returns freed memory to the system once there is more of it, at the top of the heap, than
    twice the largest block that it has seen freed, and maps larger blocks anew each time ("dynamic
    mmap threshold", mallopt(3)). The pages of the next step's arrays then come back one fault at a
    time, which made an eager step of a small CNN four times slower. Freeing one block just below
    the limit of 32 MiB moves both thresholds for good. The block is never touched, so it costs no
    memory; with another C library nothing happens.
    """
    np.empty(31 << 20, np.uint8)
