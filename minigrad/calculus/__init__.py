"""Gradients as graphs, forward mode, Jacobians and the check of gradients; above the graph."""

from .check import GradientError, gradcheck
from .transforms import grad, jacobian, jvp

__all__ = ["GradientError", "grad", "gradcheck", "jacobian", "jvp"]
