"""The docstrings are the reference: every public name has a signature and an example that runs."""

import doctest
import inspect
import operator
import pydoc
import re
import types

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn

#: names without an example of their own, and why
WITHOUT = {
    "mg.DTypeError": "an error; the message says what to do",
    "mg.DataError": "an error about files and downloads",
    "mg.GraphError": "an error; the message says what to do",
    "mg.ShapeError": "an error; the message says what to do",
    "mg.GradientWarning": "a warning; the message says what to do",
    "train.FoldError": "an error; grid_search raises it",
    "viz.Diff": "what viz.diff returns, whose example shows it",
    "viz.MemoryPlan": "what viz.memory_plan returns, whose example shows it",
    "viz.Snapshot": "what viz.snapshot returns, whose example shows it",
    "data.imdb": "needs a download",
    "data.mnist": "needs a download; mnist_sample shows the same",
}
NEEDS = {"interop.to_torch": "torch", "mg.export_onnx": "onnx"}
PLACES = {
    "mg": (mg, dir(mg)),
    "nn": (nn, nn.__all__),
    "init": (nn.init, nn.init.__all__),
    "optim": (mg.optim, mg.optim.__all__),
    "lr_scheduler": (mg.optim.lr_scheduler, mg.optim.lr_scheduler.__all__),
    "random": (mg.random, mg.random.__all__),
    "train": (mg.train, mg.train.__all__),
    "metrics": (mg.train.metrics, mg.train.metrics.__all__),
    "viz": (mg.viz, mg.viz.__all__),
    "data": (mg.data, mg.data.__all__),
    "interop": (mg.interop, mg.interop.__all__),
    "teach": (mg.teach, mg.teach.__all__),
    "sklearn": (mg.sklearn, ["MinigradClassifier", "MinigradRegressor"]),
}


def public():
    """Each public object once, by its first name."""
    first = {}
    for place, (module, names) in PLACES.items():
        for name in names:
            thing = getattr(module, name)
            if not isinstance(thing, types.ModuleType | str):
                first.setdefault(id(thing), (f"{place}.{name}", thing))
    return dict(first.values())


PUBLIC = public()


def examples(name, doc):
    space = {"mg": mg, "np": np}
    return doctest.DocTestParser().get_doctest(inspect.cleandoc(doc), space, name, None, 0)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_has_an_example_that_runs(name, tmp_path, monkeypatch):
    thing = PUBLIC[name]
    found = examples(name, thing.__doc__)
    assert bool(found.examples) != (name in WITHOUT), f"{name}: {WITHOUT.get(name, 'no example')}"
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    monkeypatch.chdir(tmp_path)
    mg.manual_seed(0)
    said = []
    doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS).run(found, out=said.append)
    assert not said, "".join(said)
    assert list(tmp_path.iterdir()) == []
    error = isinstance(thing, type) and issubclass(thing, BaseException)
    assert error or inspect.signature(thing)


def test_there_are_no_exceptions_without_a_name():
    assert WITHOUT.keys() <= PUBLIC.keys()


def test_the_package_is_a_map_that_names_what_there_is():
    said = []
    doctest.DocTestRunner(verbose=False).run(examples("minigrad", mg.__doc__), out=said.append)
    assert not said, "".join(said)
    for name in re.findall(r"mg\.([A-Za-z_.0-9]+\w)", mg.__doc__):
        operator.attrgetter(name)(mg)


@pytest.mark.parametrize(
    ("thing", "signature", "line"),
    [
        (mg.conv2d, "conv2d(x: 'Operand', w: 'Operand', b:", "Convolve x (N, C, H, W) with w"),
        (mg.relu, "relu(x: 'Any')", "max(x, 0); its slope at 0 is 0."),
        (mg.exp, "exp(x: 'Any')", "e to the power x."),
        (mg.stack, "stack(xs: 'Sequence[Operand]'", "The arrays, all of one shape,"),
    ],
)
def test_help_shows_operators_as_functions(thing, signature, line):
    shown = pydoc.render_doc(thing, renderer=pydoc.plaintext)
    assert signature in shown and line in shown and ">>> " in shown
