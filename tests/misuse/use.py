"""What the misuses of the table are tried on, and whether it is as it was afterwards."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import minigrad as mg
from minigrad import nn, seeds
from minigrad.graph import settings

X, Y = np.linspace(-1, 1, 12, dtype=np.float32).reshape(6, 2), np.ones((6, 1), np.float32)
FIT = {"epochs": 1, "batch_size": 2, "progress": False}


def f(*shape, dtype=np.float32):
    """A variable of this shape."""
    return mg.Variable(np.ones(shape), dtype=dtype)


def whole(*shape):
    """A constant of integers of this shape."""
    return mg.Constant(np.ones(shape, int), dtype=np.int64)


def net():
    """Two inputs, one output, and all kinds of state: parameters, running statistics, a stream of
    masks.
    """
    return nn.Sequential(
        nn.Linear(2, 3, seed=0), nn.BatchNorm1d(3), nn.Dropout(seed=1), nn.Linear(3, 1, seed=2)
    )


def words():
    """Takes two ids, gives one output; it has an embedding to look them up in."""
    return nn.Sequential(nn.Embedding(4, 1, seed=0), nn.Flatten(), nn.Linear(2, 1, seed=1))


def train(model, loss=mg.mse_loss, mode="replay", **options):
    """A trainer of this model."""
    return mg.Trainer(model, loss, mg.optim.SGD(model.parameters(), lr=0.1), mode=mode, **options)


class Net(nn.Module):
    """A model of the user's own, with a mistake: the second layer does not fit the first."""

    def __init__(self):
        self.first, self.second = nn.Linear(2, 3, seed=0), nn.Linear(4, 1, seed=1)

    def forward(self, x):
        hidden = self.first(x)
        return self.second(hidden)


@dataclass
class Use:
    """`trainer` has made some steps with Adam; `graph` looks `ids` up in `table`; `folder` holds a
    model and a text.
    """

    folder: Path

    def __post_init__(self):
        model = net()
        self.trainer = mg.Trainer(
            model, mg.mse_loss, mg.optim.Adam(model.parameters()), mode="replay"
        )
        self.trainer.fit(X, Y, **FIT)
        self.model, self.optimizer = model, self.trainer.optimizer
        self.ids, self.table = (
            mg.Constant([0, 1], name="ids", dtype=np.int64),
            mg.Variable(np.ones((3, 2)), name="table"),
        )
        self.node = mg.embedding(self.ids, self.table)
        self.graph = mg.Graph(mg.tanh(self.node).sum())
        self.graph.backward()
        self.file = self.folder / "m.safetensors"
        mg.save(model, self.file)
        self.stray = self.folder / "notes.txt"
        self.stray.write_text("this is no model", encoding="utf-8")

    def state(self):
        """Everything that a misuse must not change, as bytes and plain values."""
        arrays = {**self.model.state_dict(), **self.optimizer.state_dict()}
        arrays |= {name: buffer.value for name, buffer in self.model.named_buffers()}
        arrays |= {f"{name}.grad": p.grad for name, p in self.model.named_parameters()}
        arrays |= {"table": self.table.value, "table.grad": self.table.grad}
        return {
            "arrays": {
                name: None if array is None else array.tobytes() for name, array in arrays.items()
            },
            "modes": [module.training for module in self.model.modules()],
            "hooks": sum(
                len(h.forward) + len(h.backward)
                for node in self.graph.order
                for h in node.hooks or ()
            ),
            "settings": (
                settings.float_dtype(),
                settings.recording(),
                settings.advancing(),
                settings.scope(),
            ),
            "generator": seeds.generator().bit_generator.state,
            "files": {
                path.name: path.read_bytes() for path in self.folder.iterdir() if path.is_file()
            },
        }
