"""A convolutional autoencoder that removes noise from digits (Vincent et al. 2008)."""

import numpy as np

import minigrad as mg
from minigrad import nn

NOISE = 0.4


def model() -> nn.Sequential:
    """Images (N, 1, 28, 28) to logits of images: down to 7 × 7 and up again."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(16, 1, 4, stride=2, padding=1),
    )


class Noisy(nn.Module):
    """The network on images with noise that is drawn anew at every step."""

    def __init__(self) -> None:
        self.clean = model()

    def forward(self, x):
        return self.clean(x + NOISE * mg.random.normal(x.shape))


def main(epochs: int = 20) -> float:
    """Train; returns the mean squared error on new images, as a share of the noise's NOISE²."""
    digits = mg.data.mnist_sample()
    x, test = digits.x_train[:, None], digits.x_test[:, None]
    mg.manual_seed(0)
    network = Noisy()
    loss = mg.binary_cross_entropy_with_logits  # of pixels between 0 and 1
    trainer = mg.Trainer(network, loss, mg.optim.Adam(network.parameters(), lr=3e-3))
    trainer.fit(x, x, epochs=epochs, batch_size=32, progress=False)
    cleaned = mg.sigmoid(trainer.predict(test)).value
    return float(np.mean((cleaned - test) ** 2)) / NOISE**2


if __name__ == "__main__":
    print(f"{main():.0%} of the noise is left")
