"""The floor: the time that no program could beat on this machine, from counted work and measured
ceilings.

Work is what cannot be left out: the operations of forward and backward pass as each rule counts
them, and the bytes of the batch, the parameters and the optimiser's memory, read and written once.
What could stay in registers counts nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..graph.autodiff import topological_sort
from ..graph.node import GraphNode
from ..graph.rule import Operator
from ..ops.kernel import flops, moved_bytes


def backward_flops(node: Operator) -> int:
    """Operations that bring a gradient through a node: its own once more for each operand that gets
    one.

    A recurrent layer's is brought through the states in any case, to the samples only if they want
    one.
    """
    own = flops(node)
    if hasattr(node.rule, "cell"):
        width, hidden = node.inputs[0].shape[-1], node.shape[-1]
        through = hidden + (width if node.inputs[0].requires_grad else 0)
        return own + own * through // (width + hidden)
    return own * sum(x.requires_grad for x in node.inputs[:2])


def backward_bytes(node: Operator) -> int:
    """Bytes that bring a gradient through a node: it is read, those of the inputs are written;
    values are read where a gradient needs them, which is so for products.
    """
    wanted = [x._data.nbytes for x in node.inputs if x.requires_grad]
    values = sum(x._data.nbytes for x in node.inputs) if len(wanted) > 1 else 0
    return int(node._data.nbytes + sum(wanted) + values)


def work_of_kernel(order: Sequence[Operator], way: str) -> dict[str, int]:
    """Operations and bytes of the operators of a graph; `way` is "forward" or "backward"."""
    if way == "forward":
        return {
            "flops": sum(flops(n) for n in order),
            "bytes": sum(moved_bytes(n) for n in order),
        }
    return {"flops": sum(map(backward_flops, order)), "bytes": sum(map(backward_bytes, order))}


def work_of(head: GraphNode, samples: int, optimizer: Any) -> dict[str, int]:
    """Operations and bytes of one training step that ends in `head`, on `samples` bytes of
    samples.
    """
    order = [node for node in topological_sort(head) if isinstance(node, Operator)]
    total = sum(flops(node) + backward_flops(node) for node in order)
    state = (1 + len(optimizer.memory)) * sum(p._data.nbytes for p in optimizer.params)
    return {"flops": total, "bytes": samples + 2 * state}


def bandwidth(ceilings: Mapping[str, Any], size: int) -> float:
    """Bytes per second at most, for work that touches `size` bytes: the best measured for that many
    or more.
    """
    enough = [rate for measured, rate in ceilings["bandwidth"] if measured >= size]
    return float(max(enough) if enough else ceilings["bandwidth"][-1][1])


def floor(work: Mapping[str, int], ceilings: Mapping[str, Any]) -> float:
    """Seconds: whichever takes longer, the operations or the bytes."""
    return max(
        work["flops"] / ceilings["flops"], work["bytes"] / bandwidth(ceilings, work["bytes"])
    )
