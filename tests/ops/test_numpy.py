"""NumPy's own functions on nodes: the same operators, and an error with the function's name where
there is none.
"""

import re
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
from numpy.testing.overrides import (
    get_overridable_numpy_array_functions,
    get_overridable_numpy_ufuncs,
)

import minigrad as mg
from minigrad.graph.registry import _by_numpy

A, B = np.arange(1.0, 7).reshape(2, 3), np.arange(1.0, 4)

FUNCTIONS = [
    (np.add, A, B),
    (np.subtract, A, B),
    (np.multiply, A, B),
    (np.divide, A, B),
    (np.true_divide, A, B),
    (np.power, A, B),
    (np.maximum, A, B),
    (np.minimum, A, B),
    (np.negative, A),
    (np.positive, A),
    (np.exp, A),
    (np.log, A),
    (np.sqrt, A),
    (np.sin, A),
    (np.cos, A),
    (np.tanh, A),
    (np.abs, A),
    (np.absolute, A),
    (np.fabs, A),
    (np.matmul, A, B),
    (np.dot, A, B),
    (np.dot, B, np.float64(2)),
    (np.less, A, B),
    (np.equal, A, B),
    (np.sign, A),
    (np.sum, A),
    (np.mean, A),
    (np.max, A),
    (np.min, A),
    (np.amax, A),
    (np.amin, A),
    (np.transpose, A),
    (np.argmax, A),
    (np.argmin, A),
]
CALLS = [
    lambda x: np.sum(x, axis=0),
    lambda x: np.sum(x, axis=(0, 1), keepdims=True),
    lambda x: np.mean(x, 1),
    lambda x: np.max(x, axis=-1),
    lambda x: np.min(x, axis=0),
    lambda x: np.reshape(x, (3, 2)),
    lambda x: np.transpose(x, (1, 0)),
    lambda x: np.stack([x, A]),
    lambda x: np.concatenate([x, x], axis=1),
    lambda x: np.concatenate([np.ones((1, 3)), x]),
    lambda x: np.where(A > 2, x, 0),
    lambda x: np.clip(x, 2, 4),
    lambda x: np.pad(x, ((0, 1), (2, 0))),
    lambda x: np.pad(x, 1),
    lambda x: np.clip(x, a_min=2, a_max=4),
    lambda x: np.ravel(x),
    lambda x: np.einsum("ij,ij->i", x, A),
    lambda x: np.cumsum(x, 1),
    lambda x: np.cumprod(x),
    lambda x: np.prod(x, axis=0),
    lambda x: np.linalg.norm(x),
    lambda x: np.linalg.norm(x, axis=0),
    lambda x: np.linalg.norm(x, "fro"),
    lambda x: np.pad(x, 1, mode="constant", constant_values=5),
    lambda x: np.broadcast_to(x, (2, 2, 3)),
    *(
        [lambda x: np.clip(x, min=2)] if "min" in signature(np.clip).parameters else []
    ),  # since NumPy 2.1
]


@pytest.mark.parametrize(("function", "operands"), [(f, xs) for f, *xs in FUNCTIONS])
def test_function(function, operands):
    x, *rest = operands
    y = function(mg.Variable(x, dtype=np.float64), *rest)
    assert isinstance(y, mg.GraphNode)
    np.testing.assert_array_equal(y.value, function(*operands))


@pytest.mark.parametrize("call", CALLS)
def test_call_with_options(call):
    y = call(mg.Variable(A, dtype=np.float64))
    assert isinstance(y, mg.GraphNode) and y.requires_grad
    np.testing.assert_array_equal(y.value, call(A))


REFUSED = [
    (lambda x: np.median(x), r"^np\.median has no minigrad operator"),
    (lambda x: np.linalg.inv(x), r"^np\.linalg\.inv has no minigrad operator"),
    (lambda x: np.fft.fft(x), r"^use \.value|np\.fft\.fft"),
    (
        lambda x: np.sum(x, 0, np.float64),
        r"^np\.sum: too many positional arguments; of nodes it takes x, axis, keepdims",
    ),
    (lambda x: np.mean(x, dtype=float), r"^np\.mean: got an unexpected keyword argument 'dtype'"),
    (lambda x: np.max(x, initial=0), r"^np\.max: got an unexpected keyword argument 'initial'"),
    (
        lambda x: np.concatenate([x, x], out=np.zeros(6)),
        r"^np\.concatenate: got an unexpected keyword argument 'out'",
    ),
    (lambda x: np.einsum(x, [0]), r"^np\.einsum: subscripts as a text"),
    (lambda x: np.arctan2(x, 1), "np.arctan2"),
    (lambda x: divmod(x, 2), "np.divmod"),
    (lambda x: np.fmod(x, 2), "np.fmod"),
    (lambda x: np.add(x, 1, out=np.zeros(3)), "np.add with out="),
    (lambda x: np.add.reduce(x), "np.add.reduce"),
    (lambda x: np.add.at(np.zeros(3), [0], x[:1]), "np.add.at"),
    (lambda x: np.add(np.zeros(3), x, where=np.array([True, False, True])), "np.add with where="),
    (lambda x: np.dot(x.reshape(1, 1, 3), x), r"np.dot: shapes \(1, 1, 3\) and \(3,\)"),
    (lambda x: np.pad(x, 1, mode="edge"), "np.pad: mode 'edge'"),
]


