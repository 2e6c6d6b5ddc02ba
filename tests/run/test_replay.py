"""Replay: a graph that runs again computes what a new one would, in the memory of its first run."""

import gc
import tracemalloc

import numpy as np
import pytest

import minigrad as mg

RNG = np.random.default_rng(0)
DATA = [(RNG.normal(size=(4, 2, 6, 6)).astype(np.float32), RNG.integers(0, 3, 4)) for _ in range(3)]


class Net:
    """A small network with a bit of everything."""

    def __init__(self):
        rng = np.random.default_rng(1)
        shapes = [(3, 2, 3, 3), (3,), (3, 12), (5, 3), (5, 5), (5,), (3, 5)]
        self.parameters = [mg.Variable(rng.normal(size=s) / 3) for s in shapes]

    def loss(self, x, ids):
        w, b, dense, wx, wh, bh, out = self.parameters
        h = mg.max_pool2d(mg.relu(mg.conv2d(x, w, b, padding=1)), 2).reshape(4, 3, 9)
        h = mg.concatenate([h, h.mean(axis=2, keepdims=True), h[:, :, :2]], axis=2)
        steps = mg.tanh(mg.linear(h, dense)).transpose(1, 0, 2)
        hidden = mg.rnn(steps, np.zeros((4, 5)), wx, wh, bh, bh)[-1]
        return mg.cross_entropy(hidden @ out.T, ids) + 0.01 * sum(
            (p * p).sum() for p in self.parameters
        )


def eager(batches):
    """Losses and gradients with a new graph per batch."""
    net, losses = Net(), []
    for x, ids in batches:
        loss = net.loss(mg.Constant(x), mg.Constant(ids, dtype=np.int64))
        loss.backward()
        losses.append(loss.item())
    return losses, [p.grad for p in net.parameters]


@pytest.fixture
def replayed():
    net = Net()
    x, ids = mg.Constant(DATA[0][0]), mg.Constant(DATA[0][1], dtype=np.int64)
    return net, x, ids, mg.Graph(net.loss(x, ids))


def test_the_same_bits_as_eager(replayed):
    """New constants are fed; gradients add up over batches until cleared."""
    net, x, ids, graph = replayed
    losses = []
    for x.value, ids.value in DATA:
        losses.append(graph.forward().item())
        graph.backward()
    expected, grads = eager(DATA)
    assert losses == expected
    for p, grad in zip(net.parameters, grads, strict=True):
        np.testing.assert_array_equal(p.grad, grad)
    graph.zero_grad()
    assert all(node.grad is None for node in graph.order)
    x.value, ids.value = DATA[1]
    graph.forward()
    graph.backward()
    for p, grad in zip(net.parameters, eager(DATA[1:2])[1], strict=True):
        np.testing.assert_array_equal(p.grad, grad)


def test_new_parameters_are_seen(replayed):
    net, _, _, graph = replayed
    before = graph.forward().item()
    graph.backward()
    for p in net.parameters:
        p.value -= 0.1 * p.grad
    assert graph.forward() < before


def test_memory_of_the_first_run(replayed):
    """Values keep their memory, and so do gradients, cleared or not."""
    *_, graph = replayed
    graph.backward()
    values, grads = [n._data for n in graph.order], [n.grad for n in graph.order]
    for _ in range(3):
        graph.zero_grad()
        graph.forward()
        graph.backward()
    assert all(n._data is a for n, a in zip(graph.order, values, strict=True))
    assert all(n.grad is a for n, a in zip(graph.order, grads, strict=True))


def bytes_in_arrays():
    """Memory that NumPy has allocated since tracemalloc started and still holds."""
    gc.collect()
    arrays = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([arrays]).traces)


def test_runs_do_not_grow_memory(replayed):
    *_, graph = replayed

    def step():
        graph.zero_grad()
        graph.forward()
        graph.backward()

    tracemalloc.start()
    step()
    start = bytes_in_arrays()
    for _ in range(20):
        step()
    end = bytes_in_arrays()
    tracemalloc.stop()
    assert end == start


def test_heavy_operators_allocate_no_arrays():
    """Convolution, pooling, products and the loss write into existing memory."""
    x, w = mg.Constant(np.ones((8, 4, 32, 32))), mg.Variable(np.ones((8, 4, 3, 3)) / 36)
    h = mg.max_pool2d(mg.conv2d(x, w), 2).reshape(8, -1)
    out = mg.Variable(np.ones((h.shape[1], 10)) / 1000)
    graph = mg.Graph(mg.cross_entropy(h @ out, np.arange(8)))
    for _ in range(2):
        graph.zero_grad()
        graph.forward()
        graph.backward()
    tracemalloc.start()
    graph.zero_grad()
    graph.forward()
    graph.backward()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < h.value.nbytes / 2  # its smallest activation has 57,600 bytes


def test_computed_constants_are_recomputed():
    """A branch without variables gets no gradient, but follows its inputs."""
    c, w = mg.Constant(2.0), mg.Variable(3.0)
    graph = mg.Graph(w * mg.exp(c))
    c.value = 0.0
    assert graph.forward() == 3
    graph.backward()
    assert w.grad == 1 and c.grad is None


def test_shapes_are_fixed(replayed):
    _, x, ids, graph = replayed
    for feed, wrong in ((x, np.zeros((5, 2, 6, 6))), (ids, [0, 1])):
        with pytest.raises(mg.ShapeError, match="a node keeps its shape"):
            feed.value = wrong
    with pytest.raises(mg.DTypeError):
        ids.value = [0.5, 0, 0, 0]
    ids.value = [
        0,
        1,
        2,
        3,
    ]  # no such class: an error in this run, after which the graph still works
    with pytest.raises(IndexError, match="class id 3"):
        graph.forward()
    ids.value = [0, 1, 2, 0]
    assert np.isfinite(graph.forward())


def test_a_head_with_a_shape_needs_a_gradient():
    x = mg.Variable([1.0, 2.0])
    graph = mg.Graph(x * x)
    with pytest.raises(mg.GraphError, match="not a single number"):
        graph.backward()
    graph.backward([1, 10])
    np.testing.assert_array_equal(x.grad, [2, 40])


def test_repr(replayed):
    *_, graph = replayed
    assert repr(graph) == f"<Graph of {len(graph.order)} nodes, head {graph.head!r}>"


def test_a_graph_follows_parameters_that_a_compiled_step_has_moved():
    """A reshape shares its input's memory, also after the input has moved to other memory."""

    class Column(mg.nn.Module):
        def __init__(self):
            self.w = mg.Variable(np.ones(3))

        def forward(self, x):
            return x @ self.w.reshape(1, 3).reshape(3, 1)

    model, x, y = (
        Column(),
        RNG.normal(size=(12, 3)).astype(np.float32),
        np.zeros((12, 1), np.float32),
    )
    trainer = mg.Trainer(model, mg.mse_loss, mg.optim.SGD(model.parameters(), lr=0.1))
    before = trainer.evaluate(x, y)["loss"]
    trainer.fit(x, y, epochs=3, batch_size=4, progress=False)
    after = trainer.evaluate(x, y)["loss"]  # on the graph that was built before
    assert after < before
    np.testing.assert_allclose(after, mg.mse_loss(model(x), y).value, rtol=1e-5)
