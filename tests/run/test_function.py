"""`mg.compile`: any function of arrays to a loss as a step; the oracle is the eager run."""

import numpy as np
import pytest
from oracle import assert_close

import minigrad as mg
from minigrad import nn
from minigrad.run import function as module

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(12, 3)), RNG.normal(size=(12, 1))


@pytest.fixture(autouse=True)
def doubles():
    with mg.default_dtype(np.float64):
        yield


def net(seed=0):
    return nn.Sequential(nn.Linear(3, 8, seed=seed), nn.Tanh(), nn.Linear(8, 1, seed=seed + 1))


def eagerly(function, optimizer, *arrays):
    optimizer.zero_grad()
    made = function(*(mg.Variable(a) if np.asarray(a).dtype.kind == "f" else a for a in arrays))
    loss, *others = made if isinstance(made, tuple) else (made,)
    loss.backward()
    optimizer.step()
    return loss.value.item(), [one.value.copy() for one in others]


def test_a_step_is_that_of_the_loop_written_out():
    models = [net(), net()]
    a, b = ((lambda x, y, m=m: mg.mse_loss(m(x), y)) for m in models)
    ours, theirs = (mg.optim.Adam(m.parameters(), lr=0.01) for m in models)
    step = mg.compile(a, ours)
    for _ in range(4):
        assert_close(step(X, Y), eagerly(b, theirs, X, Y)[0])
    for p, q in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert_close(p.value, q.value)
    assert ours.steps == 4 and "def part" in step.source


def test_other_results_are_returned():
    models = [net(), net()]
    a, b = ((lambda x, m=m: (mg.mean(m(x) ** 2), m(x).T, mg.sum(x))) for m in models)
    step, other = mg.compile(a, mg.optim.SGD(models[0].parameters(), lr=0.1)), models[1]
    optimizer = mg.optim.SGD(other.parameters(), lr=0.1)
    for x in (X, X[::-1]):
        loss, output, total = step(x)
        expected, (wanted, summed) = eagerly(b, optimizer, x)
        assert_close(loss, expected)
        assert_close(output, wanted)
        assert_close(total, summed)
        assert output.shape == (1, 12) and total.shape == ()


def test_the_loss_may_be_among_the_other_results():
    w = mg.Variable([2.0])

    def function(x):
        loss = mg.sum(w * x)
        return loss, loss * 2

    assert mg.compile(function)(np.array([3.0])) == (6.0, 12.0)


def test_without_an_optimiser_gradients_are_left_in_the_variables():
    model, frozen = net(), mg.Variable([1.0])
    frozen.requires_grad = False
    step = mg.compile(lambda x, y: mg.mse_loss(model(x) * frozen, y))
    step(X, Y)
    found = [p.grad.copy() for p in model.parameters()]
    assert frozen.grad is None
    step(X, Y)  # set anew, not added
    for p in model.parameters():
        p.zero_grad()
    mg.mse_loss(model(X), Y).backward()
    for p, grad in zip(model.parameters(), found, strict=True):
        assert_close(grad, p.grad)


def test_gradients_by_the_inputs_within_the_function():
    """The residual of u' = -u, as physics-informed networks are trained."""
    models = [
        nn.Sequential(nn.Linear(1, 6, seed=0), nn.Tanh(), nn.Linear(6, 1, seed=1)) for _ in "ab"
    ]

    def residual(model):
        def loss(t):
            u = model(t)
            du = mg.grad(mg.sum(u), t, create_graph=True)
            return mg.mean((du + u) ** 2)

        return loss

    t = RNG.normal(size=(10, 1))
    ours, theirs = (mg.optim.Adam(m.parameters(), lr=0.01) for m in models)
    step = mg.compile(residual(models[0]), ours)
    for _ in range(3):
        assert_close(step(t), eagerly(residual(models[1]), theirs, t)[0])


def test_two_steps_share_parameters_and_have_optimisers_of_their_own():
    """As generator and discriminator do: each trains its half and goes through the other's."""
    found = []
    for compiled in (True, False):
        g, d = net(0), nn.Linear(1, 1, seed=5)
        og, od = mg.optim.Adam(g.parameters(), lr=0.02), mg.optim.Adam(d.parameters(), lr=0.03)

        def first(x, g=g, d=d):
            return mg.mean((d(g(x)) - 1) ** 2)

        def second(x, g=g, d=d):
            return mg.mean(d(g(x)) ** 2)

        if compiled:
            steps = mg.compile(first, og), mg.compile(second, od)
            found.append([step(X) for _ in range(3) for step in steps])
        else:
            pairs = (first, og), (second, od)
            found.append([eagerly(f, o, X)[0] for _ in range(3) for f, o in pairs])
    assert_close(*map(np.array, found))


