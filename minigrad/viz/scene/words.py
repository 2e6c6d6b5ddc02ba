"""The same in words: a title for every node and edge, and the description of a whole picture."""

from __future__ import annotations

from typing import Any

from ...graph.node import Buffer, Constant, GraphNode, Variable
from ...graph.rule import Operator, ScalarOperator
from ...ops.kernel import kernel_info
from ...ops.recurrent import Recurrent
from .measure import Stats
from .picture import Picture
from .text import alarm, number, shape, shorten


def node_label(node: GraphNode, known: str | None = None) -> str:
    """What a node is called: the symbol of an operator, the name of a leaf, the number of a
    constant without one.
    """
    if isinstance(node, Operator):
        if node.rule.name == "getitem":
            x = node.inputs[0]
            return shorten(f"{x.name or ''}[{_key(node.attributes.get('key'))}]", 16)
        return shorten(node.rule.symbol)
    name = node.name or known
    if name:
        return shorten(name)
    if isinstance(node, Constant):
        return number(float(node.item())) if not node.shape else "constant"
    return "variable"


def node_kind(node: GraphNode) -> str:
    """The kind of its box."""
    if node.inputs:
        return "scalar" if isinstance(node, ScalarOperator) else "broadcasted"
    return "variable" if isinstance(node, Variable) else "constant"


def node_lines(node: GraphNode, label: str, value: Stats | None) -> tuple[str, ...]:
    """What is written into its box: the label, and below it its name, its shape or (if it is told)
    its number.

    Of dropout also, where values are told, the share of entries that it let through.
    """
    second = shape(node.shape) if node.shape else ""
    if not node.shape and value is not None:
        second = number(value.mean)
    if isinstance(node, Operator):
        steps = f"×{node.inputs[0].shape[0]}" if isinstance(node.rule, Recurrent) else ""
        second = " ".join(filter(None, [shorten(node.name or "", 16), steps, second]))
    told = _told(node) if isinstance(node, Operator) else ""
    lines = tuple(dict.fromkeys(filter(None, (label, told, second))))
    if (
        isinstance(node, Operator)
        and node.rule.name == "dropout"
        and value is not None
        and node.size
    ):
        return (*lines, f"kept {100 * kernel_info(node)['kept']:.0f} %")
    return lines


def _told(node: Operator) -> str:
    """The attributes that a reader wants to see at once: `3×3 /2`, `bid,bjd→bij`, `axis 1`."""
    attributes = node.attributes
    if "subscripts" in attributes:
        return shorten(str(attributes["subscripts"]).replace("->", "→"))
    if "stride" in attributes:
        window = attributes.get("kernel_size") or (*node.inputs, node)[1].shape[2:]
        sizes = window if isinstance(window, tuple) else (window,)
        stride = attributes["stride"]
        steps = "" if stride in (1, None, (1, 1), window) else f" /{_key(stride)}"
        return ("×".join(map(str, sizes)) if len(sizes) > 1 else f"window {sizes[0]}") + steps
    axis = attributes.get("axis")
    return "" if axis is None else f"axis {_key(axis)}"


def _key(key: Any) -> str:
    """An index as it is written: `3`, `:, 1:`."""
    if isinstance(key, tuple):
        return ", ".join(map(_key, key))
    if isinstance(key, slice):
        ends = ["" if part is None else str(part) for part in (key.start, key.stop, key.step)]
        return ":".join(ends if ends[2] else ends[:2])
    if key is Ellipsis:
        return "…"
    return str(key) if isinstance(key, int) or key is None else "array"


def node_words(name: str, label: str, node: GraphNode, value: Stats | None) -> str:
    """The title of a node: kind, rule, shape, what is known of its value."""
    kinds: dict[type, str] = {Constant: "constant", Buffer: "buffer", Variable: "variable"}
    kind = kinds.get(type(node), "operator")
    parts = [f"{name}, {kind} {label}"]
    if isinstance(node, Operator):
        own = f" {shorten(node.name)}" if node.name else ""
        parts[0] += f" ({node.rule.name}{_attributes(node)}){own}"
    parts.append(f"shape {shape(node.shape)}, {node.dtype}")
    if value is not None:
        parts.append(f"value {stats_words(value)}")
    return "; ".join(parts)


def stats_words(stats: Stats) -> str:
    """`4`, or mean, spread, range, rms and zeros of an array, with what is wrong with it."""
    if not stats.size:
        return "empty"
    if stats.state in ("nan", "inf"):
        counted = f" ({stats.nans} NaN, {stats.infs} inf of {stats.size})" if stats.shape else ""
        return f"{alarm(stats)}{counted}"
    state = " (exactly zero)" if stats.state == "zero" else ""
    if not stats.shape:
        return number(stats.mean) + state
    return (
        f"mean {number(stats.mean)}, standard deviation {number(stats.std)}, from "
        f"{number(stats.low)} to "
        f"{number(stats.high)}, rms {number(stats.rms)}, zeros {number(100 * stats.zeros)} %{state}"
    )


def _attributes(node: Operator) -> str:
    """`, stride=1, padding=0`"""
    return "".join(
        f", {key}={shorten(_brief(value), 20)}" for key, value in node.attributes.items()
    )


def _brief(value: Any) -> str:
    """A repr without array contents, for which a title has no room (and which may be huge)."""
    size = getattr(value, "shape", None)
    return f"array {shape(size)}" if size is not None else repr(value)


def describe(picture: Picture) -> str:
    """The picture as plain text, line by line in the order in which values are computed."""
    lines = [f"{shorten(picture.title, 1000)}. {picture.note}"]
    frames = {cluster.id: cluster for cluster in picture.clusters}
    for box in picture.boxes:
        where = f" [in {frames[box.cluster].label}]" if box.cluster else ""
        lines.append(f"  {box.title}{where}")
        lines += [f"    {edge.title}" for edge in picture.edges if edge.target == box.id]
    return "\n".join(lines)
