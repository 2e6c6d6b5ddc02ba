"""Numbers that leave a graph, lists with nodes in them, and what is assigned to leaves and
gradients.
"""

import math
import warnings

import numpy as np
import pytest

import minigrad as mg
from minigrad import DTypeError, GraphError, ShapeError
from minigrad.errors import GradientWarning


def x():
    return mg.Variable([1.0, 2.0], name="x")


# ---------------- lists
@pytest.mark.parametrize(
    ("function", "grad"),
    [
        (lambda x: mg.sum([x, x]), [2, 2]),
        (lambda x: mg.sum([[x, 3 * x], [x, [0.0, 1.0]]]), [5, 5]),
        (lambda x: mg.sum(mg.concatenate([[x], [2 * x]])), [3, 3]),
        (lambda x: mg.sum(mg.stack([[x, x], [x, x]])), [4, 4]),
        (lambda x: mg.sum(mg.maximum([x, x], 0)), [2, 2]),
        (lambda x: mg.sum(mg.sum(x) * [mg.sum(x), 1.0]), [7, 7]),
        (lambda x: mg.sum([x[0], 1.0] * x), [2, 1]),
        (lambda x: mg.sum(np.multiply(x, [x[1], x[0]])), [4, 2]),
        (lambda x: mg.sum([x, x] @ mg.Constant([1.0, 2.0])), [2, 4]),
        (lambda x: mg.matmul([x, x], [1.0, 2.0]).sum(), [2, 4]),
        (lambda x: mg.where([x[0] > 0, x[1] > 5], [x[0], x[0]], [x[1], x[1]]).sum(), [1, 1]),
        (lambda x: mg.mse_loss([x[0], x[1]], [0.0, 0.0]), [1, 2]),
        (lambda x: mg.nn.Linear(2, 1, bias=False, seed=0)([x, x]).sum() * 0 + mg.sum((x,)), [1, 1]),
    ],
)
def test_a_list_with_nodes_is_stacked_and_gradients_reach_them(function, grad):
    node = x()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        function(node).backward()
    np.testing.assert_allclose(node.grad, grad)


def test_rows_of_different_lengths_are_an_error_of_ours():
    with pytest.raises(ShapeError, match="stack: shapes"):
        mg.sum([x(), mg.Variable([1.0])])


@pytest.mark.parametrize("make", [mg.Constant, mg.Variable])
def test_a_leaf_of_nodes_is_refused(make):
    with pytest.raises(DTypeError, match="gradients that would be lost; mg.stack"):
        make([x(), x()])


# ---------------- numbers
@pytest.mark.parametrize(
    ("leave", "how"),
    [
        (lambda x: np.asarray(x), "np.asarray"),
        (lambda x: np.array([x]), "np.asarray"),
        (lambda x: np.mean([x, x]), "np.asarray"),
        (lambda x: math.sin(x[0]), "float"),
        (lambda x: float(x[0]), "float"),
        (lambda x: np.array([float(v) for v in x]), "float"),
    ],
)
def test_a_number_through_which_a_gradient_would_flow_is_warned_of_at_the_users_line(leave, how):
    with pytest.warns(GradientWarning, match=f"{how}.*no gradient flows") as caught:
        leave(x())
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with mg.no_grad():
            leave(x())
        leave(mg.Constant([1.0, 2.0]))


def test_item_and_value_say_that_the_number_is_meant():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        node = x() * 2
        assert (
            node[0].item() == 2
            and node.value.tolist() == [2, 4]
            and int(node[0]) == 2
            and bool(node[0] > 1)
        )


def test_plotting_a_node_works():
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.use("svg")
    with pytest.warns(GradientWarning):
        (line,) = Figure().subplots().plot(x() * 2)
    assert line.get_xydata()[:, 1].tolist() == [2, 4]


