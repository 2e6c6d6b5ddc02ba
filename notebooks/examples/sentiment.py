"""Is a film review positive? An LSTM in both directions, which reads no padding."""

import numpy as np

import minigrad as mg
from minigrad import nn


class Reader(nn.Module):
    """Word ids (N, T) and lengths (N,) to logits (N, 1)."""

    def __init__(self, vocabulary: int, width: int = 32, hidden: int = 32) -> None:
        self.words = nn.Embedding(vocabulary, width)
        self.lstm = nn.LSTM(width, hidden, bidirectional=True, batch_first=True)
        self.score = nn.Linear(2 * hidden, 1)

    def forward(self, ids, lengths):
        _, (h, _) = self.lstm(self.words(ids), lengths=lengths)
        return self.score(mg.concatenate([h[0], h[1]], axis=1))


def main(samples: int = 20_000, epochs: int = 4, tests: int = 2000) -> float:
    """Train; returns the accuracy on reviews that were not trained on."""
    x, y, x_test, y_test = mg.data.imdb(vocabulary=8000, length=100)
    order = np.random.default_rng(0).permutation(len(x))[:samples]
    mg.manual_seed(0)
    model = Reader(8000)
    loss = mg.binary_cross_entropy_with_logits
    trainer = mg.Trainer(model, loss, mg.optim.Adam(model.parameters(), lr=5e-3))
    trainer.fit(padded(x[order]), y[order], epochs=epochs, batch_size=64, progress=False)
    return trainer.evaluate(padded(x_test[:tests]), y_test[:tests])["accuracy"]


def padded(ids):
    """Ids with the padding at the end, and how many are none (at least one)."""
    lengths = np.maximum((ids != 0).sum(1), 1)
    rows = np.argsort(ids == 0, axis=1, kind="stable")
    return np.take_along_axis(ids, rows, axis=1), lengths


if __name__ == "__main__":
    print(f"{main():.1%} of the reviews are told right")
