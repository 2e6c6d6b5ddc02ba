"""Two networks against each other (Goodfellow et al. 2014): points on a circle from noise.

The discriminator tells points of the circle from those of the generator, which learns to deceive
it. Each has its own compiled step, of a function that both networks are in.
"""

import numpy as np

import minigrad as mg
from minigrad import nn

NOISE = 8  # numbers from which a point is made


def network(inputs: int, outputs: int) -> nn.Sequential:
    """Two hidden layers of 64."""
    hidden = nn.Linear(inputs, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU()
    return nn.Sequential(*hidden, nn.Linear(64, outputs))


def main(steps: int = 3000, batch: int = 128) -> tuple[float, float]:
    """Train; returns the mean distance of the generated points from the circle of radius 1, and the
    share of 16 equal arcs that they reach.
    """
    mg.manual_seed(0)
    rng = np.random.default_rng(0)
    generator, discriminator = network(NOISE, 2), network(2, 1)
    adam = {"lr": 1e-3, "betas": (0.5, 0.9)}
    score = mg.binary_cross_entropy_with_logits

    def deceive(noise):
        told = discriminator(generator(noise))
        return score(told, np.ones(told.shape))

    def tell(real, noise):
        true, false = discriminator(real), discriminator(generator(noise))
        return score(true, np.ones(true.shape)) + score(false, np.zeros(false.shape))

    generate = mg.compile(deceive, mg.optim.Adam(generator.parameters(), **adam))
    discriminate = mg.compile(tell, mg.optim.Adam(discriminator.parameters(), **adam))
    for _ in range(steps):
        angles = rng.uniform(0, 2 * np.pi, batch)
        noise = rng.normal(size=(batch, NOISE))
        discriminate(np.stack([np.cos(angles), np.sin(angles)], 1), noise)
        generate(noise)
    points = generator(rng.normal(size=(1000, NOISE))).value
    radius, angle = np.hypot(*points.T), np.arctan2(points[:, 1], points[:, 0])
    arcs = np.unique(np.floor(angle / (2 * np.pi) * 16)).size / 16
    return float(np.abs(radius - 1).mean()), arcs


if __name__ == "__main__":
    distance, arcs = main()
    print(f"{distance:.3f} from the circle, {arcs:.0%} of its arcs")
