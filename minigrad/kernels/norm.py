"""Normalisation of groups of numbers to mean 0 and variance 1.

Arrays are (n, groups, length): a group is everything at one place of the middle axis. For batch
normalisation groups are channels, and n and length run over samples and places; for layer
normalisation groups are samples, and n is 1. There is one thread: a pass takes about as long as
reading the array, and threads would quintuple the compile time.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# (Numba infers the types of what it compiles from each call)

import numpy as np

from .jit import jit
from .simd import shaped


def normalise_reference(x, eps, mean=None, var=None):
    """(x - mean) / sqrt(var + eps) of each group, with its own mean and (biased) variance unless
    they are given.
    """
    axes = (0, 2)
    mean = x.mean(axes) if mean is None else mean
    var = np.square(x - mean[:, None]).mean(axes) if var is None else var
    return (x - mean[:, None]) / np.sqrt(var[:, None] + eps)


def normalise_backward_reference(g, x, eps):
    """The gradient of x where mean and variance come from x: g less what a change of mean and
    variance takes back.
    """
    z = normalise_reference(x, eps)
    var = np.square(x - x.mean((0, 2))[:, None]).mean((0, 2))
    inner = g - g.mean((0, 2))[:, None] - z * (g * z).mean((0, 2))[:, None]
    return inner / np.sqrt(var[:, None] + eps)


@jit(reassociate=True)
def totals(x, sums):
    """The sums of the groups of x (n, groups, length) in the first row of `sums` (2, groups), which
    is float64.
    """
    n, groups, length = x.shape
    if length == 1:  # groups lie side by side: all of them at once, row by row
        rows, total = shaped(x, (n, groups)), sums[0]
        total[:] = 0
        for i in range(n):
            row = rows[i]
            for j in range(row.size):
                total[j] += row[j]
        return
    for c in range(groups):
        # not 0.0, to which NumPy adds in float32 where nothing is compiled
        total = np.float64(0)
        for i in range(n):
            line = x[i, c]
            for j in range(line.size):
                total += line[j]
        sums[0, c] = total


@jit(reassociate=True)
def squares(x, count, sums):
    """The sums of squared distances from the mean in the second row of `sums`, whose first row has
    the sums of `count` numbers each, and then their mean. In a pass of its own nothing cancels.
    """
    n, groups, length = x.shape
    means = sums[0]
    for c in range(groups):
        means[c] /= count
    if length == 1:
        rows, square = shaped(x, (n, groups)), sums[1]
        square[:] = 0
        for i in range(n):
            row = rows[i]
            for j in range(row.size):
                d = row[j] - means[j]
                square[j] += d * d
        return
    for c in range(groups):
        middle, square = means[c], 0.0
        for i in range(n):
            line = x[i, c]
            for j in range(line.size):
                d = line[j] - middle
                square += d * d
        sums[1, c] = square


@jit
def moments(count, sums, mean, var):
    """Mean and biased variance of groups of `count` numbers, from `sums` (see `squares`)."""
    for c in range(mean.size):
        mean[c] = sums[0, c]
        var[c] = sums[1, c] / count


@jit
def forward(x, w, b, eps, mean, var, y, scratch):
    """y = (x - mean) / sqrt(var + eps) · w + b for x (n, groups, length); mean and var (groups,), w
    and b, too, or (0,) for 1 and 0; scratch (3, groups).
    """
    n, groups, length = x.shape
    scale, shift = scratch[0], scratch[1]
    for c in range(groups):
        scale[c] = (w[c] if w.size else 1) / np.sqrt(var[c] + eps)
        shift[c] = b[c] if b.size else 0
    if length == 1:
        xs, ys = shaped(x, (n, groups)), shaped(y, (n, groups))
        for i in range(n):
            row, goal = xs[i], ys[i]
            for j in range(row.size):
                goal[j] = (row[j] - mean[j]) * scale[j] + shift[j]
    else:
        for i in range(n):
            for c in range(groups):
                row, goal, middle, k, a = x[i, c], y[i, c], mean[c], scale[c], shift[c]
                for j in range(row.size):
                    goal[j] = (row[j] - middle) * k + a


@jit(reassociate=True)
def products(g, x, mean, sums):
    """The sums of g and of g · (x - mean) of each group, in `sums` (2, groups)."""
    n, groups, length = x.shape
    if length == 1:
        gs, xs, totals, products = shaped(g, (n, groups)), shaped(x, (n, groups)), sums[0], sums[1]
        sums[:] = 0
        for i in range(n):
            row, other = gs[i], xs[i]
            for j in range(row.size):
                totals[j] += row[j]
                products[j] += row[j] * (other[j] - mean[j])
    else:
        for c in range(groups):
            total, product, middle = np.float64(0), np.float64(0), mean[c]
            for i in range(n):
                row, other = g[i, c], x[i, c]
                for j in range(row.size):
                    total += row[j]
                    product += row[j] * (other[j] - middle)
            sums[0, c], sums[1, c] = total, product


@jit
def _spread(g, x, mean, factors, gx):
    """gx = (g - a - (x - mean) · b) · k with the rows k, a, b of `factors`."""
    n, groups, length = x.shape
    if length == 1:
        gs, xs, goals = shaped(g, (n, groups)), shaped(x, (n, groups)), shaped(gx, (n, groups))
        ks, less, slopes = factors[0], factors[1], factors[2]
        for i in range(n):
            row, other, goal = gs[i], xs[i], goals[i]
            for j in range(row.size):
                goal[j] = (row[j] - less[j] - (other[j] - mean[j]) * slopes[j]) * ks[j]
    else:
        for i in range(n):
            for c in range(groups):
                row, other, goal, middle = g[i, c], x[i, c], gx[i, c], mean[c]
                k, a, b = factors[0, c], factors[1, c], factors[2, c]
                for j in range(row.size):
                    goal[j] = (row[j] - a - (other[j] - middle) * b) * k


@jit
def affine(sums, var, eps, gw, gb):
    """The gradients gw and gb (groups,) from the sums of `products`; None is not asked for."""
    for c in range(var.size):
        if gw is not None:
            gw[c] = sums[1, c] / np.sqrt(var[c] + eps)
        if gb is not None:
            gb[c] = sums[0, c]


@jit
def backward(g, x, w, eps, count, mean, var, gx, sums, scratch):
    """The gradient gx (n, groups, length), from the sums of `products`.

    mean and var were computed from groups of `count` numbers and change with them (Ioffe & Szegedy
    2015, section 3); they were given if that is 0.
    """
    for c in range(mean.size):
        total, product, rate = sums[0, c], sums[1, c], 1 / np.sqrt(var[c] + eps)
        scratch[0, c] = rate * w[c] if w.size else rate
        scratch[1, c] = total / count if count else 0
        scratch[2, c] = product * rate * rate / count if count else 0
    _spread(g, x, mean, scratch, gx)


@jit
def follow(running_mean, running_var, mean, var, momentum, count):
    """Move the running statistics towards those of a batch, by the share `momentum`; the variance
    without its bias.
    """
    for c in range(mean.size):
        running_mean[c] += momentum * (mean[c] - running_mean[c])
        running_var[c] += momentum * (var[c] * count / (count - 1) - running_var[c])


@jit
def advance(counter):
    """Count one more pass; counter (1,)."""
    counter[0] += 1
