"""Unrolled layers that the drawing tests look at: fused, built step by step, stacked and written by
hand.
"""

from __future__ import annotations

import numpy as np

import minigrad as mg
from minigrad import models, nn
from minigrad.graph.node import GraphNode
from minigrad.graph.settings import inside
from minigrad.ops.recurrent import Step, Steps


def rows(steps: int = 28, unroll: bool = False, hidden: int = 3) -> GraphNode:
    """The loss of a sequence classifier."""
    mg.manual_seed(0)
    x = mg.Constant(np.random.default_rng(0).normal(size=(2, steps, 5)), name="x", dtype="float32")
    target = mg.Constant([1, 2], name="y", dtype="int64")
    loss = mg.cross_entropy(models.RowRNN(5, hidden, unroll=unroll)(x), target)
    loss.backward()
    return loss


def stacked(steps: int = 6) -> GraphNode:
    """Two layers on top of each other."""
    x = mg.Constant(np.random.default_rng(0).normal(size=(steps, 2, 4)), name="x", dtype="float32")
    states, _ = nn.RNN(4, 3, num_layers=2, seed=0)(x)
    loss = mg.mean(states**2)
    loss.backward()
    return loss


def started(short: bool, steps: int = 3) -> GraphNode:
    """A layer whose first state is computed, and of which only the last one is read; ghosts of
    different widths.
    """
    x, h = (
        mg.Variable(np.ones((steps, 2, 4)), name="x"),
        mg.tanh(mg.Variable(np.ones((2, 3)), name="start")),
    )
    names, shapes = (
        ("W", "V", "b", "c") if short else ("Wx", "Wh", "bx", "bh"),
        ((3, 4), (3, 3), (3,), (3,)),
    )
    weights = [
        mg.Variable(np.full(shape, 0.1), name=name)
        for name, shape in zip(names, shapes, strict=True)
    ]
    loss = mg.mean(mg.rnn(x, h, *weights)[-1])
    loss.backward()
    return loss


def long_memory(steps: int = 3) -> GraphNode:
    """The LSTM of Hochreiter and Schmidhuber (1997) with a forget gate, from elementary operators:
    two states, many rows.
    """
    rng = np.random.default_rng(0)
    shapes = {"W": (4, 3), "U": (4, 4), "b": (4,)}
    W, U, b = (
        {g: mg.Variable(rng.normal(size=shape), name=f"{n}_{g}") for g in "ifog"}
        for n, shape in shapes.items()
    )
    x = mg.Constant(rng.normal(size=(steps, 2, 3)), name="x")
    h, c = (mg.Constant(np.zeros((2, 4)), name=name) for name in ("h0", "c0"))
    run, states = Steps(steps), []
    for t in range(steps):
        with inside(Step(run, t)):
            now = x[t]
            i, f, o, g = (mg.linear(now, W[key], b[key]) + h @ U[key] for key in "ifog")
            c = mg.sigmoid(f) * c + mg.sigmoid(i) * mg.tanh(g)
            h = mg.sigmoid(o) * mg.tanh(c)
        states.append(h)
    loss = mg.mean(mg.stack(states) ** 2) + mg.mean(c)
    loss.backward()
    return loss


def lstm(steps: int = 3) -> GraphNode:
    """The layer of the library, of which the last cells are read, too."""
    x = mg.Constant(np.random.default_rng(0).normal(size=(steps, 2, 3)), name="x")
    states, (_, cells) = nn.LSTM(3, 4, seed=0)(x)
    loss = mg.mean(states**2) + mg.mean(cells)
    loss.backward()
    return loss


def gated(steps: int = 3) -> GraphNode:
    """A cell with literal numbers, and with transposes that are computed before any state."""
    rng = np.random.default_rng(0)
    W, U = (
        mg.Variable(rng.normal(size=(4, 3)), name="W"),
        mg.Variable(rng.normal(size=(4, 4)), name="U"),
    )
    x, h, run = (
        mg.Constant(rng.normal(size=(steps, 2, 3)), name="x"),
        mg.Constant(np.zeros((2, 4)), name="h0"),
        Steps(steps),
    )
    for t in range(steps):
        with inside(Step(run, t)):
            z = mg.sigmoid(x[t] @ W.T + h @ U.T)
            h = (1 - z) * mg.tanh(h) + z * h
    loss = mg.mean(h)
    loss.backward()
    return loss


#: name -> (graph, options)
PICTURES = {
    "3 and 3": (rows, {"unroll": 3}),
    "all 28": (rows, {"unroll": "all"}),
    "one and one": (rows, {"unroll": 1}),
    "three steps": (lambda: rows(3), {"unroll": "all"}),
    "a single step": (lambda: rows(1), {"unroll": "all"}),
    "built unrolled": (lambda: rows(28, True), {}),
    "bare": (rows, {"unroll": 3, "values": False, "grads": False}),
    "wide": (lambda: rows(28, hidden=300), {"unroll": 2, "values": True}),
    "two layers": (stacked, {"unroll": 2}),
    "started": (lambda: started(True), {"unroll": "all"}),
    "wider ghosts": (lambda: started(False), {"unroll": "all"}),
    "long memory": (long_memory, {"depth": 9, "values": True}),
    "lstm": (lstm, {"unroll": "all", "values": True}),
    "gated": (gated, {"depth": 9, "values": True}),
}
