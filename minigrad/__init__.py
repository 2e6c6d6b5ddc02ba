"""minigrad: automatic differentiation to read, to teach with, and to train small networks fast."""

from typing import TYPE_CHECKING

# type checkers take names as public that come from `*` or are imported `as` themselves
from . import calculus, errors, graph
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
from .ops import *
from .ops.custom import operator as operator
from .ops.kernel import kernel_info as kernel_info
from .run.replay import Graph as Graph
from .seeds import manual_seed as manual_seed
from .train import Trainer as Trainer
from .train import load as load
from .train import save as save
from .viz import draw as draw

__version__ = "0.1.0"


if TYPE_CHECKING:
    from . import sklearn as sklearn
else:
    _SUBMODULES = ["data", "interop", "nn", "ops", "optim", "sklearn", "teach", "train", "viz"]
    _OTHERS = [
        "Graph",
        "Trainer",
        "draw",
        "export_onnx",
        "kernel_info",
        "load",
        "manual_seed",
        "operator",
        "save",
    ]
    __all__ = [*calculus.__all__, *errors.__all__, *graph.__all__, *_SUBMODULES, *_OTHERS]
    # `from minigrad import *` must not replace Python's own functions
    __all__ += [name for name in ops.__all__ if name not in ("abs", "max", "min", "sum")]

    def __dir__() -> list[str]:
        return sorted({"__version__", *__all__, *ops.__all__})

    def __getattr__(name: str) -> object:
        """Import `minigrad.sklearn` at its first use: scikit-learn takes time to load."""
        if name != "sklearn":
            raise AttributeError(f"module 'minigrad' has no attribute {name!r}")
        from importlib import import_module

        return import_module(".sklearn", __name__)
