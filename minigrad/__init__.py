"""minigrad: automatic differentiation to read, to teach with, and to train small networks fast."""
from . import data, nn, optim, teach, train, viz
from .errors import DataError, DTypeError, GraphError, ShapeError
from .graph.calculus import grad, jacobian, jvp
from .graph.check import GradientError, gradcheck
from .graph.custom import operator
from .graph.node import BroadcastedOperator, Constant, GraphNode, Operator, ScalarOperator, Variable
from .graph.order import backward, forward, topological_sort
from .graph.settings import default_dtype, no_grad
from .nn.init import manual_seed
from .ops import *  # noqa: F403
from .run.replay import Graph
from .train import Trainer, load, save
from .viz import draw

__version__ = "0.1.0"
