"""The models, written once for all libraries whose layers have PyTorch's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

LOSSES = {
    "mse_loss": ("cnn", "mlp"),
    "binary_cross_entropy": ("textcnn",),
    "cross_entropy": (
        *("rnn", "lenet", "residual", "lstm", "gru", "wide", "transformer"),
        "cross_entropy",
    ),
}


def loss_of(kind: str) -> str | None:
    """The name of the loss of a model; None for an operator that is compared without one."""
    return next((loss for loss, kinds in LOSSES.items() if kind in kinds), None)


def model_and_loss(kind: str, nn: Any, functions: Any) -> tuple[Callable[..., Any], Any]:
    """Return the function that makes a model or layer of a kind, and its loss, or None.

    `nn` and `functions` are minigrad's or PyTorch's modules of layers and of functions, which have
    the same names.
    """
    name = loss_of(kind)
    make = getattr(Models(nn, functions), kind, None) or getattr(nn, kind)
    return make, getattr(functions, name) if name else None


class Models:
    """A method for each model; its arguments are the `options` of a task."""

    def __init__(self, nn: Any, functions: Any) -> None:
        self.nn, self.functions = nn, functions

    def composed(self, forward: Callable[[Any, Any], Any], **layers: Any) -> Any:
        """A module with these layers; `forward(self, x)` says how they follow each other."""
        net = type("Net", (self.nn.Module,), {"forward": forward})()
        for name, layer in layers.items():
            setattr(net, name, layer)
        return net

    # ---------------- those of the papers, and operators
    def cnn(self, channels: int, filters: int, kernel: int, pixels: int) -> Any:
        nn = self.nn
        dense = nn.Linear(filters * (pixels - kernel + 1) ** 2, 1)
        conv = nn.Conv2d(channels, filters, kernel)
        return nn.Sequential(conv, nn.ReLU(), nn.Flatten(), dense, nn.Sigmoid())

    def textcnn(self, vocabulary: int, width: int, filters: int, pool: int, length: int) -> Any:
        nn, functions = self.nn, self.functions

        def forward(self: Any, ids: Any) -> Any:
            h = self.conv(functions.swapaxes(self.embedding(ids), 1, 2))
            return functions.sigmoid(self.dense(self.flatten(self.pool(functions.relu(h)))))

        return self.composed(
            forward,
            embedding=nn.Embedding(vocabulary, width),
            conv=nn.Conv1d(width, filters, 3),
            pool=nn.MaxPool1d(pool),
            flatten=nn.Flatten(),
            dense=nn.Linear(filters * ((length - 2) // pool), 1),
        )

    def rnn(
        self, width: int, hidden: int, classes: int = 10, cell: str = "RNN", **first: Any
    ) -> Any:
        """Sequences (N, T, width), or ids with an `embedding` first, to the last state's logits."""
        nn, swapaxes = self.nn, self.functions.swapaxes

        def forward(self: Any, x: Any) -> Any:
            x = self.embedding(x) if first else x
            return self.dense(self.rnn(swapaxes(x, 0, 1))[0][-1])

        layers = {"rnn": getattr(nn, cell)(width, hidden), "dense": nn.Linear(hidden, classes)}
        return self.composed(forward, **first, **layers)

    def mlp(self, inputs: int, hidden: int) -> Any:
        nn, widths = self.nn, (inputs, hidden, hidden)
        layers = [layer for n in widths for layer in (nn.Linear(n, hidden), nn.Tanh())]
        return nn.Sequential(*layers, nn.Linear(hidden, 1))

    def cross_entropy(self) -> Any:
        return self.nn.Sequential()

    def all_reduce(self, size: int) -> Any:
        return self.nn.Sequential()

    # ---------------- what people build; the last option is a width
    def lenet(self, rate: float, width: int) -> Any:
        """Images (N, 1, 28, 28) to ten logits; `rate` is that of dropout."""
        nn, layers = self.nn, list[Any]()
        for channels, filters in ((1, 12), (12, 24)):
            conv = nn.Conv2d(channels, filters, 5)
            layers += conv, nn.BatchNorm2d(filters), nn.ReLU(), nn.MaxPool2d(2)
        layers += nn.Flatten(), nn.Linear(24 * 16, width), nn.ReLU(), nn.Dropout(rate)
        return nn.Sequential(*layers, nn.Linear(width, 10))

    def residual(self, width: int) -> Any:
        """Images (N, 1, 28, 28) to ten logits: a block of 14 × 14 pixels and one of 7 × 7."""
        nn, relu = self.nn, self.functions.relu

        def conv(channels: int, filters: int, stride: int = 1) -> Any:
            return nn.Sequential(
                nn.Conv2d(channels, filters, 3, stride, 1), nn.BatchNorm2d(filters)
            )

        def forward(self: Any, x: Any) -> Any:
            h = relu(self.first(x))
            h = relu(h + self.b(relu(self.a(h))))
            h = relu(self.down(h))
            h = relu(h + self.d(relu(self.c(h))))
            return self.dense(h.mean((2, 3)))

        n = width
        return self.composed(
            forward,
            first=conv(1, n, 2),
            a=conv(n, n),
            b=conv(n, n),
            down=conv(n, 2 * n, 2),
            c=conv(2 * n, 2 * n),
            d=conv(2 * n, 2 * n),
            dense=nn.Linear(2 * n, 10),
        )

    def lstm(
        self, classes: int, vocabulary: int, width: int, hidden: int, cell: str = "LSTM"
    ) -> Any:
        """Ids (N, T) to logits, from the last state."""
        first = self.nn.Embedding(vocabulary, width)
        return self.rnn(width, hidden, classes, cell, embedding=first)

    def gru(self, *sizes: int) -> Any:
        return self.lstm(*sizes, cell="GRU")

    def wide(self, inputs: int, width: int) -> Any:
        nn = self.nn
        hidden = nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        return nn.Sequential(*hidden, nn.Linear(width, 10))

    def transformer(self, classes: int, heads: int, width: int) -> Any:
        """Ids (N, T) to logits: a block of attention and a dense part, each after a layer norm."""
        nn, swapaxes, gelu = self.nn, self.functions.swapaxes, self.functions.gelu
        attend = getattr(self.functions, "scaled_dot_product_attention", self.attend)

        def forward(self: Any, ids: Any) -> Any:
            x = self.embedding(ids)
            n, t, _ = x.shape
            parts = self.inputs(self.norm1(x)).reshape((n, t, 3, heads, width // heads))
            q, k, v = (swapaxes(parts[:, :, i], 1, 2) for i in range(3))
            x = x + self.outputs(swapaxes(attend(q, k, v), 1, 2).reshape((n, t, width)))
            x = x + self.down(gelu(self.up(self.norm2(x))))
            return self.dense(x.mean(1))

        return self.composed(
            forward,
            embedding=nn.Embedding(classes, width),
            norm1=nn.LayerNorm(width),
            inputs=nn.Linear(width, 3 * width),
            outputs=nn.Linear(width, width),
            norm2=nn.LayerNorm(width),
            up=nn.Linear(width, 4 * width),
            down=nn.Linear(4 * width, width),
            dense=nn.Linear(width, classes),
        )

    def attend(self, q: Any, k: Any, v: Any) -> Any:
        """What PyTorch has as a function of its own."""
        weights = self.functions.softmax(
            q @ self.functions.swapaxes(k, -1, -2) / q.shape[-1] ** 0.5
        )
        return weights @ v
