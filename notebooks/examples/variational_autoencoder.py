"""A variational autoencoder of handwritten digits (Kingma & Welling 2014).

The encoder gives mean and logarithm of the variance of eight numbers for each image, the decoder
draws the image from a sample of them. A lower bound of the likelihood, in nats, is trained.
"""

import minigrad as mg
from minigrad import nn


class Autoencoder(nn.Module):
    """Images (N, 784) to logits (N, 784), means (N, latent) and log-variances (N, latent)."""

    def __init__(self, latent: int = 8) -> None:
        self.encoder = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 2 * latent))
        self.decoder = nn.Sequential(nn.Linear(latent, 256), nn.ReLU(), nn.Linear(256, 784))
        self.latent = latent

    def forward(self, x):
        h = self.encoder(x)
        mean, log_variance = h[:, : self.latent], h[:, self.latent :]
        noise = mg.random.normal(mean.shape)
        return self.decoder(mean + mg.exp(log_variance / 2) * noise), mean, log_variance


def loss(outputs, x):
    """Minus the lower bound, per image: the error of the pixels, and what the code costs."""
    logits, mean, log_variance = outputs
    error = mg.binary_cross_entropy_with_logits(logits, x) * 784
    divergence = (mean**2 + mg.exp(log_variance) - log_variance - 1) / 2
    return error + mg.mean(mg.sum(divergence, axis=1))


def main(epochs: int = 30) -> float:
    """Train; returns the loss on images that were not trained on, in nats."""
    digits = mg.data.mnist_sample()
    x, test = (images.reshape(len(images), 784) for images in (digits.x_train, digits.x_test))
    mg.manual_seed(0)
    model = Autoencoder()
    trainer = mg.Trainer(model, loss, mg.optim.Adam(model.parameters(), lr=2e-3))
    trainer.fit(x, x, epochs=epochs, batch_size=50, progress=False)
    return trainer.evaluate(test, test)["loss"]


if __name__ == "__main__":
    print(f"{main():.1f} nats an image")
