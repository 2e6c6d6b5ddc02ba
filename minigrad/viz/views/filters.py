"""`filters` and `feature_maps`: the weights of a convolution and its results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...errors import ShapeError
from ...graph.conversion import Array
from ...graph.node import GraphNode
from ...graph.rule import Operator
from ..inspection import named, need_index, need_rule
from ..plots import figure
from ..scene.text import GLYPHS, count, number
from .maps import NOTE, SMALL, Scale, cells, mark_negative, mosaic, room

if TYPE_CHECKING:
    from ..figure import Figure

_MOST = 32  # filters or channels that are drawn
#: rules whose result has the layout of their input, so that both can be drawn side by side
_MAPS = (
    "conv1d",
    "conv2d",
    "relu",
    "leaky_relu",
    "tanh",
    "sigmoid",
    "gelu",
    "softplus",
    "max_pool1d",
    "max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
)


def filters(layer: object, *, theme: str | None = None) -> Figure:
    """Draw the filters of a convolution in one scale around 0: blue positive, orange (−) negative.

    `layer` is a layer with a `.weight`, or the weight itself (node or array): (out, C, KH, KW),
    drawn as pictures, of several channels with a column for each filter and a row for each channel;
    or (out, C, K), drawn as a map (C, K) for each filter. At most 32 filters and 16 channels are
    drawn. `.numbers["weight"]` is the whole array. `theme` as in `draw`. Raises `TypeError` without
    a weight, `ShapeError` for a weight of another shape.

    >>> sorted(mg.viz.filters(mg.nn.Conv2d(1, 4, 5)).numbers)
    ['weight']
    """
    weight = _weight(layer)
    shown, note, single = weight[:_MOST], "", weight.shape[1] == 1
    title = f"{count(len(weight), 'filter')} of {' × '.join(map(str, weight.shape[1:]))}"
    size, columns, stretch = (9.0, 4.4), 0, 1.0
    if weight.ndim == 4 and not single:
        shown, note = shown[:, : _MOST // 2], "a column for each filter, a row for each channel"
        maps, columns, size = (
            shown.swapaxes(0, 1).reshape(-1, *weight.shape[2:]),
            len(shown),
            (9, 8),
        )
        labels = [str(i) if i < columns else "" for i in range(len(maps))]
    else:
        maps, stretch = (shown[:, 0], 1.0) if weight.ndim == 4 else (shown, 1.0 if single else 2.0)
        labels = _numbers(maps)
        if weight.ndim == 3 and not single:
            note = "in each a row per channel, a column per place in the window"
    if shown.size < weight.size:
        note += f"{'; ' * bool(note)}the first {shown.shape[0]} × {shown.shape[1]} shown"
    with figure(*size, title, theme) as made:
        ax, scale = made.subplots(), Scale.of(shown, -np.abs(shown))
        wide, tall = mosaic(ax, maps, labels, scale, size, columns, stretch)
        made.set_size_inches(max(wide + 1.2, room(title, note) + 0.4), max(tall, 1.2) + 0.7)
        ax.set_title(f"{note}\n" if note else "\n", fontsize=NOTE, fontweight="normal")
        span = f"from {number(float(shown.min()))} to {number(float(shown.max()))}"
        made.description = (
            f"{title}{f' ({note})' if note else ''}. Weights {span}, one scale for "
            f"all; negative ones have a minus sign."
        )
        made.numbers = {"weight": weight.copy()}
    return made


def feature_maps(node: GraphNode, sample: int = 0, *, theme: str | None = None) -> Figure:
    """Draw the channels of a convolution, an activation or a pooling for one sample, and its input.

    `node` holds (N, C, H, W), drawn as pictures, or (N, C, L), drawn as one map with a row for each
    channel. The input is that of the whole chain of such nodes, for example the image. A channel
    that is zero everywhere is marked ∅. Of many pictures the first are drawn. `.numbers` has the
    whole `"maps"` (C, …) and `"input"`. `theme` as in `draw`. Raises `TypeError` or `ValueError`
    for another kind of node, `ShapeError` for other axes, `ValueError` for a sample out of range.

    >>> model = mg.nn.Sequential(mg.nn.Conv2d(1, 4, 3), mg.nn.ReLU())
    >>> figure = mg.viz.feature_maps(model(np.ones((1, 1, 8, 8))))
    >>> sorted(figure.numbers)
    ['input', 'maps']
    """
    node = need_rule("feature_maps", node, _MAPS)
    if node.ndim not in (3, 4) or not node.size:
        raise ShapeError(f"feature_maps: {node.brief}; (N, C, H, W) or (N, C, L) was expected")
    at = need_index("feature_maps", "sample", sample, len(node.value))
    source: GraphNode = node
    while isinstance(source, Operator) and source.rule.name in _MAPS:
        source = source.inputs[0]
    maps, given = node.value[at], source.value[at]
    draw = _beside if node.ndim == 4 else _above
    title = f"{node.rule.name}: {' × '.join(map(str, maps.shape))}"
    made = draw(maps, given, title, theme)
    dead = [i for i, channel in enumerate(maps) if not channel.any()]
    made.description = (
        f"Feature maps of {node.rule.name} for sample {at}, "
        f"{count(len(maps), 'channel')} of "
        f"{' × '.join(map(str, maps.shape[1:]))}, beside the input. Values from "
        f"{number(float(maps.min()))} to "
        f"{number(float(maps.max()))}; {count(len(dead), 'channel')} zero everywhere."
    )
    made.numbers = {"maps": maps.copy(), "input": given.copy()}
    return made


def _beside(maps: Array, given: Array, title: str, theme: str | None) -> Figure:
    """Pictures: the channels of the input in a column on the left, the maps on the right."""
    title += f", the first {_MOST} shown" * (len(maps) > _MOST)
    caption = "input" + f", the first 4 of {count(len(given), 'channel')}" * (len(given) > 4)
    maps, given = maps[:_MOST], given[:4]
    with figure(9.6, 4.6, theme=theme) as made:
        left, right = made.subplots(1, 2)
        inputs = mosaic(left, given, _numbers(given), Scale.of(given), (2.2, 4.2), 1)
        outputs = mosaic(right, maps, _numbers(maps), Scale.of(maps), (5.6, 4.2))
        widths = max(inputs[0] + 0.8, room(caption) + 0.3), max(outputs[0] + 0.8, room(title) + 0.3)
        left.get_gridspec().set_width_ratios(widths)
        made.set_size_inches(sum(widths) + 0.3, max(inputs[1], outputs[1], 1.2) + 0.6)
        for ax, name in ((left, caption), (right, title)):
            ax.set_title(f"{name}\n")  # above the labels of the maps
    return made


def _above(maps: Array, given: Array, title: str, theme: str | None) -> Figure:
    """Sequences: the input above, the maps below, with a row for each channel."""
    talls = [min(1.8, max(0.5, 0.16 * len(array))) for array in (given, maps)]
    with figure(8.6, sum(talls) + 1.2, theme=theme) as made:
        axes = made.subplots(2, 1, height_ratios=talls)
        for ax, name, array, tall in zip(axes, ("input", title), (given, maps), talls, strict=True):
            scale, (rows, columns) = Scale.of(array), array.shape
            image = cells(ax, array, scale, name)
            mark_negative(ax, array, 0, 0, scale, (1, 1), (7.6 / columns, tall / rows))
            names = _numbers(array) if rows <= _MOST // 2 else []
            ax.set_yticks(np.arange(len(names)) + 0.5, names, fontsize=SMALL)
            ax.set_xticks([])
            ax.tick_params(length=0)
            made.colorbar(image, ax=ax).ax.grid(False)
    return made


def _numbers(maps: Array) -> list[str]:
    """The label of each channel; a single one has none."""
    if len(maps) == 1:
        return [""]
    return [f"{i}" if channel.any() else f"{i} {GLYPHS['zero']}" for i, channel in enumerate(maps)]


def _weight(layer: object) -> Array:
    """The weight of a layer, a node or an array."""
    found = layer if isinstance(layer, np.ndarray | GraphNode) else getattr(layer, "weight", None)
    if found is None:
        parts = [
            (name, getattr(module, "weight", None))
            for name, module in named(layer, "named_modules")
        ]
        inner = [
            name
            for name, weight in parts
            if isinstance(weight, GraphNode) and weight.ndim in (3, 4)
        ]
        hint = f", such as its {' or '.join(map(repr, inner[:4]))}" if inner else ""
        raise TypeError(
            f"filters: a {type(layer).__name__}; a convolution or its weight was expected{hint}"
        )
    weight = found.value if isinstance(found, GraphNode) else np.asarray(found)
    if weight.ndim not in (3, 4) or not weight.size:
        raise ShapeError(
            f"filters: a weight of shape {weight.shape}; (out, C, KH, KW) or (out, C, K) was "
            f"expected"
        )
    return weight