@pytest.mark.parametrize(("call", "name"), REFUSED, ids=[name for _, name in REFUSED])
def test_unsupported_is_named(call, name):
    with pytest.raises(mg.GraphError, match=name):
        call(mg.Variable([1.0, 2.0, 3.0]))


def test_array_on_the_left_does_not_become_an_object_array():
    x = mg.Variable([1.0, 2.0])
    for y in (np.ones(2) + x, np.ones((2, 2)) @ x, np.ones(2) > x, np.float32(3) ** x):
        assert isinstance(y, mg.GraphNode) and y.dtype != object


def test_in_place_into_an_array_is_refused():
    array = np.ones(2)
    with pytest.raises(mg.GraphError, match=r"np\.add with out="):
        array += mg.Variable([1.0, 2.0])
    np.testing.assert_array_equal(array, 1)


def test_a_node_becomes_an_array_as_a_copy():
    x = mg.Constant([1.0, 2.0])
    array = np.asarray(x)
    array[0] = 7
    assert x.value[0] == 1 and np.array(x, dtype=np.float64).dtype == np.float64
    assert list(map(float, x)) == [1, 2] and len(x) == 2


def test_sizes_are_plain_numbers():
    x = mg.Variable(np.ones((2, 3)))
    assert (np.shape(x), np.ndim(x), np.size(x), np.size(x, 1)) == ((2, 3), 2, 6, 3)


# ---------------- everything that NumPy lets others take over
OVERRIDABLE = get_overridable_numpy_ufuncs() | get_overridable_numpy_array_functions()
# but for those that make arrays of whatever they get, such as np.array
FUNCTIONS_OF_NUMPY = [f for f in OVERRIDABLE if "like : " not in (f.__doc__ or "")]
FUNCTIONS_OF_NUMPY.sort(key=lambda f: (f.__name__, str(f)))


def outcome(function):
    """The error that a function without an operator raises when nodes stand in all the places that
    it has.
    """
    x = mg.Variable(np.full((2, 2), 0.5))
    found = None
    for args in [*((x,) * n for n in range(1, 6)), ([x, x],)]:
        try:
            return function(*args)
        except mg.GraphError as error:
            return error
        except (TypeError, ValueError) as error:  # too few arguments
            found = error
    return found


@pytest.mark.parametrize(
    "function", [f for f in FUNCTIONS_OF_NUMPY if f not in _by_numpy], ids=lambda f: f.__name__
)
def test_a_function_without_an_operator_says_so_by_name(function):
    found = outcome(function)
    assert isinstance(found, mg.GraphError), found
    assert re.match(
        rf"[\w.]*\b{function.__name__} has no minigrad operator; mg\.operator makes one", str(found)
    )


@pytest.mark.parametrize(
    "function", [f for f in FUNCTIONS_OF_NUMPY if f in _by_numpy], ids=lambda f: f.__name__
)
def test_a_function_with_an_operator_builds_the_graph(function):
    if not isinstance(function, np.ufunc):  # tried by hand, with the arguments that it wants
        here = Path(__file__).parent
        files = [here / f"test_{name}.py" for name in ("numpy", "shape", "reduce", "arrange")]
        files.append(here.parent / "arranged.py")
        said = "np" + f"{function.__module__}.{function.__name__}"[5:]
        assert any(
            said in re.sub(r"\bm\.", "np.", file.read_text(encoding="utf-8")) for file in files
        )
        return
    masks = function in (np.bitwise_and, np.bitwise_or, np.invert)
    arrays = [
        np.array([[0.5, 1.0]]) > 0.7 if masks else np.array([[0.5, 1.0]])
        for _ in range(function.nin)
    ]
    if function is np.matmul:
        arrays[1] = arrays[1].T
    with np.errstate(all="ignore"):
        y = function(*(mg.Constant(x, dtype=x.dtype) for x in arrays))
        assert isinstance(y, mg.GraphNode)
        np.testing.assert_allclose(y.value, function(*arrays))


BINARY = [  # in one order, so that all processes collect the same tests
    f
    for f in sorted(get_overridable_numpy_ufuncs(), key=lambda f: f.__name__)
    if f.nin == 2 and f.nout == 1 and f.signature is None
]


@pytest.mark.parametrize(
    "function", [f for f in BINARY if hasattr(np, f.__name__)], ids=lambda f: f.__name__
)
def test_a_ufuncs_other_methods_are_refused_by_name(function):
    x, name = mg.Variable([1.0, 2.0]), rf"^np\.{function.__name__}"
    for call, words in (
        (lambda: function.reduce(x), r"\.reduce"),
        (lambda: function.accumulate(x), r"\.accumulate"),
        (lambda: function.outer(x, x), r"\.outer"),
        (lambda: function.at(np.ones(2), [0], x), r"\.at"),
        (lambda: function(x, x, out=np.ones(2)), " with out="),
        (lambda: function(np.ones(2), x, where=True), " with where="),
        (lambda: function(x, x, dtype=float), " with dtype="),
    ):
        with pytest.raises(mg.GraphError, match=f"{name}{words} has no place in a graph"):
            call()
