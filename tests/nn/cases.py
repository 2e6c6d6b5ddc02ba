"""Layers with PyTorch's names and arguments, and what to call them on: for both libraries."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Case:
    """`getattr(nn, kind)(**options)` called with arrays of these shapes, and with `more`."""

    kind: str
    options: dict[str, Any]
    shapes: tuple[tuple[int, ...], ...]
    more: dict[str, Any] = field(default_factory=dict)
    states: tuple[int, ...] | None = None  # the shape of h0 (and c0)

    def __str__(self) -> str:
        options = ",".join(f"{k}={v}" for k, v in {**self.options, **self.more}.items())
        sizes = "x".join(map(str, self.shapes))
        started = "-states" if self.states else ""
        return f"{self.kind}-{options}-{sizes}{started}".replace(" ", "").replace("\n", "")

    @property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng(zlib.crc32(str(self).encode()))

    def inputs(self) -> list[np.ndarray]:
        # few different numbers: pooling meets ties
        drawn = [self.rng.normal(size=shape) for shape in self.shapes]
        return [np.round(2 * x) / 2 if "Pool" in self.kind else x for x in drawn]

    def start(self) -> list[np.ndarray]:
        count = 0 if self.states is None else 1 + ("LSTM" in self.kind)
        return list(self.rng.uniform(-1, 1, (count, *(self.states or ()))))

    def parameters(self, shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
        rng = self.rng
        return {name: rng.normal(size=shape) / 2 for name, shape in sorted(shapes.items())}


def weights(i: int, shape: tuple[int, ...]) -> np.ndarray:
    """What the entries of the i-th output are multiplied with, before all are added up."""
    return np.random.default_rng(i).normal(size=shape)


def flat(found: Any) -> list[Any]:
    """All arrays that a layer returned."""
    if isinstance(found, tuple):
        return [array for part in found for array in flat(part)]
    return [] if found is None else [found]


def recurrent() -> list[Case]:
    sizes, x = {"input_size": 3, "hidden_size": 4}, ((5, 4, 3),)
    found = []
    for kind in ("RNN", "LSTM", "GRU"):
        two = {**sizes, "num_layers": 2, "bidirectional": True}
        lengths = {"lengths": [2, 5, 1, 3]}
        found += [
            Case(kind, {**sizes, "bidirectional": True}, x, states=(2, 4, 4)),
            Case(kind, {**two, "batch_first": True}, ((4, 5, 3),)),
            Case(kind, sizes, x, lengths, states=(1, 4, 4)),
            Case(kind, two, x, lengths, states=(4, 4, 4)),
            Case(kind, {**two, "batch_first": True}, ((4, 5, 3),), lengths),
        ]
        cell = ((6, 3),)
        found += [Case(f"{kind}Cell", sizes, cell), Case(f"{kind}Cell", sizes, cell, states=(6, 4))]
    return [*found, Case("RNNCell", {**sizes, "nonlinearity": "relu"}, ((6, 3),), states=(6, 4))]


def transposed() -> list[Case]:
    one, two = {"in_channels": 4, "out_channels": 6}, {"in_channels": 3, "out_channels": 2}
    return [
        Case("ConvTranspose1d", {**one, "kernel_size": 3, "groups": 2}, ((2, 4, 5),)),
        Case(
            "ConvTranspose1d",
            {**one, "kernel_size": 4, "stride": 3, "padding": 1, "output_padding": 2},
            ((2, 4, 5),),
        ),
        Case("ConvTranspose2d", {**two, "kernel_size": 3}, ((2, 3, 4, 5),)),
        Case(
            "ConvTranspose2d",
            {**two, "kernel_size": 4, "stride": 2, "padding": 1, "bias": False},
            ((2, 3, 7, 7),),
        ),
        Case(
            "ConvTranspose2d",
            {
                **two,
                "kernel_size": (3, 2),
                "stride": (2, 3),
                "padding": (1, 0),
                "output_padding": (1, 2),
                "dilation": (2, 1),
            },
            ((2, 3, 4, 5),),
        ),
        Case(
            "ConvTranspose2d",
            {"in_channels": 32, "out_channels": 16, "kernel_size": 3, "groups": 2, "stride": 2},
            ((3, 32, 5, 4),),
        ),
    ]


def resized() -> list[Case]:
    line, picture = ((2, 3, 5),), ((2, 3, 4, 5),)
    return [
        Case("Upsample", {"scale_factor": 3}, line),
        Case("Upsample", {"scale_factor": (2, 1)}, picture),
        Case("Upsample", {"scale_factor": 1.7}, picture),
        Case("Upsample", {"size": (7, 3)}, picture),
        Case("Upsample", {"size": (8, 10)}, picture),
        Case("Upsample", {"size": 8, "mode": "linear"}, line),
        Case("Upsample", {"scale_factor": 2, "mode": "bilinear"}, picture),
        Case("Upsample", {"scale_factor": (2.5, 0.7), "mode": "bilinear"}, picture),
        Case("Upsample", {"size": (3, 9), "mode": "bilinear", "align_corners": True}, picture),
        Case("Upsample", {"size": (1, 2), "mode": "bilinear", "align_corners": True}, picture),
        *(Case("AdaptiveAvgPool1d", {"output_size": n}, ((2, 3, 6),)) for n in (1, 2, 4, 6, 8)),
        Case("AdaptiveAvgPool2d", {"output_size": 1}, picture),
        Case("AdaptiveAvgPool2d", {"output_size": (3, 2)}, picture),
        Case("AdaptiveAvgPool2d", {"output_size": (None, 3)}, picture),
    ]


def attention() -> list[Case]:
    sizes = {"embed_dim": 6, "num_heads": 2}
    causal = np.arange(5) > np.arange(5)[:, None]
    padding = np.arange(5) >= np.array([5, 2, 3])[:, None]
    added = np.random.default_rng(0).normal(size=(6, 4, 5))
    self_, others = ((5, 3, 6),), ((4, 3, 6), (5, 3, 6), (5, 3, 6))
    name = "MultiheadAttention"
    return [
        Case(name, {**sizes, "bias": False}, others),
        Case(name, sizes, self_, {"attn_mask": causal}),
        Case(name, sizes, self_, {"attn_mask": causal, "key_padding_mask": padding}),
        Case(name, sizes, others, {"attn_mask": added, "need_weights": False}),
        Case(
            name,
            {**sizes, "batch_first": True},
            ((3, 4, 6), (3, 5, 6), (3, 5, 6)),
            {"key_padding_mask": padding},
        ),
    ]


def windows() -> list[Case]:
    channels, two = {"in_channels": 3, "out_channels": 4}, ((2, 3, 7, 6),)
    return [
        Case("Conv1d", {**channels, "kernel_size": 3, "padding": "same"}, ((2, 3, 7),)),
        Case(
            "Conv1d", {**channels, "kernel_size": 4, "padding": "same", "dilation": 3}, ((2, 3, 7),)
        ),
        Case("Conv2d", {**channels, "kernel_size": (2, 3), "padding": "same"}, two),
        Case(
            "Conv2d",
            {**channels, "kernel_size": (4, 2), "padding": "same", "dilation": (1, 2)},
            two,
        ),
        Case("Conv2d", {**channels, "kernel_size": 3, "padding": "valid", "stride": 2}, two),
        Case("MaxPool1d", {"kernel_size": 2, "dilation": 3}, ((2, 3, 9),)),
        Case(
            "MaxPool1d",
            {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 2, "ceil_mode": True},
            ((2, 3, 10),),
        ),
        Case("MaxPool2d", {"kernel_size": 2, "stride": 1, "dilation": 2}, two),
        Case(
            "MaxPool2d",
            {
                "kernel_size": (3, 2),
                "stride": (1, 2),
                "padding": (1, 0),
                "dilation": (2, 3),
                "ceil_mode": True,
            },
            ((2, 3, 9, 8),),
        ),
    ]


def plain() -> list[Case]:
    x = ((3, 4),)
    return [
        Case("GroupNorm", {"num_groups": 2, "num_channels": 6}, ((3, 6, 2, 3),)),
        Case("GroupNorm", {"num_groups": 3, "num_channels": 6, "affine": False}, ((3, 6),)),
        Case("GELU", {}, x),
        Case("SiLU", {}, x),
        Case("LeakyReLU", {}, x),
        Case("LeakyReLU", {"negative_slope": 0.3}, x),
        Case("ELU", {}, x),
        Case("ELU", {"alpha": 0.5}, x),
        Case("Softmax", {"dim": 0}, x),
        Case("Softmax", {"dim": -1}, x),
        Case("Identity", {}, x),
    ]


CASES = {
    str(case): case
    for cases in (recurrent, transposed, resized, attention, windows, plain)
    for case in cases()
}
