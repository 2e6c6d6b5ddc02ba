"""The four models of the papers, and better variants of them.

Each is a few lines of layers to read, copy and change. The initial weights come from the library's
generator: `mg.manual_seed(n)` before making a model decides them.
"""

from __future__ import annotations

from typing import Any

from . import nn, ops
from .checks import one_of
from .graph.node import GraphNode

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU, "sigmoid": nn.Sigmoid}


def mlp(activation: str = "tanh", clipped: bool = False) -> nn.Sequential:
    """Points (N, 2) to one number (N, 1): three hidden layers of 25; `clipped` adds a sigmoid."""
    one_of("mlp", "activation", activation, ACTIVATIONS)
    layers: list[nn.Module] = []
    for width in (2, 25, 25):
        layers += nn.Linear(width, 25), ACTIVATIONS[activation]()
    return nn.Sequential(*layers, nn.Linear(25, 1), *([nn.Sigmoid()] if clipped else []))


def cnn_five() -> nn.Sequential:
    """Images (N, 1, 28, 28) to the probability (N, 1) of a five: the paper's model."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 26 * 26, 1), nn.Sigmoid()
    )


def cnn() -> nn.Sequential:
    """Images (N, 1, 28, 28) to ten logits (N, 10): two stages of convolution and pooling."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 32, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 4 * 4, 10),
    )


class TextCNN(nn.Module):
    """Token ids (N, length) to one logit or probability (N, 1) (Kim 2014).

    Each word becomes a vector, a convolution looks at three words at a time, and pooling keeps the
    largest output of each filter in every window of `pool` positions. `mean` adds the mean of all
    word vectors to the inputs of the last layer: the review as a whole beside its strongest words.
    """

    def __init__(
        self,
        vocabulary: int = 12_849,
        width: int = 50,
        filters: int = 8,
        pool: int = 8,
        length: int = 130,
        probability: bool = True,
        mean: bool = False,
    ) -> None:
        self.embedding = nn.Embedding(vocabulary, width)
        self.conv = nn.Conv1d(width, filters, 3)
        self.pool = nn.MaxPool1d(pool)
        self.flatten = nn.Flatten()
        self.dense = nn.Linear(filters * ((length - 2) // pool) + (width if mean else 0), 1)
        self.probability, self.mean = probability, mean

    def forward(self, ids: Any) -> GraphNode:
        words = ops.transpose(self.embedding(ids), (0, 2, 1))  # (N, width, length)
        features = self.flatten(self.pool(ops.relu(self.conv(words))))
        if self.mean:
            features = ops.concatenate([features, ops.mean(words, axis=2)], axis=1)
        logit: GraphNode = self.dense(features)
        return ops.sigmoid(logit) if self.probability else logit


class RowRNN(nn.Module):
    """Sequences (N, steps, width) to ten logits (N, 10), from the last state of an RNN."""

    def __init__(self, width: int, hidden: int = 64, unroll: bool = False) -> None:
        self.rnn = nn.RNN(width, hidden, unroll=unroll)
        self.dense = nn.Linear(hidden, 10)

    def forward(self, x: Any) -> GraphNode:
        states, _ = self.rnn(ops.transpose(x, (1, 0, 2)))  # time first
        logits: GraphNode = self.dense(states[-1])
        return logits
