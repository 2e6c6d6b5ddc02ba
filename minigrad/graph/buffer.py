"""Buffers: numbers without a gradient that change as a graph runs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from .node import Constant, Operator


class Buffer(Constant):
    """Numbers without a gradient that are part of a model's state: running statistics, a mask, a
    table of positions.

    It is made, used and fed like a `Constant`; a `Module` finds it among its attributes and saves
    it, and a rule that has it as an attribute of its node may change it whenever it runs (within
    `settings.state_kept` it must not). `persistent=False` leaves it out of `state_dict()`, as in
    PyTorch.
    """

    __slots__ = ("persistent",)

    def __init__(
        self, value: Any, name: str | None = None, dtype: Any = None, *, persistent: bool = True
    ) -> None:
        super().__init__(value, name, dtype)
        self.persistent = persistent

    def changes(self, leaves: Collection[Any]) -> bool:
        return True  # whatever runs may change it


def state_of(node: Operator) -> dict[str, Buffer]:
    """The buffers among a node's attributes, by name."""
    return {name: value for name, value in node.attributes.items() if isinstance(value, Buffer)}
