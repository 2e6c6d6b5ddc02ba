"""Losses and activations with all of their options, against PyTorch: values and gradients."""

import numpy as np
import pytest
from needs import need
from oracle import assert_close

import minigrad as mg

need("torch", "bench")
import torch
from torch.nn import functional

RNG = np.random.default_rng(0)
LOGITS, DEEP = RNG.normal(size=(7, 5)), RNG.normal(size=(4, 5, 2, 3))
IDS, PLACES = RNG.integers(0, 5, 7), RNG.integers(0, 5, (4, 2, 3))
SOME = np.where(RNG.random(7) < 0.4, -100, IDS)
SHARES = RNG.dirichlet(np.ones(5), 7)
WEIGHT = RNG.uniform(0.5, 2, 5)
X, T = RNG.normal(size=(6, 3)), RNG.normal(size=(6, 3))
P, Q = RNG.dirichlet(np.ones(3), 6), RNG.dirichlet(np.ones(3), 6)
SIGNS = np.sign(T)

LOSSES = [
    *(
        ("cross_entropy", (LOGITS, target), {**options, "reduction": reduction})
        for target in (IDS, SOME, SHARES)
        for options in (
            {},
            {"weight": WEIGHT},
            {"label_smoothing": 0.2},
            {"weight": WEIGHT, "label_smoothing": 0.3},
        )
        for reduction in ("mean", "sum", "none")
    ),
    ("cross_entropy", (LOGITS, IDS), {"ignore_index": 2}),
    ("cross_entropy", (LOGITS, IDS), {"ignore_index": 2, "weight": WEIGHT}),
    ("cross_entropy", (DEEP, PLACES), {}),
    ("cross_entropy", (DEEP, PLACES), {"weight": WEIGHT, "reduction": "none"}),
    ("cross_entropy", (DEEP, PLACES), {"ignore_index": 1, "label_smoothing": 0.1}),
    ("cross_entropy", (LOGITS[0], np.array(3)), {"reduction": "sum"}),
    *(
        ("nll_loss", (x, ids), {**options, "reduction": reduction})
        for x, ids in ((LOGITS, IDS), (LOGITS, SOME), (DEEP, PLACES))
        for options in ({}, {"weight": WEIGHT}, {"ignore_index": 2})
        for reduction in ("mean", "sum", "none")
        if not (ids is SOME and "ignore_index" in options)
    ),
    *(
        (name, pair, {**options, "reduction": reduction})
        for name, pair, options in (
            ("mse_loss", (X, T), {}),
            ("binary_cross_entropy", (P, Q), {}),
            ("binary_cross_entropy_with_logits", (X, Q), {}),
            ("smooth_l1_loss", (X, T), {}),
            ("smooth_l1_loss", (X, T), {"beta": 0.3}),
            ("smooth_l1_loss", (X, T), {"beta": 0.0}),
            ("kl_div", (np.log(P), Q), {}),
            ("kl_div", (np.log(P), Q * (Q > 0.3)), {}),
            ("kl_div", (np.log(P), np.log(Q)), {"log_target": True}),
        )
        for reduction in ("mean", "sum", "none", *["batchmean"] * (name == "kl_div"))
    ),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")  # of kl_div
@pytest.mark.parametrize(("name", "arrays", "options"), LOSSES, ids=lambda value: None)
def test_losses(name, arrays, options, dtype):
    tensors = [torch.tensor(a.astype(dtype) if a.dtype.kind == "f" else a) for a in arrays]
    # the slope of t log t at 0, infinite, is not a number in PyTorch
    smooth = [a.dtype.kind == "f" and bool(a.all()) for a in arrays]
    floats = [t.requires_grad_() for t, wanted in zip(tensors, smooth, strict=True) if wanted]
    theirs = {
        key: torch.tensor(value.astype(dtype)) if isinstance(value, np.ndarray) else value
        for key, value in options.items()
    }
    expected = getattr(functional, name)(*tensors, **theirs)
    pairs = zip(arrays, smooth, strict=True)
    nodes = [mg.Variable(a, dtype=dtype) if wanted else a for a, wanted in pairs]
    y = getattr(mg, name)(*nodes, **options)
    assert y.dtype == dtype
    assert_close(y.value, expected.detach().numpy(), y.dtype)
    g = RNG.uniform(0.5, 1.5, y.shape).astype(dtype)
    expected.backward(torch.tensor(g))
    y.backward(g)
    for node, tensor in zip((n for n in nodes if isinstance(n, mg.Variable)), floats, strict=True):
        assert_close(node.grad, tensor.grad.numpy(), y.dtype)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gelu", {}),
        ("gelu", {"approximate": "tanh"}),
        ("silu", {}),
        ("elu", {}),
        ("elu", {"alpha": 0.3}),
        ("leaky_relu", {"negative_slope": 0.3}),
        ("softplus", {}),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_activations(name, options, dtype):
    x = np.array([-1e3, -30.0, -2.0, -0.1, 0.0, 0.3, 4.0, 1e3], dtype)
    tensor, node = torch.tensor(x, requires_grad=True), mg.Variable(x, dtype=dtype)
    expected, y = getattr(functional, name)(tensor, **options), getattr(mg, name)(node, **options)
    expected.sum().backward()
    mg.sum(y).backward()
    assert_close(y.value, expected.detach().numpy(), y.dtype)
    assert_close(node.grad, tensor.grad.numpy(), y.dtype)
