"""The graphs of other shapes that the specification of the drawings names: deep, wide, tangled."""

from __future__ import annotations

import functools

import numpy as np

import minigrad as mg
from minigrad import models, nn
from minigrad.graph.node import GraphNode


class Block(nn.Module):
    """Two convolutions beside a skip."""

    def __init__(self, width: int) -> None:
        self.first = nn.Conv2d(width, width, 3, padding=1, seed=0)
        self.norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, padding=1, seed=1)

    def forward(self, x: GraphNode) -> GraphNode:
        return mg.relu(x + self.second(mg.relu(self.norm(self.first(x)))))


def resnet(blocks: int = 5) -> GraphNode:
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, seed=0), *(Block(4) for _ in range(blocks)))
    y = mg.mean(model(mg.Constant(rng.random((2, 1, 8, 8)), name="image")), axis=(2, 3))
    loss = mg.cross_entropy(y, mg.Constant([1, 3], name="y", dtype="int64"))
    loss.backward()
    return loss


def rnn(unroll: bool = False) -> GraphNode:
    mg.manual_seed(0)
    x = mg.Constant(np.random.default_rng(0).normal(size=(2, 28, 5)), name="x", dtype="float32")
    target = mg.Constant([1, 2], name="y", dtype="int64")
    loss = mg.cross_entropy(models.RowRNN(5, 3, unroll=unroll)(x), target)
    loss.backward()
    return loss


def attention() -> GraphNode:
    x = mg.Constant(np.random.default_rng(0).normal(size=(5, 2, 8)), name="x")
    y, _ = nn.MultiheadAttention(8, 2, seed=0)(x, x, x)
    loss = mg.mean(y**2)
    loss.backward()
    return loss


def layers(n: int = 60) -> GraphNode:
    net = nn.Sequential(*(f for i in range(n) for f in (nn.Linear(4, 4, seed=i), nn.Tanh())))
    loss = mg.mean(net(mg.Constant(np.ones((2, 4)), name="x")) ** 2)
    loss.backward()
    return loss


def chain(n: int = 300) -> GraphNode:
    y: GraphNode = mg.Variable(0.3, name="x")
    for k in range(n):
        y = (mg.sin, mg.tanh, mg.exp)[k * k % 3](y) * 0.5
    y.backward()
    return y


def terms(n: int = 60) -> GraphNode:
    parts = [mg.Variable(float(i), name=f"w{i}") * float(i + 1) for i in range(n)]
    y = functools.reduce(lambda a, b: a + b, parts)
    y.backward()
    return y


def fan_in(n: int = 60) -> GraphNode:
    """As many terms, in one operator."""
    y = mg.sum(mg.stack([mg.Variable(float(i), name=f"w{i}") for i in range(n)]))
    y.backward()
    return y


def tangle(n: int = 259) -> GraphNode:
    """A graph of n nodes, most of them computed from two others at random."""
    rng = np.random.default_rng(3)
    nodes: list[GraphNode] = [mg.Variable(0.1 * i, name=f"x{i}") for i in range(9)]
    unused = list(nodes)
    while len(nodes) + len(unused) - 1 < n:
        a = unused.pop(int(rng.integers(len(unused))))
        b = nodes[int(rng.integers(len(nodes)))]
        unused = [node for node in unused if node is not b]
        made = mg.sin(a) if rng.random() < 0.2 else a + b
        nodes.append(made)
        unused.append(made)
    y = functools.reduce(lambda a, b: a + b, unused)
    y.backward()
    return y


def loop(steps: int = 20) -> GraphNode:
    """A recurrence that knows no module and no time step."""
    rng = np.random.default_rng(0)
    W, U, b = (
        mg.Variable(rng.normal(size=shape) / 2, name=name)
        for name, shape in (("W", (3, 4)), ("U", (4, 4)), ("b", (4,)))
    )
    h: GraphNode = mg.Constant(np.zeros((2, 4)), name="h0")
    for row in rng.normal(size=(steps, 2, 3)):
        h = mg.tanh(mg.Constant(row, name="x") @ W + h @ U + b)
    loss = mg.mean(h**2)
    loss.backward()
    return loss


#: name -> (graph, options)
LARGE = {
    "resnet": (resnet, {}),
    "rolled": (rnn, {"unroll": "rolled"}),
    "unrolled": (rnn, {"unroll": 3}),
    "all steps": (rnn, {"unroll": "all"}),
    "built unrolled": (lambda: rnn(True), {}),
    "attention": (attention, {}),
    "60 layers": (layers, {}),
    "chain": (chain, {}),
    "60 terms": (terms, {}),
    "fan in": (fan_in, {}),
    "tangle": (tangle, {}),
    "loop": (loop, {}),
}
