"""How rules are differentiated twice and forward: each of the ways in which a rule can say so, and
where none does.
"""

import copy
import pickle

import numpy as np
import pytest
from oracle import assert_close

import minigrad as mg
from minigrad import nn
from minigrad.calculus.derivatives import VJP
from minigrad.graph.autodiff import topological_sort
from minigrad.graph.rule import Operator, Rule

RNG = np.random.default_rng(3)
X, W = RNG.normal(size=(2, 3, 5, 5)), RNG.normal(size=(4, 3, 2, 2))


def variable(value):
    return mg.Variable(value, dtype=np.float64)


def second(fn, *arrays):
    """A function of nodes whose gradient contains second derivatives of fn: Σ |∂Σfn²/∂x|²."""

    def total(*nodes):
        grads = mg.grad((fn(*nodes) ** 2).sum(), nodes, create_graph=True)
        return sum((grad * grad).sum() for grad in grads)

    return mg.gradcheck(total, arrays, rtol=1e-4)


def convolved(x, w):
    return mg.max_pool2d(mg.tanh(mg.conv2d(x, w)), 2).mean()


def penalty(x, w):
    """The gradient of the picture, squared: its own gradients are those of convolution, pooling and
    their backward.
    """
    dx = mg.grad(convolved(x, w), x, create_graph=True)
    return (dx * dx).sum()


# ---------------- elementwise and unfolded
def test_the_same_node_twice_counts_twice():
    a = RNG.normal(size=(3, 3))
    assert (
        second(lambda x: x * x, a[0])
        and second(lambda x: x @ x, a)
        and second(lambda x: mg.mse_loss(x, x * x), a)
    )
    x = variable(a)
    _, tangent = mg.jvp(lambda x: x @ x, [x], [a])
    assert_close(tangent, 2 * a @ a)


def test_shared_work_of_dropout_is_the_mask_of_its_forward():
    x = variable(np.ones(20))
    y = mg.dropout(x, 0.5, seed=1)
    slope = mg.grad((y * y).sum(), x, create_graph=True)
    graph = mg.Graph((slope * slope).sum())
    for _ in range(2):  # a replay draws another mask, forward and in the gradient
        graph.forward()
        np.testing.assert_array_equal(slope.value, 2 * y.value**2 / x.value)


# ---------------- what is linear in its inputs
def test_only_factors_have_further_derivatives():
    a, b = variable(np.ones(2)), variable(np.ones(2))
    back = mg.grad(mg.concatenate([a, b]), a, np.ones(4), create_graph=True)
    assert isinstance(back.rule, VJP) and not back.requires_grad
    x, w, bias = variable(np.ones((3, 2))), variable(np.ones((4, 2))), variable(np.ones(4))
    backs = mg.grad(mg.linear(x, w, bias), (x, w, bias), np.ones((3, 4)), create_graph=True)
    leaves = [{id(n) for n in topological_sort(back)} & {id(x), id(w), id(bias)} for back in backs]
    assert leaves == [{id(w)}, {id(x)}, set()]


@pytest.mark.parametrize("moving", [(True, False), (False, True), (True, True)])
def test_backward_through_a_backward_whatever_is_asked_for(moving):
    """Kernels size their work by what is asked for: each pass has buffers of its own."""
    xs, g = [variable(X), variable(W)], variable(np.ones((2, 4, 4, 4)))
    back = mg.grad(
        mg.conv2d(*xs),
        [x for x, wanted in zip(xs, moving, strict=True) if wanted],
        g,
        create_graph=True,
    )
    sum((b**2).sum() for b in back).backward()
    once = [None if x.grad is None else x.grad.copy() for x in (*xs, g)]
    sum((b**2).sum() for b in back).backward()
    alone = [
        mg.grad(mg.conv2d(*xs), x, g, create_graph=True)
        for x, wanted in zip(xs, moving, strict=True)
        if wanted
    ]
    each = [mg.grad(sum((b**2).sum() for b in alone), x) for x in (*xs, g)]
    for node, grad, expected in zip((*xs, g), once, each, strict=True):
        assert (grad is None) == (not expected.value.any())
        if grad is not None:
            assert_close(grad, expected.value)
            assert_close(node.grad, 2 * grad)


def test_a_gradient_is_copied_pickled_and_replayed_like_any_graph():
    x, w = variable(X), variable(W)
    loss = penalty(x, w)
    loss.backward()
    for twin in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert twin.item() == loss.item()
    graph = mg.Graph(loss)
    x.value, w.value = X[::-1].copy(), 2 * W
    graph.zero_grad()
    graph.forward()
    graph.backward()
    fresh = variable(X[::-1]), variable(2 * W)
    again = penalty(*fresh)
    again.backward()
    assert loss.item() == again.item()
    for node, other in zip((x, w), fresh, strict=True):
        np.testing.assert_array_equal(node.grad, other.grad)


def test_a_gradient_is_drawn():
    x, w = variable(np.ones((2, 3))), variable(np.ones((3, 2)))
    picture = mg.draw(mg.grad((x @ w).sum(), x, create_graph=True)).describe()
    assert "@ back" in picture


