"""A small transformer that writes like Jane Austen (Vaswani et al. 2017).

It sees 64 characters and predicts the next one at each of them; a mask hides what comes later.
"""

import numpy as np

import minigrad as mg
from minigrad import nn

STEPS, CHARACTERS = 64, 128


class Block(nn.Module):
    """Attention and a dense part, each after a layer norm, added to what came in."""

    def __init__(self, width: int, heads: int) -> None:
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.dense = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.later = np.triu(np.ones((STEPS, STEPS), bool), 1)

    def forward(self, x):
        h = self.before(x)
        x = x + self.attention(h, h, h, attn_mask=self.later, need_weights=False)[0]
        return x + self.dense(self.between(x))


class Writer(nn.Module):
    """Characters (N, STEPS) to the logits of the next ones, (N · STEPS, CHARACTERS)."""

    def __init__(self, width: int = 64, heads: int = 4, blocks: int = 2) -> None:
        self.characters = nn.Embedding(CHARACTERS, width)
        self.places = nn.Embedding(STEPS, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(blocks)))
        self.norm, self.next = nn.LayerNorm(width), nn.Linear(width, CHARACTERS)

    def forward(self, ids):
        x = self.characters(ids) + self.places(np.arange(STEPS))
        return self.next(self.norm(self.blocks(x)))


def loss(logits, target):
    """Mean cross-entropy of all characters, in bits."""
    return mg.cross_entropy(mg.swapaxes(logits, 1, 2), target) / np.log(2)


def main(samples: int = 8000, epochs: int = 2) -> float:
    """Train; returns the loss on the last tenth of the text, in bits a character."""
    text = np.frombuffer(mg.data.novel().encode(), np.uint8)
    windows = np.lib.stride_tricks.sliding_window_view(text, STEPS + 1).astype(np.int64)
    end = len(windows) * 9 // 10
    train = windows[np.random.default_rng(0).choice(end - STEPS, samples, replace=False)]
    test = windows[end::97]
    mg.manual_seed(0)
    model = Writer()
    trainer = mg.Trainer(model, loss, mg.optim.Adam(model.parameters(), lr=3e-3))
    trainer.fit(train[:, :-1], train[:, 1:], epochs=epochs, batch_size=32, progress=False)
    return trainer.evaluate(test[:, :-1], test[:, 1:])["loss"]


if __name__ == "__main__":
    print(f"{main():.2f} bits a character")