# ---------------- integers
@pytest.mark.parametrize("number", [2**24 + 1, -(2**24) - 1, 2**31 - 1, 2**63 - 1])
def test_an_integer_that_a_float_would_round_is_refused(number):
    for make in (mg.Constant, mg.Variable):
        with pytest.raises(
            DTypeError, match=rf"{number} has more digits than float32; dtype=np.int64"
        ):
            make([0, number])
    fed = mg.Constant([0.0, 0.0])
    with pytest.raises(DTypeError, match=str(number)):
        fed.value = np.array([0, number])
    assert fed.value.tolist() == [0, 0]
    assert mg.Constant([number], dtype=np.int64).value[0] == number
    assert mg.Constant(np.array([number]).astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("number", [0, 2**24, -(2**24), 2**30, 3 * 2**40, np.uint8(255), 10**9])
def test_an_integer_that_fits_is_taken(number):
    assert int(mg.Constant([number]).value[0]) == number


def test_uint64_and_float64_have_their_own_limits():
    with pytest.raises(DTypeError, match="more digits than float64"):
        mg.Constant(np.array([2**64 - 1], np.uint64), dtype=np.float64)
    assert mg.Constant([2**53], dtype=np.float64).value[0] == 2**53


def test_python_numbers_in_formulas_round_as_numpys_do_and_compare_with_integers_exactly():
    assert (x() * (2**24 + 1)).value[0] == np.float32(1) * (2**24 + 1)
    ids = mg.Constant([2**24 + 1, 2**24], dtype=np.int64)
    assert (ids == 2**24 + 1).value.tolist() == [True, False]
    assert (ids == np.array([2**24, 2**24])).value.tolist() == [False, True]


# ---------------- in place
def test_a_training_step_as_tutorials_write_it():
    w = kept = mg.Variable([1.0, 2.0])
    for _ in range(3):
        mg.sum(w * w).backward()
        with mg.no_grad():
            w -= 0.25 * w.grad
        w.grad = None
    assert w is kept and w.requires_grad and w.value.tolist() == [0.125, 0.25]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("iadd", [3, 4]),
        ("isub", [-1, 0]),
        ("imul", [2, 4]),
        ("itruediv", [0.5, 1]),
        ("ipow", [1, 4]),
    ],
)
@pytest.mark.parametrize("other", [2, mg.Constant([2.0, 2.0]), np.array([2.0, 2.0])])
def test_in_place_operators_change_a_variable_within_no_grad_only(name, expected, other):
    w = x()
    change = getattr(w, f"__{name}__")
    with pytest.raises(
        GraphError, match=r"a Variable changes in place only within `with mg.no_grad\(\):`"
    ):
        change(other)
    assert w.value.tolist() == [1, 2]
    with mg.no_grad():
        assert change(other) is w
    assert w.value.tolist() == expected


def test_in_place_operators_keep_shape_and_kind():
    w = mg.Variable(np.eye(2))
    with mg.no_grad():
        w @= np.array([[0.0, 1.0], [1.0, 0.0]])
        assert w.value.tolist() == [[0, 1], [1, 0]]
        with pytest.raises(ShapeError, match="keeps its shape"):
            w += np.ones((3, 1, 2))
        with pytest.raises(DTypeError):
            w *= 1j
    assert w.value.tolist() == [[0, 1], [1, 0]]


def test_a_graph_that_a_change_in_place_makes_old_says_so():
    w = x()
    y = mg.sum(w * w)
    with mg.no_grad():
        w *= 2
    with pytest.raises(GraphError, match="has been given another value since"):
        y.backward()


# ---------------- gradients that are assigned
@pytest.mark.parametrize(
    ("grad", "kind"),
    [
        (0.0, ShapeError),
        (np.ones(3), ShapeError),
        ([[1.0, 2.0]], ShapeError),
        (["a", "b"], DTypeError),
        ([1j, 2], DTypeError),
    ],
)
def test_a_gradient_is_checked_when_it_is_assigned(grad, kind):
    w = x()
    with pytest.raises(kind, match="<Variable 'x' .* cannot take a gradient"):
        w.grad = grad
    assert w.grad is None


def test_a_gradient_that_fits_is_kept_and_any_numbers_become_its_dtype():
    w, grad = x(), np.array([1.0, 2.0], np.float32)
    w.grad = grad
    assert w.grad is grad
    for given in ([3, 4], mg.Constant([3.0, 4.0]), np.array([3.0, 4.0]), np.array([3, 4])):
        w.grad = given
        assert w.grad.dtype == np.float32 and w.grad.tolist() == [3, 4]
    frozen = np.array([1.0, 2.0], np.float32)
    frozen.flags.writeable = False
    w.grad = frozen
    mg.sum(w).backward()
    assert w.grad.tolist() == [2, 3] and frozen.tolist() == [1, 2]
    w.grad = None
    assert w.grad is None
    scalar = mg.Variable(2.0)
    scalar.grad = 0.0
    assert scalar.grad.shape == ()