def test_the_modes_agree_on_a_gradient_penalty():
    class Net(nn.Module):
        def __init__(self):
            self.first, self.last = nn.Linear(4, 8, seed=0), nn.Linear(8, 3, seed=1)

        def forward(self, x):
            return self.last(mg.tanh(self.first(x)))

    x, y = RNG.normal(size=(20, 4)), RNG.integers(0, 3, 20)
    losses = []
    for mode in ("eager", "replay", "compiled"):
        net = Net()

        def loss(logits, ids, net=net):
            plain = mg.cross_entropy(logits, ids)
            slope = mg.grad(plain, net.first.weight, create_graph=True)
            return plain + (slope * slope).sum()

        trainer = mg.Trainer(net, loss, mg.optim.SGD(net.parameters(), lr=0.1), mode=mode)
        losses.append(trainer.fit(x, y, epochs=2, batch_size=10, progress=False).epoch_loss)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-6)
    np.testing.assert_allclose(losses[2], losses[0], rtol=1e-5)


def test_what_a_kernel_left_behind_is_read_in_every_mode():
    losses = []
    for mode in ("replay", "compiled"):
        model = nn.Sequential(nn.Linear(4, 4, seed=0), nn.Dropout(0.5, seed=0))

        def loss(y, t, model=model):
            slope = mg.grad(mg.mse_loss(y, t), model[0].weight, create_graph=True)
            return (slope * slope).sum()

        trainer = mg.Trainer(model, loss, mg.optim.SGD(model.parameters(), lr=0.1), mode=mode)
        losses.append(
            trainer.fit(
                np.ones((4, 4)), np.ones((4, 4)), epochs=3, batch_size=2, progress=False
            ).batch_loss
        )
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


# ---------------- operators of the user's own
cube = mg.operator(lambda x: x**3, lambda g, y, x: g * 3 * x**2, name="cube")
scaled = mg.operator(lambda a, b: a * b, lambda g, y, a, b: (g * b, g * a), name="scaled")
norm = mg.operator(lambda x: np.sqrt((x * x).sum()), lambda g, y, x: g * x / y, name="norm")


def test_operators_of_ones_own_have_all_derivatives():
    assert second(cube, RNG.normal(size=(2, 3)))
    assert second(
        scaled, RNG.normal(size=(2, 1, 3)), RNG.normal(size=(4, 1))
    )  # broadcasting is undone
    assert second(norm, RNG.normal(size=5))
    with mg.default_dtype(np.float64):
        a, v = RNG.normal(size=5), RNG.normal(size=5)
        assert_close(mg.jvp(norm, [a], [v])[1], a @ v / np.sqrt(a @ a))
        assert_close(mg.jvp(lambda x: scaled(x, x), [a], [v])[1], 2 * a * v)


@pytest.mark.filterwarnings("ignore::minigrad.errors.GradientWarning")
@pytest.mark.parametrize(
    "backward, message",
    [
        (
            lambda g, y, x: g * np.arctan2(x, 1),
            "odd: backward cannot be run on nodes, for derivatives of it: np.arctan2 has no",
        ),
        (
            lambda g, y, x: np.asarray(g) * 2,
            "odd: backward, run on nodes, returned ndarray; written in operators",
        ),
        (lambda g, y, x: (g, g), "odd: .*backward returned 2 gradients for 1 inputs"),
    ],
)
def test_a_backward_that_nodes_cannot_run_is_explained(backward, message):
    odd = mg.operator(lambda x: x, backward, name="odd")
    x = mg.Variable(np.ones(3))
    with pytest.raises(mg.GraphError, match=message):
        mg.grad(odd(x), x, np.ones(3), create_graph=True)
    with pytest.raises(mg.GraphError, match=message):
        mg.jvp(odd, [np.ones(3)], [np.ones(3)])


def test_an_input_without_gradient_stays_without():
    half = mg.operator(lambda a, b: a * b, lambda g, y, a, b: (g * b, None), name="half")
    a, b = variable(2.0), variable(3.0)
    da, db = mg.grad(half(a, b), (a, b), create_graph=True)
    assert (da.item(), db.item()) == (3, 0)
    assert mg.jvp(half, [2.0, 3.0], [0.0, 1.0])[1] == 0


def test_a_rule_that_says_nothing_is_refused_by_name():
    class Silent(Rule):
        def __init__(self):
            self.name = self.symbol = "silent"

        def shape(self, node):
            return node.inputs[0].shape

        def forward(self, node, out, *xs):
            np.copyto(out, xs[0])

        def backward(self, node, grads, g, y, *xs):
            np.copyto(grads[0], g)

    silent, x = Silent(), mg.Variable(np.ones(3))
    np.testing.assert_array_equal(
        mg.grad(silent(x), x, np.ones(3)).value, 1
    )  # a first derivative it has
    for ask in (
        lambda: mg.grad(silent(x), x, np.ones(3), create_graph=True),
        lambda: mg.jvp(silent, [x], [np.ones(3)]),
    ):
        with pytest.raises(
            mg.GraphError, match=r"silent: shapes \(3,\); its rule has no graph of its gradient"
        ):
            ask()


def test_the_walk_stops_at_what_is_known():
    x = mg.Variable(1.0)
    h = mg.sin(x)
    y = h * h + x
    assert topological_sort(y, known=[h, x]) == [y.inputs[0], y]
    assert all(isinstance(node, Operator) for node in topological_sort(y, known=[x]))
