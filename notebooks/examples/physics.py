"""A network that solves u″ + u = 0 with u(0) = 0 and u′(0) = 1 (Raissi et al. 2019): the sine.

No values of the solution are given. The loss is how far the equation is from holding at some
points; the derivatives by the input are graphs themselves, so the loss has a gradient.
"""

import numpy as np

import minigrad as mg
from minigrad import nn

END = 2 * np.pi


def main(steps: int = 6000) -> float:
    """Train; returns the largest error between 0 and 2π."""
    mg.manual_seed(0)
    with mg.default_dtype(np.float64):
        layers = [nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1)]
    network = nn.Sequential(*layers)

    def u(t):  # both conditions hold by construction
        return t + t**2 * network(t) / END

    def residual(t):
        first = mg.grad(mg.sum(u(t)), t, create_graph=True)
        second = mg.grad(mg.sum(first), t, create_graph=True)
        return mg.mean((second + u(t)) ** 2)

    optimizer = mg.optim.Adam(network.parameters(), lr=5e-3)
    step = mg.compile(residual, optimizer)
    points = np.linspace(0, END, 64)[:, None]
    for number in range(steps):
        optimizer.lr = 5e-3 * 0.5 ** (number / (steps / 6))
        step(points)
    return float(np.abs(u(mg.Constant(points, dtype=np.float64)).value - np.sin(points)).max())


if __name__ == "__main__":
    print(f"largest error {main():.4f}")
