"""The graphs that the drawing tests look at."""

from __future__ import annotations

import numpy as np

import minigrad as mg
from minigrad.graph.node import GraphNode
from minigrad.graph.settings import inside


def sine() -> GraphNode:
    x = mg.Variable(2.0, name="x")
    y = mg.sin(x**2)
    y.backward()
    return y


def neuron() -> GraphNode:
    x, target = mg.Constant([1.0, 2.0], name="x"), mg.Constant([1.3], name="target")
    W, b = mg.Variable([[0.5, -1.0]], name="W"), mg.Variable([0.2], name="b")
    loss = mg.mean((mg.relu(W @ x + b) - target) ** 2)
    loss.backward()
    return loss


def shared() -> GraphNode:
    x = mg.Variable(0.5, name="x")
    y = x * x + mg.exp(x) * mg.sin(x)
    y.backward()
    return y


def broken() -> GraphNode:
    x, w = mg.Variable([-1.0, 2.0, 0.0], name="x"), mg.Variable([1e-9, 1.0, 2.0], name="w")
    with np.errstate(all="ignore"):
        y = mg.sum(mg.log(mg.relu(x * w)) + x)
        y.backward()
    return y


class Layer:
    """What drawings ask of a module, and no more: parameters by name, and inner modules by name."""

    def __init__(self, **parts: object) -> None:
        vars(self).update(parts)

    def named_modules(self, prefix: str = "") -> list[tuple[str, Layer]]:
        inner = [(name, part) for name, part in vars(self).items() if isinstance(part, Layer)]
        return [
            (prefix, self),
            *(pair for name, part in inner for pair in part.named_modules(f"{prefix}{name}")),
        ]

    def named_parameters(self) -> list[tuple[str, mg.Variable]]:
        modules = self.named_modules()
        return [
            (f"{way}.{name}", part)
            for way, module in modules
            for name, part in vars(module).items()
            if isinstance(part, mg.Variable)
        ]

    def parameters(self) -> list[mg.Variable]:
        return [parameter for _, parameter in self.named_parameters()]


class Dense(Layer):
    def __call__(self, x: GraphNode) -> GraphNode:
        with inside(self):
            return x @ self.weight + self.bias  # type: ignore[attr-defined]


class Net(Layer):
    def __call__(self, x: GraphNode) -> GraphNode:
        with inside(self):
            return self.second(mg.tanh(self.first(x)))  # type: ignore[attr-defined]


def dense(rows: int, columns: int, seed: int) -> Dense:
    weight = np.random.default_rng(seed).normal(size=(rows, columns))
    return Dense(weight=mg.Variable(weight), bias=mg.Variable(np.zeros(columns)))


def mlp() -> GraphNode:
    net = Net(first=dense(2, 8, 0), second=dense(8, 1, 1))
    x = mg.Constant(np.linspace(-1, 1, 20).reshape(10, 2), name="x")
    loss = mg.mse_loss(net(x), mg.Constant(np.ones((10, 1)), name="y"))
    loss.backward()
    return loss


def diamonds(n: int) -> GraphNode:
    """`n` times two ways that part and meet: 2 ** n paths, 3 n + 1 nodes."""
    y: GraphNode = mg.Variable(0.1, name="x")
    for _ in range(n):
        y = mg.sin(y) + mg.cos(y)
    return y


EXAMPLES = {"sine": sine, "neuron": neuron, "shared": shared, "broken": broken, "mlp": mlp}
