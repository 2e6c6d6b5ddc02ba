"""Small models and texts for the tests of views; every word is made up."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

import minigrad as mg
from minigrad import nn
from minigrad.graph.autodiff import topological_sort
from minigrad.models import TextCNN

WORDS = ["<pad>", "<other>", "zug", "blim", "<b>", 'wo\x07&"ld', "krax", "nanu", "]]>", "föhn"]
TEXT = [0, 0, 2, 3, 1, 4, 5, 6, 7, 8, 9, 2]


def images(n: int = 3, seed: int = 0) -> Any:
    return np.random.default_rng(seed).random((n, 1, 12, 12)).astype(np.float32)


def cnn() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, seed=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 2, seed=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(6 * 4 * 4, 5, seed=3),
    )


def text_model(**options: Any) -> TextCNN:
    mg.manual_seed(4)
    return TextCNN(vocabulary=len(WORDS), width=6, filters=3, pool=5, length=len(TEXT), **options)


def find(head: mg.GraphNode, rule: str, which: int = 0) -> mg.Operator:
    found = [
        node
        for node in topological_sort(head)
        if isinstance(node, mg.Operator) and node.rule.name == rule
    ]
    return found[which]


def state(model: nn.Module) -> Any:
    """Everything that looking must not change: values, gradients (and which arrays they are),
    modes.
    """
    return (
        [
            (
                name,
                p.value.tobytes(),
                None if p.grad is None else (id(p.grad), p.grad.tobytes()),
                p.requires_grad,
            )
            for name, p in model.named_parameters()
        ],
        [(name, module.training) for name, module in model.named_modules()],
    )


def after_a_step(model: nn.Module, x: Any) -> nn.Module:
    """The model as it is in the middle of training: it holds gradients, some written into memory
    that is used again.
    """
    for _ in range(2):
        for p in model.parameters():
            p.recycle_grad()
        mg.sum(model(x) ** 2).backward()
    model.parameters()[0].requires_grad = False
    model.train()
    next(model.children()).training = False
    return model


def values(head: mg.GraphNode) -> Any:
    """A copy of all values and gradients of a graph."""
    return copy.deepcopy(
        [
            (node.value.tobytes(), None if node.grad is None else node.grad.tobytes())
            for node in topological_sort(head)
        ]
    )
