"""minigrad: automatic differentiation to read, to teach with, and to train small networks fast."""

from typing import Any as _Any

from . import data, nn, optim, teach, train, viz
from .calculus.check import GradientError, gradcheck
from .calculus.functions import grad, jacobian, jvp
from .errors import DataError, DTypeError, GradientWarning, GraphError, ShapeError
from .graph.autodiff import backward, forward, topological_sort
from .graph.custom import operator
from .graph.node import Constant, GraphNode, Variable
from .graph.rule import BroadcastedOperator, Operator, ScalarOperator
from .graph.settings import default_dtype, no_grad
from .interop import export_onnx
from .nn.init import manual_seed
from .ops import *  # noqa: F403
from .ops.kernel import kernel_info
from .run.replay import Graph
from .train import Trainer, load, save
from .viz import draw

__version__ = "0.1.0"


def __getattr__(name: str) -> _Any:
    """`minigrad.sklearn`, which takes scikit-learn's time to import, only when it is asked for."""
    if name != "sklearn":
        raise AttributeError(f"module 'minigrad' has no attribute {name!r}")
    from importlib import import_module

    return import_module(".sklearn", __name__)
