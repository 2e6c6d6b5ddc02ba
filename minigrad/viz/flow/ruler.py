"""`gradient_ruler`: the gradient norm of each layer after one backward pass, and its slope."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import GraphError
from ...graph.node import GraphNode, Variable
from .. import plots
from ..inspection import HasParameters
from ..plots import INK
from ..scene.heads import GraphLike, order_of
from ..scene.measure import Stats, measure, pooled
from ..scene.text import GLYPHS, number
from .figures import ALARMS
from .naming import layer_kinds, layers, models_of, norm, parameters_in, slope

if TYPE_CHECKING:
    from ..figure import Figure


def gradient_ruler(loss_or_model: GraphLike | HasParameters, *, theme: str | None = None) -> Figure:
    """Draw the gradient norm of each layer on a logarithmic ruler, and the slope along the depth.

    Call it after a backward pass with its head (or the `Graph`), or with a model. A layer is a
    module with parameters of its own, its norm √Σ‖∂L/∂p‖² over them. Layers come in the order in
    which the graph first uses them (of a model: in the order of definition), the first on top. The
    slope is that of the least-squares line through log10 of the norms, in decades per layer: 0 is
    the aim of Glorot and Bengio's (2010) initial weights; a layer of sigmoids, whose derivative is
    at most 1/4, costs 0.6 decades and more on the way back, so that norms grow with the layer.
    Norms depend on sizes: compare layers of about the same size. `theme` as in `draw`. Raises
    `GraphError` if no parameter has a gradient, `TypeError` for anything but a graph or a model.

    >>> model = mg.nn.Sequential(mg.nn.Linear(3, 3), mg.nn.Tanh(), mg.nn.Linear(3, 1))
    >>> loss = mg.mean(model(np.ones((2, 3))))
    >>> loss.backward()
    >>> list(mg.viz.gradient_ruler(loss).numbers["norm"])
    ['0', '2']
    """
    found, kinds = _found(loss_or_model)
    names = [f"{layer} · {kinds[layer]}" if layer in kinds else layer for layer in found]
    norms = [norm(stats) for stats in found.values()]
    steepness = slope(range(len(norms)), norms)
    height = min(14.0, 1.5 + 0.34 * len(found))
    with plots.figure(
        7.6, height, "Gradient norm of each layer, after one backward pass", theme
    ) as made:
        ax = made.subplots()
        _marks(ax, names, norms, [stats.judged for stats in found.values()])
        _line(ax, norms, steepness)
        slope_words = _slope_words(steepness)
        ax.set_title(slope_words, loc="left", fontsize=9, fontweight="normal", color=INK["muted"])
        items = "; ".join(f"{name} {number(x)}" for name, x in zip(names, norms, strict=True))
        made.description = (
            f"Gradient norms in forward order, after one backward pass: {items}. {slope_words}"
        )
        made.numbers = {"norm": dict(zip(found, norms, strict=True)), "slope": steepness}
    return made


def _found(thing: Any) -> tuple[dict[str, Stats], Mapping[str, str]]:
    """Layer -> its gradients, of a graph in forward order; without layers that have no gradient."""
    is_graph = isinstance(thing, GraphNode) or isinstance(getattr(thing, "head", None), GraphNode)
    if not is_graph and not isinstance(thing, HasParameters):
        raise TypeError(
            f"gradient_ruler: a {type(thing).__name__}; the head of a graph, a Graph or a model "
            f"was expected"
        )
    order = order_of(thing, "gradient_ruler") if is_graph else []
    parameters = parameters_in(order, None if is_graph else thing)
    if is_graph:
        parameters = in_forward_order(order, parameters)
    grads = {name: p.grad for name, p in parameters.items() if p.grad is not None}
    found = {
        layer: pooled([measure(grads[name]) for name in members])
        for layer, members in layers(grads).items()
    }
    if not found:
        raise GraphError(
            "gradient_ruler: no parameter has a gradient; call backward() on the loss first"
        )
    return found, layer_kinds(models_of(order) if is_graph else [thing])


def in_forward_order(
    order: Sequence[GraphNode], parameters: Mapping[str, Variable]
) -> dict[str, Variable]:
    """The parameters that the graph uses, in the order of first use."""
    first: dict[int, int] = {}
    for i, node in enumerate(order):
        for x in (*node.inputs, node):
            first.setdefault(id(x), i)
    used = [(first[id(p)], name, p) for name, p in parameters.items() if id(p) in first]
    return {name: p for _, name, p in sorted(used, key=lambda row: row[0])}


def _slope_words(steepness: float) -> str:
    if not math.isfinite(steepness):
        return "No slope: two layers with a gradient are needed."
    factor = number(10 ** abs(steepness))
    if abs(steepness) < 0.005:
        return f"Slope {steepness:+.2f} decades per layer: level."
    way = "smaller" if steepness > 0 else "larger"
    return (
        f"Slope {steepness:+.2f} decades per layer: towards the input each layer's is {factor} "
        f"times {way}."
    )


def _marks(ax: Any, names: Sequence[str], norms: Sequence[float], states: Sequence[str]) -> None:
    """A dot and a number for each layer; without a logarithm, a glyph at the left end."""
    usable = [x for x in norms if math.isfinite(x) and x > 0] or [1.0]
    low, high = (
        math.floor(math.log10(min(usable)) - 0.15),
        math.ceil(math.log10(max(usable)) + 0.45),
    )
    ax.set_xscale("log")
    ax.set_xlim(10.0**low, 10.0**high)
    ax.set_ylim(len(names) - 0.4, -0.6)
    for i, (x, state) in enumerate(zip(norms, states, strict=True)):
        sized = math.isfinite(x) and x > 0
        at = x if sized else 10.0**low
        if sized:
            ax.plot([10.0**low, x], [i, i], color=INK["frame"], lw=1.2, ls="-", zorder=2)
            ax.plot([x], [i], marker="o", color=INK["g4"], markersize=6, zorder=3)
        glyph = f"{GLYPHS[state]} " if state in GLYPHS else ""
        words = number(x) if sized else ALARMS.get(state, "")
        ax.annotate(
            f"{glyph}{words}",
            (at, i),
            (8, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            zorder=4,
            bbox={"facecolor": INK["bg"], "edgecolor": "none", "pad": 1.2},
        )
    every = -(-len(names) // 60)
    ax.set_yticks(
        range(0, len(names), every),
        [plots.plain(name) for name in names[::every]],
        color=INK["fg"],
    )
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("‖∂L/∂(layer)‖")


def _line(ax: Any, norms: Sequence[float], steepness: float) -> None:
    """The fitted line, dashed."""
    if not math.isfinite(steepness):
        return
    places = np.array([i for i, x in enumerate(norms) if math.isfinite(x) and x > 0])
    logs = np.log10([norms[i] for i in places])
    ends = np.array([places[0], places[-1]])
    fitted = logs.mean() + steepness * (ends - places.mean())
    ax.plot(10.0**fitted, ends, color=INK["gradient"], lw=1.3, ls=(0, (5, 3)), zorder=2.5)
