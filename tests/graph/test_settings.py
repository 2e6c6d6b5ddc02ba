"""Blocks that change how code runs: nested, as decorators, after errors, and one per thread."""

import threading

import numpy as np
import pytest

import minigrad as mg


def recorded():
    return (mg.Variable(1.0) * 2).requires_grad


def test_no_grad_ends_with_its_block():
    with mg.no_grad():
        assert not recorded()
        with mg.no_grad():
            assert not recorded()
        assert not recorded()
    assert recorded()


def test_blocks_end_when_an_error_leaves_them():
    with pytest.raises(ZeroDivisionError), mg.no_grad(), mg.default_dtype(np.float64):
        raise ZeroDivisionError
    assert recorded() and mg.Variable(1).dtype == np.float32


def test_as_decorators():
    @mg.no_grad()
    @mg.default_dtype("float64")
    def inside():
        return recorded(), mg.Variable(1).dtype

    assert inside() == inside() == (False, np.float64)
    assert recorded() and mg.Variable(1).dtype == np.float32


def test_dtypes_nest():
    with mg.default_dtype(np.float64):
        with mg.default_dtype(np.float32):
            assert mg.Constant(1).dtype == np.float32
        assert mg.Constant(1).dtype == np.float64


@pytest.mark.parametrize("dtype", [np.int64, np.float16, complex, "nonsense", "O"])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(mg.DTypeError, match="float32 or float64"), mg.default_dtype(dtype):
        pass


def test_each_thread_has_its_own():
    seen = []
    with mg.no_grad(), mg.default_dtype(np.float64):
        thread = threading.Thread(target=lambda: seen.append((recorded(), mg.Variable(1).dtype)))
        thread.start()
        thread.join()
    assert seen == [(True, np.float32)]


def test_results_without_recording():
    x = mg.Variable([1.0, 2.0])
    with mg.no_grad():
        y = mg.exp(x)
    assert type(y) is mg.Constant and y.grad is None
    with pytest.raises(mg.GraphError, match="depends on no Variable"):
        y.sum().backward()
    z = (x * y).sum()
    z.backward()
    np.testing.assert_array_equal(x.grad, y.value)


def test_nodes_of_two_dtypes_do_not_mix():
    with pytest.raises(mg.DTypeError, match="float32 and float64; make them one"):
        mg.Variable(1.0) + mg.Variable(1.0, dtype=np.float64)
