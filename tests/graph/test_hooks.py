"""Hooks: who is told, in which order, how often, and what happens when one fails."""
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
    square.register_forward_hook(lambda node, value: seen.append(("forward", node.name, value.tolist())))
    square.register_backward_hook(lambda node, grad: seen.append(("backward", node.name, grad.tolist())))
    x.register_backward_hook(lambda node, grad: seen.append(("backward", node.name, grad.tolist())))
    graph.forward()
    graph.backward()
    expected = [("forward", "square", [1, 4]), ("backward", "square", [4, 4]), ("backward", "x", [8, 16])]
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

    for register, run in ((graph.register_forward_hook, graph.forward), (graph.register_backward_hook, graph.backward)):
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
