"""The exercises that need Python to judge an answer; all others are in `exercises.toml`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..graph.autodiff import topological_sort
from ..graph.node import GraphNode
from ..nn import Module
from ..viz import diagnose
from .checking import exercise, expect


@exercise("0/graph")
def _graph(given: Any) -> str | None:
    if not isinstance(given, GraphNode):
        return f"f must be a node of the graph, built from Variables, not {given!r}."
    nodes = len(topological_sort(given))
    if nodes != 5:
        return f"the graph has {nodes} nodes; a must be one Variable that is used twice."
    hint = "the graph computes something else: a · b + sin(a), with a = 2 and b = 3."
    return expect(given, 6 + np.sin(2), hint)


@exercise("8/words")
def _words(given: Any) -> str | None:
    """`given()` returns the ids of both texts and the probabilities that they are praise."""
    ids, good, bad = given()
    if not (ids > 0).any(axis=1).all():
        return "there is a text without words."
    if (ids == 1).any():
        return (
            f"{int((ids == 1).sum())} of your words are too rare: the network sees <other>. "
            f"Take common ones."
        )
    if good <= 0.8:
        return f"your praise gets {good:.2f}, more than 0.80 is needed: stronger words."
    if bad >= 0.2:
        return f"your damnation gets {bad:.2f}, less than 0.20 is needed: harsher words."
    return None


@exercise("10/cure")
def _cure(given: Any) -> str | None:
    if not isinstance(given, Module):
        return f"a network is expected, not {given!r}."
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(64, 2)).astype(np.float32)
    y = rng.integers(0, 2, (64, 1)).astype(np.float32)
    out = given(x)
    if not isinstance(out, GraphNode) or out.shape != (64, 1):
        return "forward should return a node of shape (N, 1), what the last layer gives."
    found = diagnose(given, x, y)
    return None if found.healthy else f"it is still ill: {found[0]}"
