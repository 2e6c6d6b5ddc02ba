"""Hooks: who is told, in which order, how often, and what happens when one fails."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest

import minigrad as mg


@pytest.fixture
def net():
    """x → square → (twice used) → total, and a log of what the hooks were told."""
    x = mg.Variable([1.0, 2.0], "x")
    square = x * x
    square.name = "square"
    total = (square + 3 * square).sum()
    total.name = "total"
    return x, square, total, mg.Graph(total)


def test_node_hooks_are_called_once_per_pass_with_the_complete_value(net):
    x, square, _, graph = net
    seen = []
    square.register_forward_hook(
        lambda node, value: seen.append(("forward", node.name, value.tolist()))
    )
    square.register_backward_hook(
        lambda node, grad: seen.append(("backward", node.name, grad.tolist()))
    )
    x.register_backward_hook(lambda node, grad: seen.append(("backward", node.name, grad.tolist())))
    graph.forward()
    graph.backward()
    expected = [
        ("forward", "square", [1, 4]),
        ("backward", "square", [4, 4]),
        ("backward", "x", [8, 16]),
    ]
    assert seen == expected
    graph.backward()  # x.grad adds up over passes
    assert seen[3:] == [("backward", "square", [4, 4]), ("backward", "x", [16, 32])]


def test_graph_hooks_follow_the_order_of_execution(net):
    *_, graph = net
    forward, backward = [], []
    graph.register_forward_hook(lambda node, value: forward.append(node))
    graph.register_backward_hook(lambda node, grad: backward.append(node))
    graph.forward()
    graph.backward()
    operators = [n for n in graph.order if n.inputs]
    assert [id(n) for n in forward] == [id(n) for n in operators]
    with_gradient = [n for n in reversed(graph.order) if n.requires_grad]
    assert [id(n) for n in backward] == [id(n) for n in with_gradient]


def test_hooks_run_in_the_order_they_were_registered(net):
    _, square, _, graph = net
    seen = []
    square.register_forward_hook(lambda *_: seen.append("node"))
    graph.register_forward_hook(lambda node, _: node is square and seen.append("graph"))
    square.register_forward_hook(lambda *_: seen.append("node again"))
    graph.forward()
    assert sorted(seen) == ["graph", "node", "node again"] and seen[0] == "node"


def test_a_removed_hook_is_silent(net):
    _, square, _, graph = net
    seen = []
    on_the_node = square.register_forward_hook(lambda *_: seen.append("node"))
    on_the_graph = graph.register_backward_hook(lambda *_: seen.append("graph"))
    for handle in (on_the_node, on_the_graph):
        handle.remove()
        handle.remove()  # twice does no harm
    graph.forward()
    graph.backward()
    assert not seen


def test_a_hook_may_remove_itself(net):
    _, square, _, graph = net
    seen = []

    def once(node, value):
        seen.append(node)
        handle.remove()

    handle = square.register_forward_hook(once)
    square.register_forward_hook(lambda node, value: seen.append("other"))
    graph.forward()
    graph.forward()
    assert seen[0] is square and seen[1:] == ["other", "other"]


def test_a_hook_watches_and_never_steers(net):
    *_, graph = net

    def meddle(node, array):
        array[...] = 0

    for register, run in (
        (graph.register_forward_hook, graph.forward),
        (graph.register_backward_hook, graph.backward),
    ):
        handle = register(meddle)
        with pytest.raises(ValueError, match="read-only"):
            run()
        handle.remove()


@pytest.mark.parametrize("way", ["forward", "backward"])
def test_a_hook_that_fails_leaves_the_graph_usable(net, way):
    x, square, _, graph = net

    def fail(node, array):
        raise ZeroDivisionError("in the hook")

    handle = getattr(square, f"register_{way}_hook")(fail)
    with pytest.raises(ZeroDivisionError, match="in the hook"):
        getattr(graph, way)()
    handle.remove()
    graph.zero_grad()
    assert graph.forward() == 20
    graph.backward()
    np.testing.assert_array_equal(x.grad, [8, 16])


def test_two_graphs_over_the_same_nodes_have_their_own_hooks(net):
    _, square, _, graph = net
    other, seen = mg.Graph(square), []
    other.register_forward_hook(lambda node, value: seen.append(node.name))
    graph.forward()  # runs square, which both watch
    assert seen == ["square"]


def test_eager_backward_calls_hooks_too(net):
    x, _, total, _ = net
    seen = []
    x.register_backward_hook(lambda node, grad: seen.append(grad.tolist()))
    total.backward()
    assert seen == [[8, 16]]


# ---------------- order, and how often
def tangle(seed):
    """A random graph in which nodes are shared, ways part and meet, and some nodes take one input
    twice.
    """
    rng = np.random.default_rng(seed)
    nodes = [mg.Variable(rng.normal(size=3), f"v{i}", dtype=np.float64) for i in range(3)]
    nodes.append(mg.Constant(rng.normal(size=3), "c", dtype=np.float64))
    for _ in range(12):
        a, b = (nodes[i] for i in rng.integers(len(nodes), size=2))
        nodes.append((mg.tanh(a), a * b, a + b, a * a)[rng.integers(4)])
    return mg.sum(nodes[-1] + nodes[-2] * nodes[-3])


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("eager", [True, False], ids=["eager", "replay"])
def test_every_node_of_a_tangle_is_told_once_with_its_complete_gradient(seed, eager):
    head = tangle(seed)
    graph = mg.Graph(head)
    seen = []
    for node in graph.order:
        node.register_backward_hook(lambda node, grad: seen.append((node, grad.copy())))
    for _ in range(2):
        seen.clear()
        graph.zero_grad()
        if eager:
            head.backward()
        else:
            graph.forward()
            graph.backward()
        place = {id(node): i for i, node in enumerate(graph.order)}
        places = [place[id(node)] for node, _ in seen]
        assert places == sorted(places, reverse=True) and len(set(places)) == len(places)
        assert len(places) == sum(node.grad is not None for node in graph.order)
        for node, told in seen:
            np.testing.assert_array_equal(told, node.grad)


def test_hooks_of_all_kinds_run_in_the_order_of_registration():
    layer, x, seen = mg.nn.Tanh(), mg.Variable([1.0]), []
    y = layer(x)
    graph = mg.Graph(y)
    for i, target in enumerate([graph, y, layer, y, graph, layer]):
        target.register_forward_hook(lambda node, value, i=i: seen.append(i) if node is y else None)
        target.register_backward_hook(
            lambda node, grad, i=i: seen.append(-i) if node is y else None
        )
    graph.forward()
    graph.backward([1.0])
    assert seen == [0, 1, 2, 3, 4, 5, 0, -1, -2, -3, -4, -5]


# ---------------- hooks that come and go
def test_a_hook_that_another_removes_is_silent_at_once(net):
    _, square, _, graph = net
    seen = []
    square.register_forward_hook(lambda *_: late.remove())
    late = square.register_forward_hook(lambda *_: seen.append("late"))
    graph.forward()
    assert not seen


@pytest.mark.parametrize("kind", ["node", "graph"])
def test_registering_during_a_pass(net, kind):
    """The new hook is told of what comes after, not of what is going on."""
    _, square, total, graph = net
    seen, handles = [], []

    def register(node, value):
        if not handles:
            target = square if kind == "node" else graph
            handles.append(target.register_forward_hook(lambda node, value: seen.append(node.name)))
            handles.append(
                total.register_forward_hook(lambda node, value: seen.append("later node"))
            )

    square.register_forward_hook(register)
    graph.forward()
    assert seen == {"node": ["later node"], "graph": [None, None, "total", "later node"]}[kind]
    graph.forward()
    assert "square" in seen


def test_hooks_that_come_and_go_leave_nothing_behind(net):
    _, square, *_ = net
    for _ in range(5):
        square.register_forward_hook(print).remove()
        square.register_backward_hook(print).remove()
    assert len(square.hooks) == 1


def test_a_module_that_returns_its_input_tells_once_per_pass():
    class Same(mg.nn.Module):
        def forward(self, x):
            return x

    same, x, seen = Same(), mg.Variable([1.0]), []
    same.register_backward_hook(lambda node, grad: seen.append(grad.tolist()))
    mg.sum(same(same(x))).backward()
    assert seen == [[1]] and len(x.hooks) == 1


@pytest.mark.parametrize("what", ["node", "graph", "module"])
def test_a_handle_keeps_no_node_alive(what):
    layer = mg.nn.Tanh()
    x = mg.Variable([1.0])
    y = layer(x)
    target = {"node": y, "graph": mg.Graph(y), "module": layer}[what]
    handle, gone = target.register_forward_hook(print), weakref.ref(y)
    del target, y
    gc.collect()
    assert gone() is None
    handle.remove()


# ---------------- modules
def test_module_hooks_inner_before_outer_and_back_again():
    model, seen = mg.nn.Sequential(mg.nn.Linear(2, 3), mg.nn.Tanh()), []
    for name, module in model.named_modules():
        module.register_forward_hook(lambda node, value, name=name: seen.append(f"forward {name}"))
        module.register_backward_hook(lambda node, grad, name=name: seen.append(f"backward {name}"))
    y = model(np.ones((1, 2)))
    assert seen == ["forward 0", "forward 1", "forward "]
    graph = mg.Graph(mg.sum(y))
    for _ in range(2):
        seen.clear()
        graph.forward()
        graph.backward()
        # the model's output is its last layer's: one node, its hooks in the order of registration
        assert seen == [
            "forward 0",
            "forward ",
            "forward 1",
            "backward ",
            "backward 1",
            "backward 0",
        ]


def test_a_module_that_is_called_twice_tells_of_both_calls():
    layer, seen = mg.nn.Linear(2, 2, seed=0), []
    layer.register_forward_hook(lambda node, value: seen.append(("forward", value.copy())))
    layer.register_backward_hook(lambda node, grad: seen.append(("backward", node)))
    first = layer(np.ones((1, 2)))
    second = layer(first)
    graph = mg.Graph(mg.sum(second))
    built, seen[:] = list(seen), []
    graph.forward()
    graph.backward()
    forward, backward = seen[:2], seen[2:]
    for values in (built, forward):
        assert [way for way, _ in values] == ["forward", "forward"]
        np.testing.assert_array_equal([value for _, value in values], [first.value, second.value])
    assert [node for _, node in backward] == [second, first]


def test_hooks_without_a_record():
    layer, seen = mg.nn.Linear(2, 2), []
    layer.register_forward_hook(lambda node, value: seen.append(type(node)))
    layer.register_backward_hook(lambda *_: seen.append("backward"))
    with mg.no_grad():
        layer(np.ones((1, 2)))
    assert seen == [mg.Constant]


COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda thing: pickle.loads(pickle.dumps(thing))}


@pytest.mark.parametrize("way", COPIES)
def test_hooks_stay_with_the_original(net, way):
    _, square, total, graph = net
    layer = mg.nn.Linear(2, 2)
    seen = []
    for target in (square, total, graph, layer):
        target.register_forward_hook(
            lambda *_: seen.append("forward")
        )  # a lambda, which no pickle takes
        target.register_backward_hook(lambda *_: seen.append("backward"))
    copied = COPIES[way](graph)
    assert copied.forward() == total.value
    copied.backward()
    COPIES[way](total).backward()
    mg.sum(COPIES[way](layer)(np.ones((1, 2)))).backward()
    assert not seen
    handle = copied.register_forward_hook(
        lambda node, _: seen.append(node)
    )  # the copy can have its own
    copied.forward()
    assert [id(node) for node in seen] == [id(node) for node in copied.order if node.inputs]
    handle.remove()


# ---------------- hooks that fail
def fail(node, array):
    raise ZeroDivisionError("in the hook")


def test_a_failing_hook_is_found_in_the_traceback(net):
    x, square, total, graph = net
    square.register_forward_hook(fail)
    x.register_backward_hook(fail)
    for run in (graph.forward, graph.backward, total.backward):
        with pytest.raises(ZeroDivisionError) as info:
            run()
        assert info.traceback[-1].name == "fail"


def test_what_a_pass_that_failed_leaves_behind():
    """Forward: new values up to the failing node, old ones after it. Backward: the nodes from the
    head to the failing one have their gradients, and have passed them on except for the failing
    one; what leaves had before is still in theirs.
    """
    a, b = mg.Variable([1.0, 2.0], "a"), mg.Variable([3.0, 4.0], "b")
    square = a * a
    product = square * b
    total = mg.sum(product)
    graph = mg.Graph(total)
    graph.backward()
    old = {"a": a.grad.copy(), "b": b.grad.copy()}

    a.value = [10.0, 20.0]
    handle = square.register_forward_hook(fail)
    with pytest.raises(ZeroDivisionError):
        graph.forward()
    assert (
        square.value.tolist() == [100, 400]
        and product.value.tolist() == [3, 16]
        and total.value == 19
    )
    handle.remove()
    assert graph.forward() == 100 * 3 + 400 * 4

    handle = square.register_backward_hook(fail)
    with pytest.raises(ZeroDivisionError):
        graph.backward()
    assert a.grad.tolist() == old["a"].tolist()  # square did not pass anything on
    assert b.grad.tolist() == (old["b"] + [100, 400]).tolist()  # product did, all of it
    handle.remove()

    graph.zero_grad()
    graph.backward()
    assert a.grad.tolist() == [2 * 10 * 3, 2 * 20 * 4] and b.grad.tolist() == [100, 400]


# ---------------- training
def circle_step(mode, hook=None):
    model = mg.nn.Sequential(mg.nn.Linear(2, 4, seed=0), mg.nn.Tanh(), mg.nn.Linear(4, 1, seed=1))
    trainer = mg.Trainer(model, mg.mse_loss, mg.optim.SGD(model.parameters(), 0.1), mode=mode)
    if hook is not None:
        model.register_backward_hook(hook)
    return model, trainer


X, Y = np.linspace(-1, 1, 16).reshape(8, 2), np.linspace(0, 1, 8).reshape(8, 1)


def fit(trainer, epochs=1):
    trainer.fit(X, Y, epochs=epochs, batch_size=4, shuffle=False, progress=False)


@pytest.mark.parametrize("mode", ["eager", "replay"])
def test_hooks_in_training(mode):
    model, trainer = circle_step(mode)
    seen = []
    for name, module in model.named_modules():
        module.register_forward_hook(lambda node, value, name=name: seen.append(f"forward {name}"))
        module.register_backward_hook(lambda node, grad, name=name: seen.append(f"backward {name}"))
    for name, parameter in model.named_parameters():
        parameter.register_backward_hook(lambda node, grad, name=name: seen.append(name))
    fit(trainer, epochs=2)
    step = len(seen) // 4  # two epochs of two batches
    for start in range(0, len(seen), step):
        forward, backward = seen[start : start + 4], seen[start + 4 : start + step]
        assert forward[:2] == ["forward 0", "forward 1"] and sorted(forward[2:]) == [
            "forward ",
            "forward 2",
        ]  # one node
        assert backward[:4] == ["backward ", "backward 2", "2.bias", "2.weight"]
        assert backward[4:] == ["backward 1", "backward 0", "0.bias", "0.weight"]
    plain, other = circle_step(mode)
    fit(other, epochs=2)
    for a, b in zip(model.parameters(), plain.parameters(), strict=True):
        np.testing.assert_array_equal(a.value, b.value)


@pytest.mark.parametrize("mode", ["eager", "replay"])
def test_a_training_that_a_hook_broke_off_goes_on_where_it_was(mode):
    calls = []

    def fail_once(node, grad):
        calls.append(node)
        if len(calls) == 2:
            raise ZeroDivisionError("in the hook")

    model, trainer = circle_step(mode, fail_once)
    with pytest.raises(ZeroDivisionError):
        fit(trainer)  # its first step was made, its second was not
    trainer.fit(X[4:], Y[4:], epochs=1, batch_size=4, shuffle=False, progress=False)
    plain, other = circle_step(mode)
    fit(other)
    for a, b in zip(model.parameters(), plain.parameters(), strict=True):
        np.testing.assert_array_equal(a.value, b.value)
