"""Errors in IPython: a picture of what failed and the user's own lines; elsewhere as ever."""

from __future__ import annotations

import re
import sys
import traceback
from xml.etree import ElementTree

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.viz import errors

PRODUCT = """\
import numpy as np, minigrad as mg
x, w = mg.Constant(np.ones((3, 4)), name="x"), mg.Variable(np.ones((5, 2)), name="w")
def inner(x):
    return mg.relu(x) @ w
inner(x)"""


@pytest.fixture
def shell(monkeypatch):
    """An IPython as in a notebook; `.shown` are the pictures, `run` returns what it prints."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    settings = Config({"HistoryManager": {"enabled": False}})
    hooks = sys.displayhook, sys.excepthook
    made = InteractiveShell.instance(config=settings, colors="nocolor")
    made.shown = []
    monkeypatch.setattr(made.display_pub, "publish", lambda data, **_: made.shown.append(data))
    yield made
    made.restore_sys_module_state()
    InteractiveShell.clear_instance()
    sys.displayhook, sys.excepthook = hooks


def run(shell, capsys, cell):
    capsys.readouterr()
    shell.run_cell(cell)
    return capsys.readouterr().out


def failed(function):
    with pytest.raises(Exception) as caught:
        function()
    return errors.drawn(caught.value)


def marked(drawing):
    return [box for box in drawing.picture.boxes if box.bad]


def test_a_notebook_shows_the_picture_once_and_the_users_lines_alone(shell, capsys):
    said = run(shell, capsys, PRODUCT)
    (bundle,) = shell.shown
    assert set(bundle) == {"text/plain", "image/svg+xml", "text/html"}
    frames = re.findall(r"^----> (\d)", said, re.M)
    assert frames == ["5", "4"] and "minigrad/" not in said
    assert "ShapeError: matmul: shapes (3, 4) and (5, 2); " in said
    assert re.search(r"\(frames of libraries are folded; %xmode Verbose shows them\)$", said, re.M)


def test_verbose_folds_nothing(shell, capsys):
    shell.run_line_magic("xmode", "Verbose")
    said = run(shell, capsys, PRODUCT)
    assert "graph/rule.py" in said and "folded" not in said and len(shell.shown) == 1


def test_a_terminal_reads_as_ever(shell, capsys, monkeypatch):
    shell.display_formatter.active_types = ["text/plain"]
    said = run(shell, capsys, PRODUCT)
    assert not shell.shown and "graph/rule.py" in said and "folded" not in said
    monkeypatch.delattr(errors.Located, "_render_traceback_")
    assert (
        run(shell, capsys, "inner(x)").splitlines()[4:]
        == run(shell, capsys, "inner(x)").splitlines()[4:]
    )


def test_pythons_own_traceback_is_pythons():
    try:
        mg.Variable([1.0, 2.0]) + mg.Variable([1.0, 2.0, 3.0])
    except mg.ShapeError as error:
        told = "".join(traceback.format_exception(error))
        assert "graph/rule.py" in told and "folded" not in told
        assert "".join(errors.told(error)) == told  # no IPython around


def test_the_failing_operator_is_marked_with_the_axes_that_do_not_fit():
    x, w = mg.Constant(np.ones((3, 4)), name="x"), mg.Variable(np.ones((5, 2)), name="w")
    drawing = failed(lambda: mg.relu(x) @ w)
    assert drawing.title == "ShapeError: drawing = failed(lambda: mg.relu(x) @ w)"
    assert drawing.picture.note == (
        "matmul: shapes (3, 4) and (5, 2); the first's last axis must be as long as the second's "
        "last but one. Axis 1 of input 1 has 4 entries, axis 0 of input 2 5."
    )
    assert [box.lines for box in drawing.picture.boxes] == [
        ("x", "(3, 4)"),
        ("relu", "(3, 4)"),
        ("w", "(5, 2)"),
        ("@", "4 ≠ 5"),
    ]
    assert [box.lines[0] for box in marked(drawing)] == ["@"]
    assert " bad" in drawing.svg


def ones(*shape):
    return mg.Constant(np.ones(shape))


@pytest.mark.parametrize(
    ("call", "short"),
    [
        (lambda: ones(1, 4) * ones(3, 5), "4 ≠ 5"),
        (lambda: mg.linear(ones(2, 7), ones(3, 6)), "7 ≠ 6"),
        (lambda: mg.linear(ones(2, 6), ones(3, 6), ones(4)), "3 ≠ 4"),
        (lambda: mg.conv2d(ones(1, 3, 8, 8), ones(4, 2, 3, 3)), "3 ≠ 2"),
        (lambda: mg.einsum("ij,jk->ik", ones(2, 3), ones(4, 5)), "3 ≠ 4"),
        (lambda: ones(2, 3) + ones(4, 5), "✖"),  # two pairs
        (lambda: mg.reshape(ones(2, 3), (4,)), "✖"),
        (lambda: mg.stack([ones(2), ones(3), *[ones(2)] * 30]), "✖"),  # with which of them?
        (
            lambda: mg.Variable([1.0], dtype="float32") * ones(2).astype("float64"),
            "float32 ≠ float64",
        ),
        (lambda: mg.Constant(np.eye(2), dtype=int) @ ones(2, 2), "int64 ≠ float32"),
        (lambda: ones(2) + "a", "float32"),
    ],
)
def test_what_does_not_fit(call, short):
    (box,) = marked(failed(call))
    assert box.lines[1] == short


def test_inside_a_model_it_stands_in_its_module():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(5, 2))
    drawing = failed(lambda: model(np.ones((1, 4))))
    (box,) = marked(drawing)
    frames = {cluster.id: cluster.label for cluster in drawing.picture.clusters}
    assert frames[box.cluster].startswith("2 · Linear")


def test_of_a_large_graph_the_surroundings_are_drawn():
    def long():
        y = mg.Variable(np.ones(3))
        for _ in range(60):
            y = mg.sin(y)
        return y * np.ones(4)

    drawing = failed(long)
    assert len(drawing.picture.boxes) < 10 and marked(drawing)[0].lines == ("×", "3 ≠ 4")


def test_a_head_without_a_single_number_and_a_changed_leaf():
    x = mg.Variable([1.0, 2.0])
    y = mg.sin(x)
    assert [box.id for box in marked(failed(y.backward))] == ["n1"]
    total = mg.sum(y)
    x.value = [3.0, 4.0]
    assert [box.id for box in marked(failed(total.backward))] == ["n0"]


def test_the_first_nan_of_a_training():
    model = nn.Linear(2, 1)
    trainer = mg.Trainer(
        model,
        lambda y, _: mg.exp(mg.log(mg.sum(y) * 0)) * np.inf * 0,
        mg.optim.SGD(model.parameters(), lr=1.0),
    )
    with np.errstate(all="ignore"):
        drawing = failed(
            lambda: trainer.fit(
                np.ones((4, 2)), np.ones((4, 1)), epochs=1, batch_size=2, progress=False
            )
        )
    assert len(marked(drawing)) == 1 and drawing.picture.note.startswith("Trainer: the loss is nan")


def test_where_there_is_nothing_to_draw():
    assert failed(lambda: mg.default_dtype("int8")) is None
    assert failed(lambda: mg.Variable(["a"])) is None
    assert failed(lambda: mg.Variable([1.0, 2.0]).item()) is None  # a single box says nothing
    assert failed(lambda: mg.matmul("a", "b")) is None
    assert errors.drawn(mg.ShapeError("never raised")) is None


def test_names_are_inert(shell, capsys):
    name = "]]><script>alert(1)</script>&\"'\x07"
    shell.user_ns["name"] = name
    run(shell, capsys, PRODUCT.replace('"x"', "name"))
    (bundle,) = shell.shown
    root = ElementTree.fromstring(bundle["image/svg+xml"])
    assert not [e for e in root.iter() if e.tag.endswith("script")]
    assert "<script>alert" not in bundle["image/svg+xml"] + bundle["text/html"]


@pytest.mark.parametrize(
    "what", ["picture_of", "_of_user", "replace", "_culprit", "topological_sort"]
)
@pytest.mark.parametrize("trouble", [ZeroDivisionError, RecursionError, KeyboardInterrupt])
def test_no_trouble_hides_the_error(what, trouble, shell, capsys, monkeypatch):
    def broken(*_, **__):
        raise trouble

    monkeypatch.setattr(errors, what, broken)
    said = run(shell, capsys, PRODUCT)
    assert "ShapeError: matmul: shapes (3, 4) and (5, 2); " in said and "ZeroDivision" not in said
    assert len(shell.shown) == (what == "_of_user")


def test_an_error_that_was_drawn_travels_to_other_processes(shell, capsys):
    import pickle

    run(
        shell,
        capsys,
        PRODUCT.replace(
            "\ninner(x)", "\ntry:\n    inner(x)\nexcept ValueError as e:\n    kept = e\n    raise"
        ),
    )
    copy = pickle.loads(pickle.dumps(shell.user_ns["kept"]))
    assert str(copy) == str(shell.user_ns["kept"])
