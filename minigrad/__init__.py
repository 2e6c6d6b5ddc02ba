"""minigrad: automatic differentiation to read, to teach with, and to train small networks fast.

    >>> import numpy as np, minigrad as mg
    >>> w = mg.Variable([1.0, 2.0], name="w")
    >>> loss = mg.mean((w * [3.0, 4.0] - 5) ** 2)
    >>> loss.backward()
    >>> f"{loss:.2f}", w.grad
    ('6.50', array([-6., 12.], dtype=float32))

`help` of each name shows shapes, errors and an example, as `mg.conv2d?` does in a notebook:

    mg.Variable, mg.Constant        arrays in a graph, with a gradient and without
    mg.exp, mg.sum, mg.conv2d, …    operators; +, @, x[i] and NumPy's functions work on nodes, too
    mg.no_grad, mg.default_dtype    settings for a block of code; mg.manual_seed
    mg.random                       numbers that a graph draws anew in every run
    mg.grad, mg.jvp, mg.jacobian    derivatives as values, of any order; mg.gradcheck proves them
    mg.operator                     an operator of your own
    mg.Graph                        a graph that is built once and runs many times
    mg.compile                      a function of your own to a loss, as machine code
    mg.nn                           layers, and Module for models of your own; mg.nn.init
    mg.optim                        SGD, Adam, …; schedules in mg.optim.lr_scheduler
    mg.Trainer, mg.train            training in machine code; callbacks, cross-validation, grids
    mg.save, mg.load                checkpoints; mg.export_onnx and mg.interop for other tools
    mg.draw, mg.viz, mg.summary     pictures of graphs, models and trainings; a model as a table
    mg.data                         points around a circle, digits, film reviews
    mg.sklearn, mg.teach            estimators for scikit-learn, exercises of the chapters
"""

import builtins
import functools
import importlib
import types
import typing

# type checkers take names as public that come from `*` or are imported `as` themselves
from . import data as data
from . import interop as interop
from . import nn as nn
from . import ops as ops
from . import optim as optim
from . import teach as teach
from . import train as train
from . import viz as viz
from .calculus import *
from .errors import *
from .graph import *
from .interop import export_onnx as export_onnx
from .names import missing as _missing_name
from .nn.summary import summary as summary
from .ops import *
from .ops import random as random
from .ops.custom import operator as operator
from .ops.kernel import kernel_info as kernel_info
from .run.function import compile as compile
from .run.replay import Graph as Graph
from .seeds import manual_seed as manual_seed
from .train import Trainer as Trainer
from .train import load as load
from .train import save as save
from .viz import draw as draw

__version__ = "0.1.0"


if typing.TYPE_CHECKING:
    from . import sklearn as sklearn
else:
    _MODULES = {
        "data",
        "interop",
        "nn",
        "ops",
        "optim",
        "random",
        "sklearn",
        "teach",
        "train",
        "viz",
    }
    _NAMES = {
        name
        for name, value in globals().items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    # `from minigrad import *` must not replace Python's own functions
    __all__ = sorted(_MODULES | _NAMES - vars(builtins).keys())

    def __dir__() -> list[str]:
        return sorted({"__version__"} | _MODULES | _NAMES)

    _INNER = (data, interop, nn, nn.init, ops, optim, optim.lr_scheduler)
    _INNER += (random, teach, train, train.metrics, viz)
    # where each name is, to tell whoever looks for it elsewhere
    _PLACES = {
        name: f"mg{module.__name__.removeprefix(__name__).replace('.ops', '')}.{name}"
        for module in _INNER
        for name in module.__all__
    } | {name: f"mg.{name}" for name in __dir__()}

    def _missing(module: str, name: str) -> object:
        """Import `minigrad.sklearn` at its first use: scikit-learn takes time to load."""
        if (module, name) == ("minigrad", "sklearn"):
            return importlib.import_module(".sklearn", __name__)
        raise _missing_name(f"module {module!r}", name, _PLACES)

    __getattr__ = functools.partial(_missing, __name__)
    for _module in _INNER:
        _module.__getattr__ = functools.partial(_missing, _module.__name__)
