import pytest

import minigrad as mg
from minigrad.viz.scene.heads import heads_of, order_of


def test_a_node_a_graph_and_several_nodes():
    x = mg.Variable([1.0, 2.0])
    y = mg.exp(x)
    z = y + x
    graph = mg.Graph(z)
    assert heads_of(z, "it") == heads_of(graph, "it") == (z,)
    assert order_of(z, "it") == order_of(graph, "it") == [x, y, z]
    assert order_of(graph, "it") is not graph.order  # the caller's own
    assert heads_of([y, z, y], "it", several=True) == (y, z)
    assert order_of((z, y), "it", several=True) == [x, y, z]


@pytest.mark.parametrize("thing, kind", [((), "tuple"), (3, "int"), (["a"], "list")])
def test_anything_else_is_an_error_that_says_who_was_called(thing, kind):
    with pytest.raises(
        TypeError, match=f"it: a {kind}; a node, a Graph or a tuple of nodes was expected"
    ):
        order_of(thing, "it", several=True)


def test_several_only_where_they_may_be_given():
    y = mg.exp([1.0])
    with pytest.raises(TypeError, match="it: a tuple; a node or a Graph was expected"):
        order_of((y, y), "it")