def test_shapes_modes_and_frozen_parameters_are_noticed():
    calls = []
    model = nn.Sequential(nn.Linear(3, 4, seed=0), nn.Dropout(0.5, seed=1), nn.Linear(4, 1, seed=2))

    def function(x):
        calls.append(len(x))
        return mg.mean(model(x) ** 2)

    step = mg.compile(function, mg.optim.SGD(model.parameters(), lr=0.0001))
    step(X)
    made = len(calls)
    step(X[::-1])
    assert len(calls) == made
    step(X[:6])
    assert len(calls) > made
    model.eval()
    assert step(X) == pytest.approx(mg.mean(model(X) ** 2).value.item(), rel=1e-3)
    frozen = model[0].weight
    frozen.requires_grad = False
    before = frozen.value.copy()
    step(X)
    assert (frozen.value == before).all()


def test_samples_of_all_inputs_are_shared_by_threads(monkeypatch):
    monkeypatch.setattr("minigrad.run.batch.WORTH_THREADS", 0)
    monkeypatch.setattr("minigrad.kernels.jit.threads", lambda *_: 2)
    models = [net(), net()]
    a, b = ((lambda x, y, m=m: mg.mse_loss(m(x), y)) for m in models)
    step = mg.compile(a, mg.optim.SGD(models[0].parameters(), lr=0.1))
    theirs = mg.optim.SGD(models[1].parameters(), lr=0.1)
    for _ in range(2):
        assert_close(step(X, Y), eagerly(b, theirs, X, Y)[0])
    assert step._last.parts == 2


def test_a_function_that_holds_a_shape_fast_is_not_shared(monkeypatch):
    """Half of the batch does not fit the noise, which is drawn for all of it."""
    monkeypatch.setattr("minigrad.run.batch.WORTH_THREADS", 0)
    monkeypatch.setattr("minigrad.kernels.jit.threads", lambda *_: 2)
    w = mg.Variable([1.0, 2.0, 3.0])

    def noisy(x):
        return mg.mean((x * w + mg.random.normal(X.shape, seed=1)) ** 2)

    step = mg.compile(noisy, mg.optim.SGD([w], lr=0.1))
    assert step(X) > 0 and step._last.parts == 1


def test_integers_single_numbers_and_no_input_at_all():
    table = mg.Variable(RNG.normal(size=(5, 2)))
    step = mg.compile(lambda ids, scale: mg.sum(mg.embedding(ids, table)) * scale)
    assert_close(step(np.array([[0, 4], [4, 1]]), 2.0), 2 * table.value[[0, 4, 4, 1]].sum())
    with pytest.raises(IndexError):
        step(np.array([[0, 5], [4, 1]]), 2.0)
    alone = mg.compile(lambda: mg.sum(table * table), mg.optim.SGD([table], lr=0.25))
    before = (table.value**2).sum()
    assert_close(alone(), before)
    assert_close(alone(), before / 4)


def test_a_loss_that_is_not_finite_updates_nothing():
    w = mg.Variable([1.0])
    step = mg.compile(lambda x: mg.sum(mg.log(x) * w), mg.optim.SGD([w], lr=1.0))
    said = r"^compile: <lambda>: the loss is -inf; nothing is updated"
    with np.errstate(divide="ignore"), pytest.raises(mg.GraphError, match=said):
        step(np.array([0.0]))
    assert w.value[0] == 1.0


def numbered(x):
    return mg.sum(x) * float(mg.sum(x))


with mg.default_dtype(np.float64):
    W = mg.Variable([1.0])


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: 1.0, r"compile: <lambda> returned a float; a node, the loss, was expected"),
        (lambda x: x, r"compile: <lambda>: the loss has shape \(12, 3\); a single number"),
        (mg.sum, r"depends on none of the optimiser's parameters"),
        (numbered, r"is read as a number while its graph is built to run again"),
        (lambda x: mg.sum(x * W) * np.random.rand(), r"<lambda> does something else when it is ca"),
    ],
)
def test_wrong_functions(function, said):
    with pytest.raises((mg.GraphError, mg.ShapeError), match=said):
        mg.compile(function)(X)


def test_wrong_arguments():
    with pytest.raises(TypeError, match="^compile: a int; a function was expected"):
        mg.compile(3)
    step = mg.compile(lambda x: mg.sum(x * W))
    with pytest.raises(TypeError, match="argument 0 is a str, not numbers"):
        step("x")
    with pytest.raises(mg.ShapeError, match="argument 0 has rows of different lengths"):
        step([[1], [1, 2]])
    with pytest.raises(mg.GraphError, match="there is no source before the first call"):
        assert step.source


def test_few_shapes_are_kept():
    w = mg.Variable([1.0])
    step = mg.compile(lambda x: mg.sum(x * w))
    for n in range(1, 12):
        step(np.ones(n))
    assert len(step._kept) == module.KEPT
