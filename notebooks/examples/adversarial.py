"""Images changed so little that we hardly see it, and a network that no longer knows them.

Each pixel moves by EPSILON along the sign of the loss's gradient (Goodfellow et al. 2015).
"""

import numpy as np

import minigrad as mg
from minigrad.models import cnn

EPSILON = 0.15


def main(epochs: int = 10) -> tuple[float, float]:
    """Train; returns the accuracy on new images, and on the same images changed."""
    digits = mg.data.mnist_sample()
    x, test = digits.x_train[:, None], digits.x_test[:, None]
    mg.manual_seed(0)
    model = cnn()
    trainer = mg.Trainer(model, mg.cross_entropy, mg.optim.Adam(model.parameters(), lr=2e-3))
    trainer.fit(x, digits.y_train, epochs=epochs, batch_size=32, progress=False)
    images = mg.Variable(test)
    mg.cross_entropy(model(images), digits.y_test).backward()
    changed = np.clip(test + EPSILON * np.sign(images.grad), 0, 1)
    before, after = (trainer.evaluate(some, digits.y_test)["accuracy"] for some in (test, changed))
    return before, after


if __name__ == "__main__":
    before, after = main()
    print(f"{before:.0%} of the images are told right, {after:.0%} of the changed ones")
