"""The patients of the chapter "The clinic", whose diseases the chapter must not give away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from .. import ops, optim
from ..graph.node import GraphNode
from ..nn import Linear, Module, ReLU, Sequential, Sigmoid, Tanh, init

BUGS = ("leakage", "shuffled labels", "wrong loss", "forgotten zero_grad", "none")


def layers(activation: Callable[[], Module], depth: int) -> Sequential:
    """Points (N, 2) to one number: hidden layers of 16, always with the same initial weights."""
    init.manual_seed(0)
    hidden = [part for k in range(depth) for part in (Linear(16 if k else 2, 16), activation())]
    return Sequential(*hidden, Linear(16, 1))


class Log(Module):
    """The logarithm as a layer."""

    def forward(self, x: GraphNode) -> GraphNode:
        return ops.log(x)


class Short(Sequential):
    """Layers of which two are not used."""

    def forward(self, x: Any) -> Any:
        for i, layer in enumerate(self):
            x = x if i in (2, 3) else layer(x)
        return x


def ill() -> dict[str, tuple[Module, float]]:
    """A network for each disease, and the factor by which its input points are scaled."""
    wild, mute, stiff = layers(ReLU, 5), layers(ReLU, 3), layers(Tanh, 3)
    for parameter in wild.parameters():
        parameter.value *= 6
    dict(mute.named_parameters())["2.bias"].value[:] = -10
    for name, parameter in stiff.named_parameters():
        parameter.requires_grad = not name.startswith("2.")
    return {
        "saturation": (layers(Tanh, 3), 255.0),
        "exploding gradient": (wild, 1.0),
        "NaN or inf": (layers(Log, 1), 1.0),
        "vanishing gradient": (layers(Sigmoid, 5), 1.0),
        "dead ReLU": (mute, 1.0),
        "frozen parameter": (stiff, 1.0),
        "unused parameter": (Short(*layers(ReLU, 3)), 1.0),
        "healthy": (layers(ReLU, 3), 1.0),
    }


def answers(seed: int = 0) -> dict[str, str]:
    """Who has what, by letter; another order for each seed."""
    order = np.random.default_rng(seed).permutation
    kinds = [*order([*ill()]), *order(BUGS)]
    return {letter: str(kind) for letter, kind in zip("ABCDEFGHIJKLM", kinds, strict=True)}


def patients(seed: int = 0) -> dict[str, tuple[Module, float]]:
    """The networks A to H, in the order of `answers`."""
    return {letter: ill()[answers(seed)[letter]] for letter in "ABCDEFGH"}


def courses(seed: int = 0) -> dict[str, dict[str, list[float]]]:
    """The trainings I to M, in the order of `answers`."""
    return {letter: course(answers(seed)[letter]) for letter in "IJKLM"}


def course(bug: str) -> dict[str, list[float]]:
    """Train a network for handwritten digits, with a bug; its loss and accuracies by epoch."""
    rng = np.random.default_rng(0)
    x, y = load_digits(return_X_y=True)
    order = rng.permutation(len(x))
    x, y = x[order].astype(np.float32) / 16, y[order]
    parts = {"held out": (x[300:600], y[300:600]), "in use": (x[600:], y[600:])}
    x, y = x[:300], y[:300]
    if bug == "leakage":
        x, y = np.concatenate([x, parts["held out"][0]]), np.concatenate([y, parts["held out"][1]])
    if bug == "shuffled labels":
        y = rng.permutation(y)
    init.manual_seed(0)
    net = Sequential(Linear(64, 64), ReLU(), Linear(64, 10))
    optimizer = optim.SGD(net.parameters(), lr=0.3)
    log: dict[str, list[float]] = {"loss": [], "training": [], "held out": [], "in use": []}
    for _ in range(30):
        losses = []
        for batch in np.array_split(rng.permutation(len(x)), len(x) // 30):
            scores = net(x[batch])
            if bug == "wrong loss":
                scores = ops.softmax(scores)
            loss = ops.cross_entropy(scores, y[batch])
            if bug != "forgotten zero_grad":
                optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        log["loss"].append(float(np.mean(losses)))
        for name, (inputs, labels) in {"training": (x, y), **parts}.items():
            log[name].append(float((net(inputs).value.argmax(1) == labels).mean()))
    return log
