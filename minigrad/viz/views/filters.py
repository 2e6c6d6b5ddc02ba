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
from .maps import (
    BAR,
    LABEL,
    MARGIN,
    SMALL,
    Mosaic,
    Scale,
    heading,
    mark_negative,
    room,
    scale_bar,
    sheet,
    tile,
)

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
    if weight.ndim == 4 and not single:
        shown, note = shown[:, : _MOST // 2], "a column for each filter, a row for each channel"
        maps, columns = shown.swapaxes(0, 1).reshape(-1, *weight.shape[2:]), len(shown)
        labels = [str(i) if i < columns else "" for i in range(len(maps))]
        mosaic = Mosaic.fit(maps, labels, wide=9.0, tall=8.0, columns=columns, gap=0.05)
    else:
        maps, stretch = (shown[:, 0], 1.0) if weight.ndim == 4 else (shown, 1.0 if single else 2.0)
        mosaic = Mosaic.fit(maps, _numbers(maps), wide=9.0, tall=4.4, stretch=stretch)
        note = (
            ""
            if weight.ndim == 4 or single
            else "in each a row per channel, a column per place in the window"
        )
    if shown.size < weight.size:
        note += f"{'; ' * bool(note)}the first {shown.shape[0]} × {shown.shape[1]} shown"
    scale = Scale.of(shown, -np.abs(shown))
    wide, tall = max(mosaic.size[0], room(title, note) - BAR), max(mosaic.size[1], 1.2)
    with figure(
        wide + BAR + 2 * MARGIN, tall + 2 * MARGIN + (0.5 if note else 0.32), theme=theme
    ) as made:
        page = sheet(made)
        top = heading(page, MARGIN, MARGIN, title, note)
        image = mosaic.draw(page, MARGIN, top, scale)
        scale_bar(
            made,
            image,
            MARGIN + mosaic.size[0] + 0.15,
            top + LABEL,
            min(tall - LABEL, 3.0),
            "weight",
        )
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
    inputs = Mosaic.fit(given[:4], _numbers(given[:4]), wide=2.2, tall=4.2, columns=1)
    outputs = Mosaic.fit(maps[:_MOST], _numbers(maps[:_MOST]), wide=5.6, tall=4.2)
    title += f", the first {_MOST} shown" * (len(maps) > _MOST)
    caption = "input" + f", the first 4 of {count(len(given), 'channel')}" * (len(given) > 4)
    middle = MARGIN + max(inputs.size[0] + BAR, room(caption)) + 0.2
    wide = max(outputs.size[0], room(title) - BAR)
    with figure(
        middle + wide + BAR + MARGIN,
        max(inputs.size[1], outputs.size[1]) + 0.32 + 2 * MARGIN,
        theme=theme,
    ) as made:
        page = sheet(made)
        for name, x, mosaic in ((caption, MARGIN, inputs), (title, middle, outputs)):
            top = heading(page, x, MARGIN, name)
            image = mosaic.draw(page, x, top, Scale.of(mosaic.maps))
            scale_bar(
                made,
                image,
                x + mosaic.size[0] + 0.12,
                top + mosaic.top,
                min(mosaic.size[1] - mosaic.top, 2.2),
                "",
            )
    return made


def _above(maps: Array, given: Array, title: str, theme: str | None) -> Figure:
    """Sequences: the input above, the maps below, with a row for each channel."""
    wide, left = 7.6, MARGIN + 0.2
    talls = [min(1.8, max(0.5, 0.16 * len(array))) for array in (given, maps)]
    with figure(
        wide + BAR + 2 * MARGIN + 0.2, sum(talls) + 2 * 0.32 + 0.2 + 2 * MARGIN, theme=theme
    ) as made:
        page, y = sheet(made), MARGIN
        for name, array, tall in zip(("input", title), (given, maps), talls, strict=True):
            y = heading(page, MARGIN, y, name)
            cell, scale = (wide / array.shape[1], tall / len(array)), Scale.of(array)
            image = tile(page, array, left, y, scale, cell)
            mark_negative(page, array, left, y, scale, cell)
            for i, label in enumerate(_numbers(array) if len(array) <= _MOST // 2 else ()):
                page.text(
                    left - 0.05,
                    y + (i + 0.5) * cell[1],
                    label,
                    fontsize=SMALL,
                    ha="right",
                    va="center",
                )
            scale_bar(made, image, left + wide + 0.12, y, tall, "")
            y += tall + 0.2
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
