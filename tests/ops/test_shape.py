"""Operators that move numbers: the same node twice, nothing at all, and who owns the memory."""

import numpy as np
import pytest
from oracle import gradients

import minigrad as mg


def test_the_same_node_twice():
    for fn in (lambda x: mg.concatenate([x, 2 * x, x]), lambda x: mg.stack([x, x, 2 * x], axis=1)):
        (grad,) = gradients(fn, [1.0, 2.0])
        np.testing.assert_array_equal(grad, [4, 4])


def test_flatten_and_reshape_methods():
    x = mg.Variable(np.arange(24.0).reshape(2, 3, 4))
    assert x.flatten().shape == (24,)
    assert mg.flatten(x, start_axis=1).shape == (2, 12)
    assert x.reshape(6, 4).shape == x.reshape((6, 4)).shape == x.reshape(-1, 4).shape == (6, 4)
    assert x.T.shape == x.transpose().shape == (4, 3, 2)
    assert (
        x.transpose(1, 0, 2).shape
        == x.transpose((1, 0, 2)).shape
        == x.transpose([1, 0, -1]).shape
        == (3, 2, 4)
    )


def test_integers_can_be_moved_too():
    tokens = mg.Constant([[1, 2], [3, 4]], dtype=np.int64)
    for y in (
        tokens.T,
        tokens.reshape(-1),
        tokens[0],
        mg.concatenate([tokens, tokens]),
        mg.pad(tokens, 1),
    ):
        assert y.dtype == np.int64 and not y.requires_grad


def test_reshape_without_recording_owns_its_memory():
    """Else feeding the result would write into the variable."""
    w = mg.Variable([1.0, 2.0])
    with mg.no_grad():
        copy = w.reshape(2, 1)
    copy.value = [[5.0], [6.0]]
    assert w.value.tolist() == [1, 2]


def test_flatten_names_itself():
    with pytest.raises(mg.ShapeError, match=r"^flatten: shapes \(2, 3\); axis 2 does not fit"):
        mg.flatten(np.ones((2, 3)), start_axis=2)
