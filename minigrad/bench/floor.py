"""The floor: the shortest possible time on this machine, from counted work and measured ceilings.

Work is what cannot be left out: the operations of forward and backward pass as each rule counts
them, and the bytes of the batch, the parameters and the optimiser's state, read and written once.
What could stay in registers is not counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..graph.autodiff import topological_sort
from ..graph.node import GraphNode
from ..graph.rule import Operator
from ..ops.kernel import flops, moved_bytes
from ..ops.recurrent import Recurrent


def backward_flops(node: Operator) -> int:
    """Operations of a node's backward pass: the forward pass's for each operand with a gradient.

    A recurrent layer's gradient passes through the states in any case, to the samples only if they
    need one.
    """
    own = flops(node)
    if isinstance(node.rule, Recurrent):
        width, hidden = node.inputs[0].shape[-1], node.shape[-1]
        through = hidden + (width if node.inputs[0].requires_grad else 0)
        return own + own * through // (width + hidden)
    return own * sum(x.requires_grad for x in node.inputs[:2])


def backward_bytes(node: Operator) -> int:
    """Bytes of a node's backward pass: its gradient, its operands', and the values of products."""
    wanted = [x._data.nbytes for x in node.inputs if x.requires_grad]
    values = sum(x._data.nbytes for x in node.inputs) if len(wanted) > 1 else 0
    return int(node._data.nbytes + sum(wanted) + values)


def work_of_pass(head: GraphNode, direction: str) -> dict[str, int]:
    """Operations and bytes of the graph that ends in `head`, "forward" or "backward"."""
    order = [node for node in topological_sort(head) if isinstance(node, Operator)]
    back = direction == "backward"
    count, size = (backward_flops, backward_bytes) if back else (flops, moved_bytes)
    return {"flops": sum(map(count, order)), "bytes": sum(map(size, order))}


def work_of_step(loss: GraphNode, samples: int, optimizer: Any) -> dict[str, int]:
    """Operations and bytes of a training step that ends in `loss`, on `samples` bytes of data."""
    flops = sum(work_of_pass(loss, direction)["flops"] for direction in ("forward", "backward"))
    state = (1 + len(optimizer.memory)) * sum(p._data.nbytes for p in optimizer.params)
    return {"flops": flops, "bytes": samples + 2 * state}


def bandwidth(ceilings: Mapping[str, Any], size: int) -> float:
    """The most bytes per second for work on `size` bytes: the best measured for as many or more."""
    enough = [rate for measured, rate in ceilings["bandwidth"] if measured >= size]
    return float(max(enough, default=ceilings["bandwidth"][-1][1]))


def floor(work: Mapping[str, int], ceilings: Mapping[str, Any]) -> float:
    """Seconds: whichever takes longer, the operations or the bytes."""
    computing = work["flops"] / float(ceilings["flops"])
    return max(computing, work["bytes"] / bandwidth(ceilings, work["bytes"]))
