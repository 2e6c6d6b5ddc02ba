"""Running models without changing them, and checks of arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from ..errors import DTypeError, ShapeError
from ..graph.conversion import Array
from ..graph.node import Constant, GraphNode, Variable
from ..graph.rule import Operator
from ..graph.settings import float_dtype
from ..ops import cross_entropy

#: a `Module`, or any function from nodes to a node
Model = Callable[..., Any]
#: a function of output and target
Loss = Callable[..., GraphNode]

_SQUASHING = ("sigmoid", "softmax", "log_softmax")


@runtime_checkable
class HasParameters(Protocol):
    """A model: an `nn.Module`, or any object with this method."""

    def named_parameters(self) -> Iterable[tuple[str, Variable]]:
        """(dotted name, parameter) of each parameter."""


@contextmanager
def evaluating(model: Model, gradients: bool = False) -> Iterator[None]:
    """Run the block in evaluation mode (no dropout), with or without gradients of parameters.

    Afterwards training modes, `requires_grad` and every gradient are as before, the same arrays.
    Modules and parameters are those that `named_modules` and `named_parameters` give, if the model
    has these methods.
    """
    modules = [m for _, m in named(model, "named_modules") if getattr(m, "training", False)]
    kept = [(p, p.grad, p.grad_pass, p.requires_grad) for _, p in named(model, "named_parameters")]
    try:
        for module in modules:
            module.training = False
        for p, *_ in kept:
            # drops the array without writing to it: the caller may hold it
            p.zero_grad()
            p.requires_grad = gradients
        yield
    finally:
        for module in modules:
            module.training = True
        for p, grad, number, trainable in kept:
            p.zero_grad()
            p.grad, p.grad_pass, p.requires_grad = grad, number, trainable


def named(model: Any, method: str) -> list[tuple[str, Any]]:
    """`model.named_modules()` or `model.named_parameters()`; empty without such a method."""
    ask = getattr(model, method, None)
    return list(ask()) if callable(ask) else []


def rule_of(node: Any) -> str:
    """The name of the rule of an operator, else an empty text."""
    return node.rule.name if isinstance(node, Operator) else ""


def need_model(function: str, model: Any) -> None:
    """Raise `TypeError` unless the model can be called."""
    if not callable(model):
        raise TypeError(f"{function}: cannot call a {type(model).__name__}; a model was expected")


def need_rule(function: str, node: Any, names: tuple[str, ...]) -> Operator:
    """Return the node if it is an operator of one of these rules; else raise.

    `TypeError` for anything but an operator, `ValueError` for one of another rule.
    """
    expected = f"a node of {', '.join(names)} was expected"
    if not isinstance(node, Operator):
        raise TypeError(
            f"{function}: {node.brief} is no operator; {expected}"
            if isinstance(node, GraphNode)
            else f"{function}: a {type(node).__name__}; {expected}"
        )
    if node.rule.name not in names:
        raise ValueError(f"{function}: {node.brief}; {expected}")
    return node


def need_index(function: str, name: str, value: Any, size: int) -> int:
    """Return the value as an index in [0, size); else raise `TypeError` or `ValueError`."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise TypeError(f"{function}: {name}={value!r}; an integer was expected")
    if not 0 <= value < size:
        raise ValueError(f"{function}: {name}={value}; 0 to {size - 1} was expected")
    return int(value)


def numbers(function: str, name: str, data: ArrayLike | GraphNode) -> Array:
    """Data as an array of numbers; `DTypeError` for any other dtype."""
    array = data.value if isinstance(data, GraphNode) else np.asarray(data)
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"{function}: {name} holds {array.dtype}; numbers were expected")
    return array


def model_dtype(model: Model) -> np.dtype[Any]:
    """The dtype in which the model computes: that of its first parameter."""
    parameters = named(model, "named_parameters")
    return parameters[0][1].dtype if parameters else float_dtype()


def score(
    function: str, model: Model, x: Constant | Variable, y: ArrayLike | None, loss: Loss | None
) -> tuple[GraphNode, str]:
    """The number to differentiate, of one sample: the loss, or without `y` the largest output.

    Also the predicted class with its probability in words, if the outputs tell classes.

    A sigmoid or softmax at the end is skipped, since it flattens the gradient where the model is
    sure (Simonyan, Vedaldi and Zisserman 2014, section 3: "the unnormalised class scores").
    """
    output = model(x)
    if not isinstance(output, GraphNode) or output.ndim != 2 or output.shape[0] != 1:
        got = (
            f"shape {output.shape}"
            if isinstance(output, GraphNode)
            else f"a {type(output).__name__}"
        )
        raise ShapeError(
            f"{function}: the model gave {got}; outputs (N, classes) or (N, 1) were expected"
        )
    chances, told = output.value[0].astype(float), rule_of(output)
    if output.size == 1:
        chances = np.array([1 - chances[0], chances[0]])
    elif told != "softmax":  # also of their logarithms
        chances = np.exp(chances - chances.max())
    best = int(chances.argmax())
    share = f"{100 * chances[best] / chances.sum():.0f} %"
    words = f"predicted {best} ({share})" if output.size > 1 or told == "sigmoid" else ""
    if y is not None:
        return _loss(function, output, np.asarray(y), loss), words
    if isinstance(output, Operator) and told in _SQUASHING:
        inner = output.inputs[0]
        output = inner if inner.shape == output.shape else output
    return output[0, int(output.value[0].argmax())], words


def _loss(function: str, output: GraphNode, y: Array, loss: Loss | None) -> GraphNode:
    ids = y.dtype.kind in "iu" and output.shape[1] > 1
    if loss is None and not ids:
        raise ValueError(
            f"{function}: y without loss=; there is a default only for several outputs and class "
            f"ids"
        )
    target = Constant(
        y.reshape(1) if ids else y.reshape(output.shape), dtype=y.dtype if ids else output.dtype
    )
    head = (loss or cross_entropy)(output, target)
    if not isinstance(head, GraphNode) or head.size != 1:
        raise ShapeError(
            f"{function}: the loss gave {getattr(head, 'shape', type(head).__name__)}; one number "
            f"was expected"
        )
    return head
