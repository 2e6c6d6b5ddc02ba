"""What stands below a message: the user's own line, the node, the module."""

import copy
import linecache
import pickle
import traceback

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import tell_line


def run(code, file, **names):
    """Run code as if it stood in that file; returns the error that it ends in, and all that it
    defined.
    """
    linecache.cache[file] = (len(code), None, code.splitlines(True), file)
    space = {"__name__": "theirs", "mg": mg, "nn": nn, "np": np, **names}
    try:
        exec(compile(code, file, "exec"), space)
    except Exception as error:
        return error, space
    return None, space


def test_the_line_is_the_users_even_where_numpy_comes_between():
    error, _ = run("x = mg.Variable([1.0, 2.0])\ny = np.ones(3) + x\n", "/home/me/work.py")
    assert error.__notes__ == ["in your line 2 of work.py: y = np.ones(3) + x"]
    assert (
        traceback.format_exception(error)[-1] == "in your line 2 of work.py: y = np.ones(3) + x\n"
    )


def test_a_cell_of_a_notebook_is_called_one():
    error, _ = run("mg.Variable(1.0).reshape(2)\n", "/tmp/ipykernel_12/345.py")
    assert error.__notes__ == ["in your line 1 of the cell: mg.Variable(1.0).reshape(2)"]


@pytest.mark.parametrize("file", ["<stdin>", "/usr/lib/site-packages/theirs/model.py"])
def test_no_line_of_a_library_is_called_the_users(file):
    _, space = run("def act():\n    mg.Variable([1.0, 2.0]).item()\n", file)
    with pytest.raises(mg.ShapeError) as caught:
        space["act"]()
    assert [note.split(": ")[1] for note in caught.value.__notes__] == [
        'space["act"]()'
    ]  # this test is whose line it is


def test_an_error_keeps_its_notes_in_copies_and_pickles():
    with pytest.raises(mg.ShapeError) as caught:
        nn.Linear(2, 3)(np.ones((1, 3)))
    for other in (copy.copy(caught.value), pickle.loads(pickle.dumps(caught.value))):
        assert (type(other), str(other)) == (mg.ShapeError, str(caught.value))
        assert other.__notes__ == caught.value.__notes__ and len(other.__notes__) == 2


def test_a_running_graph_names_node_and_module():
    ids = mg.Constant([0, 1], dtype=np.int64)
    graph = mg.Graph(nn.Sequential(nn.Embedding(3, 2, seed=0), nn.Tanh())(ids).sum())
    ids.value = [0, 3]
    with pytest.raises(IndexError, match="id 3 is out of range") as caught:
        graph.forward()
    said = [
        "in your line",
        "at <BroadcastedOperator embedding (2, 2) float32>",
        "in module 0 · Embedding",
    ]
    assert [
        note[: len(start)] for note, start in zip(caught.value.__notes__, said, strict=True)
    ] == said


def test_a_backward_function_with_too_few_arguments_is_found():
    twice = mg.operator(np.sin, lambda g, x: g, name="sine")
    head = twice(mg.Variable([1.0])).sum()
    with pytest.raises(
        TypeError, match=r"sine: backward is called with \(g, y, \*inputs\), 3 arrays"
    ) as caught:
        head.backward()
    line, node = caught.value.__notes__
    assert (
        line.endswith(": head.backward()") and node == "at <BroadcastedOperator sine (1,) float32>"
    )


def test_an_error_of_a_hook_is_told_by_its_own_line_and_gets_the_node():
    head = mg.Variable([1.0], name="w").sum()
    head.inputs[0].register_backward_hook(lambda node, grad: grad.nothing)
    with pytest.raises(AttributeError) as caught:
        head.backward()
    assert caught.value.__notes__ == ["at <Variable 'w' (1,) float32>"]


def test_a_line_is_noted_once():
    error = tell_line(tell_line(ValueError("why")))
    assert len(error.__notes__) == 1
