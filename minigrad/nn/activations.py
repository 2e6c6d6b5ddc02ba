"""Layers without weights that are one operator each: activations and losses."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from numpy.typing import ArrayLike

from .. import ops
from ..graph.node import GraphNode
from .layers import as_node
from .module import Module


class Identity(Module):
    """x itself.

    >>> mg.nn.Identity()([-1.0, 2.0]).value
    array([-1.,  2.], dtype=float32)
    """

    def forward(self, x: ArrayLike) -> GraphNode:
        return as_node("Identity", x, None)


class _Function(Module):
    """Base of layers that are one operator, by its name, on x and `options`."""

    operator: ClassVar[str]
    options: Mapping[str, Any] = MappingProxyType({})

    def forward(self, x: ArrayLike) -> GraphNode:
        result: GraphNode = getattr(ops, self.operator)(x, *self.options.values())
        return result

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.options.items())


class ReLU(_Function):
    """max(x, 0).

    >>> mg.nn.ReLU()([-1.0, 2.0]).value
    array([0., 2.], dtype=float32)
    """

    operator = "relu"


class Tanh(_Function):
    """Hyperbolic tangent.

    >>> mg.nn.Tanh()([0.0, 100.0]).value
    array([0., 1.], dtype=float32)
    """

    operator = "tanh"


class Sigmoid(_Function):
    """Logistic function.

    >>> mg.nn.Sigmoid()([0.0, 100.0]).value
    array([0.5, 1. ], dtype=float32)
    """

    operator = "sigmoid"


class GELU(_Function):
    """x · Φ(x), Φ being the distribution function of the normal distribution; see `mg.gelu`.

    >>> mg.nn.GELU()([-1.0, 2.0]).value.round(3)
    array([-0.159,  1.954], dtype=float32)
    """

    operator = "gelu"


class SiLU(_Function):
    """x · sigmoid(x), also called swish.

    >>> mg.nn.SiLU()([-1.0, 2.0]).value.round(3)
    array([-0.269,  1.762], dtype=float32)
    """

    operator = "silu"


class LeakyReLU(_Function):
    """x where it is positive, negative_slope · x elsewhere.

    >>> mg.nn.LeakyReLU(0.25)([-1.0, 2.0]).value
    array([-0.25,  2.  ], dtype=float32)
    """

    operator = "leaky_relu"

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.options = {"negative_slope": negative_slope}


class ELU(_Function):
    """x where it is positive, alpha · (exp(x) - 1) elsewhere.

    >>> mg.nn.ELU()([-1.0, 2.0]).value.round(3)
    array([-0.632,  2.   ], dtype=float32)
    """

    operator = "elu"

    def __init__(self, alpha: float = 1.0) -> None:
        self.options = {"alpha": alpha}


class Softmax(_Function):
    """Positive numbers along the axis `dim` that add up to 1; see `mg.softmax`.

    >>> mg.nn.Softmax()([0.0, 0.0]).value
    array([0.5, 0.5], dtype=float32)
    """

    operator = "softmax"

    def __init__(self, dim: int = -1) -> None:
        self.options = {"dim": dim}


# ---------------- losses
class _Loss(_Function):
    """Base of the losses, functions of output and target, which get the options by their names."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def forward(self, output: Any, target: Any) -> GraphNode:  # type: ignore[override]
        loss: GraphNode = getattr(ops, self.operator)(output, target, **self.options)
        return loss


class CrossEntropyLoss(_Loss):
    """`mg.cross_entropy` of logits and targets; takes its options by name.

    >>> loss = mg.nn.CrossEntropyLoss(reduction="sum")([[0.0, 0.0], [0.0, 9.0]], [0, 1])
    >>> f"{loss:.3f}"
    '0.693'
    """

    operator = "cross_entropy"


class MSELoss(_Loss):
    """`mg.mse_loss` of predictions and targets; takes its options by name.

    >>> loss = mg.nn.MSELoss()([1.0, 2.0], [1.0, 4.0])
    >>> f"{loss:.3f}"
    '2.000'
    """

    operator = "mse_loss"


class BCELoss(_Loss):
    """`mg.binary_cross_entropy` of probabilities and targets; takes its options by name.

    >>> loss = mg.nn.BCELoss()([0.5, 0.9], [1.0, 1.0])
    >>> f"{loss:.3f}"
    '0.399'
    """

    operator = "binary_cross_entropy"


class BCEWithLogitsLoss(_Loss):
    """`mg.binary_cross_entropy_with_logits` of logits and targets; takes its options by name.

    >>> loss = mg.nn.BCEWithLogitsLoss()([0.0, 9.0], [1.0, 1.0])
    >>> f"{loss:.3f}"
    '0.347'
    """

    operator = "binary_cross_entropy_with_logits"
