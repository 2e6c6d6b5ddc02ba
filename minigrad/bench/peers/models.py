"""The models as lists of layers, which each library makes in its own way.

A layer is its name and its arguments, as in PyTorch; `Layers` has those that are not there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

Layer = tuple[Any, ...]


def cnn(channels: int, filters: int, kernel: int, pixels: int) -> list[Layer]:
    conv, flat = ("Conv2d", channels, filters, kernel), filters * (pixels - kernel + 1) ** 2
    return [conv, ("ReLU",), ("Flatten",), ("Linear", flat, 1), ("Sigmoid",)]


def textcnn(vocabulary: int, width: int, filters: int, pool: int, length: int) -> list[Layer]:
    conv, flat = ("Conv1d", width, filters, 3), filters * ((length - 2) // pool)
    words = [("Embedding", vocabulary, width), ("ChannelsFirst",)]
    return [
        *words,
        conv,
        ("ReLU",),
        ("MaxPool1d", pool),
        ("Flatten",),
        ("Linear", flat, 1),
        ("Sigmoid",),
    ]


def rnn(width: int, hidden: int) -> list[Layer]:
    return [("Recurrent", "RNN", width, hidden), ("Linear", hidden, 10)]


def mlp(inputs: int, hidden: int) -> list[Layer]:
    layers = [each for n in (inputs, hidden, hidden) for each in (("Linear", n, hidden), ("Tanh",))]
    return [*layers, ("Linear", hidden, 1)]


# ---------------- what people build; the last option is a width
def lenet(rate: float, width: int) -> list[Layer]:
    layers: list[Layer] = []
    for conv in ((1, 12), (12, 24)):
        layers += ("Conv2d", *conv, 5), ("BatchNorm2d", conv[1]), ("ReLU",), ("MaxPool2d", 2)
    dense = ("Linear", 24 * 16, width), ("ReLU",), ("Dropout", rate), ("Linear", width, 10)
    return [*layers, ("Flatten",), *dense]


def residual(width: int) -> list[Layer]:
    """Two blocks, on 14 × 14 pixels and on 7 × 7."""

    def conv(channels: int, filters: int, stride: int = 1) -> tuple[Layer, Layer]:
        return ("Conv2d", channels, filters, 3, stride, 1), ("BatchNorm2d", filters)

    layers, relu = list[Layer](), ("ReLU",)
    for before, n in ((1, width), (width, 2 * width)):
        block = ("Residual", *conv(n, n), relu, *conv(n, n))
        layers += *conv(before, n, 2), relu, block, relu
    return [*layers, ("AvgPool2d", 7), ("Flatten",), ("Linear", 2 * width, 10)]


def gated(cell: str, classes: int, vocabulary: int, width: int, hidden: int) -> list[Layer]:
    words = ("Embedding", vocabulary, width)
    return [words, ("Recurrent", cell, width, hidden), ("Linear", hidden, classes)]


def wide(inputs: int, n: int) -> list[Layer]:
    return [("Linear", inputs, n), ("ReLU",), ("Linear", n, n), ("ReLU",), ("Linear", n, 10)]


def transformer(classes: int, heads: int, n: int) -> list[Layer]:
    """A block of attention and a dense part, each after a layer norm."""
    norm, dense = ("LayerNorm", n), (("Linear", n, 4 * n), ("GELU",), ("Linear", 4 * n, n))
    blocks = ("Residual", norm, ("Attention", heads, n)), ("Residual", norm, *dense)
    return [("Embedding", classes, n), *blocks, ("Mean",), ("Linear", n, classes)]


MODELS: dict[str, Callable[..., Sequence[Layer]]] = {
    **{f.__name__: f for f in (cnn, textcnn, rnn, mlp, lenet, residual, wide, transformer)},
    "lstm": partial(gated, "LSTM"),
    "gru": partial(gated, "GRU"),
    # operators that are no layer
    "cross_entropy": list,
    "all_reduce": lambda size: [],
}
_LOSSES = {"cnn": "mse_loss", "mlp": "mse_loss", "textcnn": "binary_cross_entropy"}


def loss_of(kind: str) -> str | None:
    """The name of the loss of a model; None for an operator that is compared without one."""
    return _LOSSES.get(kind, "cross_entropy") if kind in MODELS else None


def model_and_loss(kind: str, nn: Any, functions: Any) -> tuple[Callable[..., Any], Any]:
    """Return the function that makes a model or layer of a kind, and its loss, or None.

    `nn` and `functions` are minigrad's or PyTorch's modules of layers and of functions, which have
    the same names.
    """
    if kind not in MODELS:
        return getattr(nn, kind), None
    layers, loss = Layers(nn, functions), getattr(functions, str(loss_of(kind)))
    return lambda *options: layers.chain(*MODELS[kind](*options)), loss


class Layers:
    """Makes modules of a library: its own layers, and those here, which it does not have."""

    def __init__(self, nn: Any, functions: Any) -> None:
        self.nn, self.functions = nn, functions

    def chain(self, *layers: Layer) -> Any:
        return self.nn.Sequential(*(self.layer(*layer) for layer in layers))

    def layer(self, name: str, *options: Any) -> Any:
        make = getattr(self, name.lower(), None) or getattr(self.nn, name)
        return make(*options)

    def module(self, forward: Callable[[Any, Any], Any], **layers: Any) -> Any:
        """A module with these layers, which `forward(self, x)` calls."""
        net = type("Net", (self.nn.Module,), {"forward": forward})()
        for name, layer in layers.items():
            setattr(net, name, layer)
        return net

    def gelu(self) -> Any:
        gelu = self.functions.gelu
        return self.module(lambda self, x: gelu(x))

    def channelsfirst(self) -> Any:
        swapaxes = self.functions.swapaxes
        return self.module(lambda self, x: swapaxes(x, 1, 2))

    def mean(self) -> Any:
        """Over the steps."""
        return self.module(lambda self, x: x.mean(1))

    def residual(self, *layers: Layer) -> Any:
        return self.module(lambda self, x: x + self.layers(x), layers=self.chain(*layers))

    def recurrent(self, cell: str, width: int, hidden: int) -> Any:
        """Sequences (N, T, width) to the last state (N, hidden)."""
        swapaxes, layer = self.functions.swapaxes, self.layer(cell, width, hidden)
        return self.module(lambda self, x: self.layer(swapaxes(x, 0, 1))[0][-1], layer=layer)

    def attention(self, heads: int, width: int) -> Any:
        functions, swapaxes = self.functions, self.functions.swapaxes

        def plain(q: Any, k: Any, v: Any) -> Any:
            return functions.softmax(q @ swapaxes(k, -1, -2) / q.shape[-1] ** 0.5) @ v

        attend = getattr(functions, "scaled_dot_product_attention", plain)

        def forward(self: Any, x: Any) -> Any:
            parts = self.inputs(x).reshape((*x.shape[:2], 3, heads, width // heads))
            q, k, v = (swapaxes(parts[:, :, i], 1, 2) for i in range(3))
            return self.outputs(swapaxes(attend(q, k, v), 1, 2).reshape(x.shape))

        inputs, outputs = self.nn.Linear(width, 3 * width), self.nn.Linear(width, width)
        return self.module(forward, inputs=inputs, outputs=outputs)
