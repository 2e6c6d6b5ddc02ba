"""minigrad: automatic differentiation to read, to teach with, and to train small networks fast."""
from . import data
from .errors import DTypeError, GraphError, ShapeError
from .graph.check import gradcheck
from .graph.node import BroadcastedOperator, Constant, GraphNode, Operator, ScalarOperator, Variable
from .graph.order import backward, forward, topological_sort
from .graph.settings import default_dtype, no_grad
from .ops import *  # noqa: F403
from .run.replay import Graph

__version__ = "0.1.0"
