"""Optimisers against their formulas, written out in NumPy."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import optim


def sgd(p, g, s, t, lr=0.1, momentum=0.0, nesterov=False, weight_decay=0.0):
    g = g + weight_decay * p
    s["v"] = momentum * s.get("v", 0) + g
    step = g + momentum * s["v"] if nesterov else s["v"]
    return p - lr * step


def adam(p, g, s, t, lr=0.1, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, decoupled=False):
    if decoupled:
        p = p - lr * weight_decay * p
    else:
        g = g + weight_decay * p
    s["m"] = betas[0] * s.get("m", 0) + (1 - betas[0]) * g
    s["v"] = betas[1] * s.get("v", 0) + (1 - betas[1]) * g**2
    return p - lr * (s["m"] / (1 - betas[0] ** t)) / (np.sqrt(s["v"] / (1 - betas[1] ** t)) + eps)


def rmsprop(p, g, s, t, lr=0.1, alpha=0.99, eps=1e-8, weight_decay=0.0):
    g = g + weight_decay * p
    s["v"] = alpha * s.get("v", 0) + (1 - alpha) * g**2
    return p - lr * g / (np.sqrt(s["v"]) + eps)


CASES = [
    (optim.SGD, sgd, {}),
    (optim.SGD, sgd, {"momentum": 0.9}),
    (optim.SGD, sgd, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    (optim.Adam, adam, {}),
    (optim.Adam, adam, {"betas": (0.8, 0.99), "eps": 1e-3, "weight_decay": 0.1}),
    (optim.AdamW, lambda *a, **o: adam(*a, decoupled=True, **o), {"weight_decay": 0.1}),
    (optim.RMSprop, rmsprop, {"alpha": 0.9, "weight_decay": 0.1}),
]


@pytest.mark.parametrize(("make", "formula", "options"), CASES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 2e-5)])
def test_five_steps_follow_the_formula(make, formula, options, dtype, tolerance):
    rng = np.random.default_rng(0)
    p = mg.Variable(rng.normal(size=(3, 4)), dtype=dtype)
    optimizer, expected, memory = make([p], lr=0.1, **options), p.value.astype(float), {}
    for t in range(1, 6):
        g = rng.normal(size=p.shape)
        p.grad = g.astype(dtype)
        optimizer.step()
        expected = formula(expected, g, memory, t, **options)
    np.testing.assert_allclose(p.value, expected, rtol=tolerance, atol=tolerance)
    assert p.dtype == dtype


def test_parameters_without_gradient_stay_and_shared_ones_move_once():
    p, idle = mg.Variable(1.0), mg.Variable(1.0)
    p.grad = np.float32([1.0]).reshape(())
    optim.SGD([p, p, idle], lr=0.5).step()
    assert (p.item(), idle.item()) == (0.5, 1.0)


def test_clipping_scales_all_gradients_together():
    p, q = mg.Variable([3.0]), mg.Variable([4.0])
    p.grad, q.grad = np.float32([3.0]), np.float32([4.0])
    assert optim.clip_grad_norm([p, q], 1.0) == pytest.approx(5)
    assert np.allclose([p.grad[0], q.grad[0]], [0.6, 0.8])
    assert optim.clip_grad_norm([p, q], 10.0) == pytest.approx(1)
    assert np.allclose([p.grad[0], q.grad[0]], [0.6, 0.8])


@pytest.mark.parametrize(
    "make",
    [
        lambda p: optim.SGD([], lr=0.1),
        lambda p: optim.SGD([np.ones(2)], lr=0.1),
        lambda p: optim.SGD([p], lr=-0.1),
        lambda p: optim.SGD([p], lr=0.1, momentum=1.0),
        lambda p: optim.SGD([p], lr=0.1, nesterov=True),
        lambda p: optim.Adam([p], betas=(1.0, 0.9)),
        lambda p: optim.Adam([p], eps=-1),
        lambda p: optim.Adam([p], weight_decay=-1),
        lambda p: optim.RMSprop([p], alpha=2),
        lambda p: optim.Adam([p], max_grad_norm=0),
        lambda p: optim.Adam([{"params": [p], "lr": -1}]),
        lambda p: optim.Adam([{"params": [p], "betas": (0.9, 1)}]),
        lambda p: optim.Adam([{"params": [p]}, {"params": [p]}]),
        lambda p: optim.SGD([{"params": []}], lr=0.1),
        lambda p: optim.SGD([{"params": [p], "nesterov": True}], lr=0.1),
    ],
)
def test_impossible_options_are_refused(make):
    with pytest.raises(ValueError, match="SGD|Adam|RMSprop"):
        make(mg.Variable(1.0))


def test_the_state_goes_round_and_refuses_another_optimisers():
    p = mg.Variable(np.ones(3))
    one, other = optim.Adam([p]), optim.Adam([p])
    p.grad = np.ones(3, np.float32)
    one.step()
    other.load_state_dict(one.state_dict())
    assert all(np.array_equal(a, other.state_dict()[name]) for name, a in one.state_dict().items())
    with pytest.raises(mg.GraphError, match="RMSprop"):
        optim.RMSprop([p]).load_state_dict(one.state_dict())


# ---------------- groups of parameters
@pytest.mark.parametrize(
    ("make", "options", "other"),
    [
        (optim.SGD, {"lr": 0.1}, {"lr": 0.3, "weight_decay": 0.1}),
        (optim.SGD, {"lr": 0.1}, {"momentum": 0.9, "nesterov": True}),
        (optim.Adam, {"lr": 0.1}, {"betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
        (optim.AdamW, {"lr": 0.1}, {"lr": 0.0}),
        (optim.RMSprop, {"lr": 0.1, "max_grad_norm": 1e9}, {"alpha": 0.5}),
    ],
)
def test_groups_train_as_optimisers_of_their_own(make, options, other):
    rng, steps = np.random.default_rng(0), range(4)
    values = [rng.normal(size=n) for n in (3, 4, 5)]
    together, alone = ([mg.Variable(value) for value in values] for _ in range(2))
    one = make([{"params": together[:2]}, {"params": iter(together[2:]), **other}], **options)
    apart = [make(alone[:2], **options), make(alone[2:], **options | other)]
    for _ in steps:
        for p, q in zip(together, alone, strict=True):
            p.grad = q.grad = rng.normal(size=p.shape).astype(np.float32)
        for optimizer in (one, *apart):
            optimizer.step()
    for p, q in zip(together, alone, strict=True):
        np.testing.assert_array_equal(p.value, q.value)
    one.lr = 0.5
    assert [group["lr"] for group in one.param_groups] == [0.5, 0.5] and one.lr == 0.5


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ([{"params": [mg.Variable(1.0)], "momentum": 0.9}], "option momentum; lr, eps, weight_"),
        ([{"lr": 0.1}], 'a group is a dict; a dictionary with "params"'),
        ([{"params": [mg.Variable(1.0)]}, mg.Variable(1.0)], "a group is a Variable"),
        ([{"params": mg.Variable(1.0)}], "params is a Variable; a list of"),
    ],
)
def test_wrong_groups_are_explained(groups, words):
    with pytest.raises(TypeError, match="Adam") as caught:
        optim.Adam(groups)
    assert words in str(caught.value)


def test_a_learning_rate_of_zero_changes_nothing():
    p = mg.Variable(1.0)
    p.grad = np.float32(1.0)
    optim.SGD([p], lr=0).step()
    assert p.item() == 1.0


def test_a_graph_of_old_values_is_not_pulled_back_after_a_step():
    w = mg.Variable(2.0)
    loss, optimizer = w * w, mg.optim.SGD([w], lr=0.1)
    loss.backward()
    optimizer.step()
    with pytest.raises(mg.GraphError, match="has been given another value since"):
        loss.backward()
    (w * w).backward()
