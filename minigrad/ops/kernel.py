"""Calls of kernels by operators, and what rules declare about cost and memory.

A rule may declare

* `flops`: floating-point operations of one forward pass, as a method of the node or as a number for
  each entry of the first input; counted as in papers, a multiply-add is two;
* `bytes(node)`: bytes that one forward pass reads and writes;
* `is_small(node)`: is the work too small to be worth threading?
* `kernel_info(node)`: what its kernel knows about the last pass, by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from .. import kernels
from ..errors import GraphError
from ..graph.conversion import Array
from ..graph.hooks import read_only
from ..graph.node import GraphNode
from ..graph.rule import Operator

SMALL = 250_000  # numbers that one thread goes through before another one is awake

_serial: ContextVar[bool] = ContextVar("serial", default=False)


@contextmanager
def without_threads() -> Iterator[None]:
    """Within the block, operators call their kernels without threads."""
    before = _serial.get()
    try:
        _serial.set(True)
        yield
    finally:
        _serial.set(before)


def launch(node: Operator, kernel: Callable[..., Any], *args: Any) -> None:
    """Call a kernel for a node, without threads where they are not worth waking up.

    The nodes of a compiled run have a method `record`, which records the call instead.
    """
    if record := getattr(node, "record", None):
        record(kernel, *args)
    elif isinstance(kernel, kernels.jit.ThreadedKernel) and (_serial.get() or is_small(node)):
        kernels.jit.serial(kernel)(*args)
    else:
        kernel(*args)


def constant(node: Operator, name: str, values: Array, each: int = 0) -> Array:
    """Numbers for a kernel that never change, which a compiled run stores once.

    Where the batch is split, and samples lie along the node's first axis, part k gets k · `each`
    more.
    """
    store = getattr(node, "store", None)
    return values if store is None else store(name, values, each)


def batch_parts(node: Operator) -> int:
    """Into how many parts a compiled step splits the batch, of which a node sees one."""
    return int(getattr(node, "parts", 1))


def sum_over_parts(node: Operator, array: Array) -> None:
    """Add up the numbers of an array over all parts of the batch, if it is split.

    A rule whose samples meet so, and nowhere else, says so: its method `samples_meet(node)`.
    """
    if record := getattr(node, "record_sum", None):
        record(array)


def shards(node: Operator, items: int) -> int:
    """Into how many shards to cut the work on `items` pieces."""
    return 1 if is_small(node) else kernels.jit.threads(items)


def in_parts(node: Operator, name: str, grad: Array | None, count: int) -> Array | None:
    """Memory for a gradient in parts, one per shard; a single part is the gradient itself."""
    if grad is None or count == 1:
        return None if grad is None else grad[None]
    return node.buffer(name, (count, *grad.shape), grad.dtype)


def add_parts(parts: Iterable[Array | None], grads: Iterable[Array | None]) -> None:
    """Write the sums of gradients in parts into the gradients."""
    for sums, grad in zip(parts, grads, strict=True):
        if sums is not None and grad is not None and len(sums) > 1:
            np.sum(sums, axis=0, out=grad)


def is_small(node: Operator) -> bool:
    """Is the work done before another thread would be awake?

    Waking one takes about 0.1 ms, in which one thread computes 10 Mflop or goes through `SMALL`
    numbers. Asked before there is a result, so `flops` of a rule with threads does without it.
    """
    if declared := getattr(node.rule, "is_small", None):
        return bool(declared(node))
    return flops(node) < 10_000_000 and sum([x._data.size for x in node.inputs]) < SMALL


def flops(node: Operator) -> int:
    """Floating-point operations of one forward pass; by default one per entry of the result."""
    declared = getattr(node.rule, "flops", None)
    if declared is None:
        return node.size
    return int(declared(node) if callable(declared) else declared * node.inputs[0].size)


def moved_bytes(node: Operator) -> int:
    """Bytes that one forward pass moves; by default each input once, and the result."""
    if declared := getattr(node.rule, "bytes", None):
        return int(declared(node))
    arrays = {id(x): x._data for x in node.inputs}
    return node._data.nbytes + sum(array.nbytes for array in arrays.values())


def kernel_info(node: GraphNode) -> dict[str, Any]:
    """What is known about an operator's last pass, by name.

    Always `flops` and `bytes`; some kernels know more: the winners of pooling, hidden states and
    their gradients, the share that dropout kept. Arrays are read-only, and some are overwritten by
    the next pass: copy what is to last. Raises `GraphError` for a leaf.

    >>> y = mg.max_pool1d([[[1.0, 4.0, 2.0, 3.0]]], 2)
    >>> mg.kernel_info(y)["winners"].ravel().tolist()
    [1, 3]
    """
    if not isinstance(node, Operator):
        raise GraphError(f"kernel_info: {node.brief} is not computed; an operator was expected")
    declared = getattr(node.rule, "kernel_info", None)
    found = {"flops": flops(node), "bytes": moved_bytes(node)} | (
        declared(node) if declared else {}
    )
    return {
        name: read_only(value) if isinstance(value, np.ndarray) else value
        for name, value in found.items()
    }
