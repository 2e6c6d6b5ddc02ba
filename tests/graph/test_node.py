"""Values and nodes: what enters a graph, what it looks like, who owns the memory, and when it is
given back.
"""

import weakref

import numpy as np
import pytest

import minigrad as mg


# ---------------- what enters
@pytest.mark.parametrize("kind", [mg.Constant, mg.Variable])
def test_what_enters_becomes_the_default_dtype(kind):
    for value in (1, 2.5, True, [1, 2], np.arange(3), np.float64(2), np.ones((2, 2)), [[True]]):
        assert kind(value).dtype == np.float32
        assert kind(value, dtype=np.float64).dtype == np.float64
        np.testing.assert_array_equal(kind(value).value, np.float32(value))
    with mg.default_dtype("float64"):
        assert kind(1).dtype == np.float64
        assert kind(1, dtype=np.float32).dtype == np.float32


def test_whole_numbers_stay_whole_in_a_constant_that_says_so():
    for dtype in (np.int32, np.int64, np.uint8, bool):
        assert mg.Constant([0, 1], dtype=dtype).dtype == dtype
        with pytest.raises(mg.DTypeError, match="float32 or float64"):
            mg.Variable([0, 1], dtype=dtype)


NO_NUMBERS = [1j, "text", None, object(), [{}, 1], np.array([1, 2], object)]


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: type(value).__name__)
def test_what_is_no_number_is_refused(value):
    for kind in (mg.Constant, mg.Variable):
        with pytest.raises(mg.DTypeError, match="numbers are expected"):
            kind(value)


def test_other_bad_values():
    with pytest.raises(mg.ShapeError, match="cannot make a Variable of list"):
        mg.Variable([[1], [1, 2]])
    with pytest.raises(mg.DTypeError, match="not whole numbers"):
        mg.Constant([0.5], dtype=np.int64)
    with pytest.raises(mg.DTypeError, match="is a node already"):
        mg.Variable(mg.Constant(1))
    for dtype in (np.float16, complex, "nonsense"):
        with pytest.raises((mg.DTypeError, TypeError)):
            mg.Constant(1, dtype=dtype)


def test_one_may_go_through_the_first_axis_if_there_is_one():
    x = mg.Variable([1.0, 2.0])
    first, second = x
    (3 * first + second).backward()
    np.testing.assert_array_equal(x.grad, [3, 1])
    with pytest.raises(
        TypeError, match=r"iteration over <Variable \(\) float32>, which has no axes"
    ):
        list(mg.Variable(3.0))


def test_values_are_copied_on_the_way_in():
    array = np.ones((2, 3), np.float32)
    leaves = [mg.Variable(array), mg.Constant(array)]
    y = leaves[0] * array
    array[:] = 7
    assert all((leaf.value == 1).all() for leaf in leaves) and (mg.Graph(y).forward() == 1).all()


LAYOUTS = [
    lambda a: a.T,
    lambda a: a[::2, ::-1],
    np.asfortranarray,
    lambda a: np.broadcast_to(a[:1], a.shape),
]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_inside_everything_is_contiguous(layout):
    array = layout(np.arange(24.0).reshape(4, 6))
    x = mg.Variable(array)
    assert x.value.flags.c_contiguous and x.value.flags.writeable
    np.testing.assert_array_equal(x.value, array)
    assert mg.transpose(x).value.flags.c_contiguous


# ---------------- what it looks like
def test_attributes():
    x = mg.Variable([[1, 2, 3]], name="weights")
    y = x * 2
    assert (x.shape, x.ndim, x.size, x.dtype, x.name, x.inputs) == (
        (1, 3),
        2,
        3,
        np.float32,
        "weights",
        (),
    )
    assert y.inputs[0] is x and isinstance(y.inputs[1], mg.Constant) and y.name is None
    assert x.grad is None and mg.Constant(1).grad is None


def test_kinds_of_operator():
    number, array = mg.Variable(2.0), mg.Variable([1.0, 2.0])
    assert type(number * 3) is mg.ScalarOperator
    assert type(number * array) is type(array.sum()) is mg.BroadcastedOperator
    assert issubclass(mg.ScalarOperator, mg.Operator) and issubclass(mg.Operator, mg.GraphNode)


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (mg.Variable([1, 2], "w"), "<Variable 'w' (2,) float32: [1., 2.]>"),
        (mg.Constant(1, dtype=np.float64), "<Constant () float64: 1.>"),
        (mg.Constant([True, False], dtype=bool), "<Constant (2,) bool: [True, False]>"),
        (mg.Variable([[1, 2], [3, 4]]), "<Variable (2, 2) float32: [[1., 2.], [3., 4.]]>"),
        (
            mg.Constant(np.arange(99.0)),
            "<Constant (99,) float32: [0., 1., 2., ..., 96., 97., 98.]>",
        ),
        (mg.Variable(np.eye(9)), "<Variable (9, 9) float32: [[1., ..., 0.], ..., [0., ..., 1.]]>"),
        (
            mg.Constant(np.arange(64.0).reshape(4, 4, 4)),
            "<Constant (4, 4, 4) float32: [0., 1., 2., ..., 61., 62., 63.]>",
        ),
        (mg.exp(mg.Variable(1)), "<ScalarOperator exp () float32>"),
        (mg.Variable([1, 2]) + 1, "<BroadcastedOperator add (2,) float32>"),
    ],
)
def test_repr(node, text):
    assert repr(node) == f"{node}" == text


