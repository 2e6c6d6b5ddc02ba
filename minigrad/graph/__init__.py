"""The computation graph: nodes, rules and automatic differentiation. No mathematics is here."""

import numpy as np

from .autodiff import backward, forward, topological_sort
from .node import Constant, GraphNode, Variable
from .rule import BroadcastedOperator, Operator, ScalarOperator
from .settings import default_dtype, no_grad

__all__ = [
    "BroadcastedOperator",
    "Constant",
    "GraphNode",
    "Operator",
    "ScalarOperator",
    "Variable",
    "backward",
    "default_dtype",
    "forward",
    "no_grad",
    "topological_sort",
]

# glibc gives freed memory back to the system once there is more of it, at the top of the heap, than
# twice the largest block that it has seen freed, and maps larger blocks anew ("dynamic mmap
# threshold", mallopt(3)). The arrays of the next training step then cost a page fault each, which
# made an eager step of a small CNN four times slower. Freeing one block just below the limit of
# 32 MiB moves both thresholds for good. The block is never touched, so it costs no memory; with
# another C library nothing happens.
np.empty(31 << 20, np.uint8)
