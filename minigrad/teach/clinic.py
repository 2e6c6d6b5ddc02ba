"""The patients of the chapter "The clinic", whose diseases the chapter must not give away."""

from __future__ import annotations

from collections.abc import Callable

from .. import ops
from ..graph.node import GraphNode
from ..nn import Linear, Module, ReLU, Sequential, Sigmoid, Tanh, init


def layers(activation: Callable[[], Module], depth: int) -> Sequential:
    """Points (N, 2) to one number: hidden layers of 16, always with the same initial weights."""
    init.manual_seed(0)
    hidden = [part for k in range(depth) for part in (Linear(16 if k else 2, 16), activation())]
    return Sequential(*hidden, Linear(16, 1))


class Log(Module):
    """The logarithm as a layer."""

    def forward(self, x: GraphNode) -> GraphNode:
        return ops.log(x)


def patients() -> dict[str, tuple[Module, float]]:
    """Five networks that are ill, and the factor by which each one's input points are scaled."""
    wild, mute = layers(ReLU, 5), layers(ReLU, 3)
    for parameter in wild.parameters():
        parameter.value *= 6
    dict(mute.named_parameters())["2.bias"].value[:] = -10
    return {
        "A": (layers(Tanh, 3), 255.0),
        "B": (wild, 1.0),
        "C": (layers(Log, 1), 1.0),
        "D": (layers(Sigmoid, 5), 1.0),
        "E": (mute, 1.0),
    }