def test_numbers_take_format_specifications():
    loss = mg.mean(mg.Variable([1.0, 2.0]))
    assert (
        f"{loss:.3f} {mg.Variable([[0.25]]):.0%} {mg.Constant(7, dtype=int):03d}" == "1.500 25% 007"
    )
    with pytest.raises(mg.ShapeError, match=r"<Variable \(2,\) float32> holds 2 numbers, not one"):
        f"{mg.Variable([1.0, 2.0]):.3f}"


def test_one_number_out():
    x = mg.Variable([[2.5]])
    with mg.no_grad():
        assert x.item() == float(x) == 2.5 and int(x) == 2 and bool(x)
    two = mg.Variable([1, 2])
    for ask, error in (
        (two.item, mg.ShapeError),
        (two.__float__, mg.ShapeError),
        (two.__bool__, mg.GraphError),
    ):
        with pytest.raises(error, match="<Variable"):
            ask()
    with pytest.raises(TypeError, match="has no axes"):
        len(mg.Variable(1))


def test_nodes_are_keys():
    """== compares values, as in NumPy; in sets and dictionaries a node is itself."""
    a, b = mg.Variable(1), mg.Variable(1)
    assert {a: 1, b: 2}[a] == 1 and len({a, b, a}) == 2
    assert (a == b).item() is True


# ---------------- who may write
def test_computed_values_and_constants_are_read_only():
    """A graph still needs them for its backward pass."""
    x = mg.Variable([1.0, 2.0])
    for node in (x * x, mg.Constant([1.0]), x.reshape(2, 1)):
        with pytest.raises(ValueError, match="read-only"):
            node.value[0] = 7
    with pytest.raises(mg.GraphError, match="is computed; set the value of a Constant or Variable"):
        (x * x).value = [1.0, 2.0]
    with pytest.raises(AttributeError):
        x.valeu = 3  # a slip of the pen is an error, not a new attribute


def test_leaves_take_new_values_of_their_shape():
    for leaf in (mg.Variable([1.0, 2.0]), mg.Constant([1.0, 2.0])):
        leaf.value = [3, 4]
        np.testing.assert_array_equal(leaf.value, np.float32([3, 4]))
        for wrong, error in (
            ([1.0], mg.ShapeError),
            ([1j, 2], mg.DTypeError),
            (["a", "b"], mg.DTypeError),
        ):
            with pytest.raises(error, match="cannot take"):
                leaf.value = wrong
        assert leaf.dtype == np.float32 and leaf.value.tolist() == [3, 4]
    with pytest.raises(mg.DTypeError, match="cannot take a value of dtype float64"):
        mg.Constant([1], dtype=np.int64).value = [0.5]


def test_a_variable_steps_in_place():
    w = mg.Variable([1.0, 2.0])
    array = w.value
    w.value -= 0.5
    w.value *= 2
    assert w.value is array and array.tolist() == [1, 3]
    w.value = w.value[::-1]  # from its own memory
    assert array.tolist() == [3, 1]


def test_frozen_variables_get_no_gradient():
    w, x = mg.Variable(2.0), mg.Variable(3.0)
    w.requires_grad = False
    (w * x).backward()
    assert w.grad is None and x.grad == 2
    assert not (w * 2).requires_grad


# ---------------- memory is given back
def build(x):
    h = mg.tanh(x * 2 + 1)
    return (mg.matmul(h, h.T).max(axis=0) / mg.softmax(h)[0].sum()).mean()


def test_a_dropped_graph_is_freed_at_once(no_gc):
    """No cycles: neither after building, nor after running backward, nor with hooks, a Graph or an
    error in between.
    """
    x = mg.Variable(np.ones((3, 3)))
    y = build(x)
    inner = [weakref.ref(node) for node in mg.topological_sort(y) if node is not x]
    y.backward()
    graph = mg.Graph(y)
    graph.register_forward_hook(lambda node, value: None)
    graph.forward()
    graph.backward()
    with pytest.raises(mg.ShapeError):
        y.inputs[0] + np.ones(7)
    assert all(ref() is not None for ref in inner)
    del y, graph
    assert not any(ref() for ref in inner)


def test_results_without_recording_keep_nothing(no_gc):
    x = mg.Variable(np.ones((3, 3)))
    h = mg.exp(x)
    ref = weakref.ref(h)
    with mg.no_grad():
        y = h * 2
    del h
    assert ref() is None and type(y) is mg.Constant and y.inputs == ()


def test_whole_floats_are_taken_as_integers():
    assert mg.Constant(np.zeros(4), dtype=np.int64).dtype == np.int64
    with pytest.raises(mg.DTypeError, match="not whole numbers"):
        mg.Constant([np.inf], dtype=np.int64)
