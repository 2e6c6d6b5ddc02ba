"""minigrad: automatic differentiation to read, to teach with, and to train small networks fast."""

from typing import TYPE_CHECKING

from . import data, interop, nn, ops, optim, teach, train, viz
from .calculus import GradientError, grad, gradcheck, jacobian, jvp
from .errors import DataError, DTypeError, GradientWarning, GraphError, ShapeError
from .graph.autodiff import backward, forward, topological_sort
from .graph.custom import operator
from .graph.node import Constant, GraphNode, Variable
from .graph.rule import BroadcastedOperator, Operator, ScalarOperator
from .graph.settings import default_dtype, no_grad
from .interop import export_onnx
from .ops import *  # noqa: F403
from .ops.kernel import kernel_info
from .run.replay import Graph
from .seeds import manual_seed
from .train import Trainer, load, save
from .viz import draw

__version__ = "0.1.0"

__all__ = [
    "BroadcastedOperator",
    "Constant",
    "DTypeError",
    "DataError",
    "GradientError",
    "GradientWarning",
    "Graph",
    "GraphError",
    "GraphNode",
    "Operator",
    "ScalarOperator",
    "ShapeError",
    "Trainer",
    "Variable",
    "backward",
    "data",
    "default_dtype",
    "draw",
    "export_onnx",
    "forward",
    "grad",
    "gradcheck",
    "interop",
    "jacobian",
    "jvp",
    "kernel_info",
    "load",
    "manual_seed",
    "nn",
    "no_grad",
    "operator",
    "ops",
    "optim",
    "save",
    "sklearn",
    "teach",
    "topological_sort",
    "train",
    "viz",
]
__all__ += ops.__all__


def __dir__() -> list[str]:
    return sorted({"__version__", *__all__, *ops.__all__})


if TYPE_CHECKING:
    from . import sklearn
else:
    # `from minigrad import *` must not replace Python's own functions; type checkers would take
    # mg.abs for private, so they do not see this
    for _name in ("abs", "max", "min", "sum"):
        __all__.remove(_name)

    def __getattr__(name: str) -> object:
        """Import `minigrad.sklearn` at its first use: scikit-learn takes time to load."""
        if name != "sklearn":
            raise AttributeError(f"module 'minigrad' has no attribute {name!r}")
        from importlib import import_module

        return import_module(".sklearn", __name__)
