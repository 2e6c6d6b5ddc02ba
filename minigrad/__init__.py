"""minigrad: automatic differentiation to read, to teach with, and to train small networks fast."""

import builtins
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
from .ops import *
from .ops import random as random
from .ops.custom import operator as operator
from .ops.kernel import kernel_info as kernel_info
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

    def __getattr__(name: str) -> object:
        """Import `minigrad.sklearn` at its first use: scikit-learn takes time to load."""
        if name != "sklearn":
            raise AttributeError(f"module 'minigrad' has no attribute {name!r}")
        return importlib.import_module(".sklearn", __name__)
