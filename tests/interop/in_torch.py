"""What runs in PyTorch's own process: `python in_torch.py FOLDER` (see test_torch.py).

For each model FOLDER has the parameters that minigrad saved, an input, and what minigrad computes
from it; written back are another set of parameters, made by PyTorch, and what PyTorch computes from
those.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import minigrad as mg
from minigrad import models


class TextCNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.conv, self.dense = (
            nn.Embedding(50, 6),
            nn.Conv1d(6, 8, 3),
            nn.Linear(16, 1),
        )
        self.pool = nn.MaxPool1d(8)

    def forward(self, ids):
        features = self.pool(torch.relu(self.conv(self.embedding(ids).transpose(1, 2))))
        return torch.sigmoid(self.dense(features.flatten(1)))


class RowRNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.dense = nn.RNN(7, 5), nn.Linear(5, 10)

    def forward(self, x):
        return self.dense(self.rnn(x.transpose(0, 1))[0][-1])


class First(nn.Module):
    """A recurrent layer's output without its state."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)[0]


def mlp():
    hidden = [part for width in (2, 25, 25) for part in (nn.Linear(width, 25), nn.Tanh())]
    return nn.Sequential(*hidden, nn.Linear(25, 1))


MODELS = {
    "mlp": mlp,
    "cnn": lambda: nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 26 * 26, 1), nn.Sigmoid()
    ),
    "textcnn": TextCNN,
    "rnn": RowRNN,
    "lstm": lambda: First(nn.LSTM(3, 4, num_layers=2)),
    "gru": lambda: First(nn.GRU(3, 4, num_layers=2)),
    "norm": lambda: nn.Sequential(
        nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3), nn.Flatten(), nn.LayerNorm(12)
    ),
}


def both_ways(name, folder, state):
    """`to_torch` gives what the file has; `from_torch` takes what PyTorch has, also in half the
    bits.
    """
    ours = OURS[name]()
    mg.load(ours, folder / f"{name}.safetensors")
    given = mg.interop.to_torch(ours)
    assert set(given) == set(state)
    assert all(torch.equal(given[key], state[key]) for key in state)
    if name == "cnn":
        mg.interop.from_torch(ours, {key: tensor.bfloat16() for key, tensor in state.items()})
        assert np.array_equal(
            ours.state_dict()["3.bias"], state["3.bias"].bfloat16().float().numpy()
        )
    fresh = MODELS[name]()
    mg.interop.from_torch(ours, fresh.state_dict())
    assert all(
        np.array_equal(array, fresh.state_dict()[key].numpy())
        for key, array in ours.state_dict().items()
    )


OURS = {
    "mlp": models.mlp,
    "cnn": models.cnn_five,
    "textcnn": lambda: models.TextCNN(50, 6, length=20),
    "rnn": lambda: models.RowRNN(7, 5),
}


def main(folder):
    for name, make in MODELS.items():
        torch.manual_seed(1)
        model, x = make().eval(), torch.from_numpy(np.load(folder / f"{name}-x.npy"))
        state = load_file(folder / f"{name}.safetensors")
        model.load_state_dict(state)
        with torch.no_grad():
            y, expected = model(x).numpy(), np.load(folder / f"{name}-y.npy")
            np.testing.assert_allclose(y, expected, rtol=1e-5, atol=2e-6, err_msg=name)
            other = make().eval()
            save_file(
                other.state_dict(), folder / f"{name}-torch.safetensors", metadata={"format": "pt"}
            )
            np.save(folder / f"{name}-torch-y.npy", other(x).numpy())
        if name in OURS:
            both_ways(name, folder, state)
    print("PyTorch agrees on", *MODELS)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
