"""Looking at a model: calling it, even pulling gradients through it, and leaving it as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...errors import DTypeError, ShapeError
from ...graph.node import Constant, GraphNode, Variable
from ...graph.rule import Operator
from ...graph.settings import float_dtype
from ...ops import cross_entropy

Array = np.ndarray[Any, Any]

_SQUASHING = ("sigmoid", "softmax", "log_softmax")


@contextmanager
def looking(model: Any, gradients: bool = False) -> Iterator[None]:
    """Within the block the model evaluates (dropout off), and its parameters take gradients or none
    at all.

    Afterwards training modes, `requires_grad` and every gradient are what they were, the very same
    arrays. A model is whatever can be called; of one that has them, `named_modules` and
    `named_parameters` are asked.
    """
    modules = [m for _, m in named(model, "named_modules") if getattr(m, "training", False)]
    kept = [(p, p.grad, p.grad_pass, p.requires_grad) for _, p in named(model, "named_parameters")]
    try:
        for module in modules:
            module.training = False
        for p, *_ in kept:
            # lets go of the array, where clearing it would change what somebody looks at
            p.zero_grad()
            p.requires_grad = gradients
        yield
    finally:
        for module in modules:
            module.training = True
        for p, grad, number, trainable in kept:
            p.zero_grad()
            p.grad, p.grad_pass, p.requires_grad = grad, number, trainable


def named(model: Any, what: str) -> list[tuple[str, Any]]:
    """`model.named_modules()` or `model.named_parameters()`; nothing where the model has no such
    method.
    """
    method = getattr(model, what, None)
    return list(method()) if callable(method) else []


def need_model(function: str, model: Any) -> None:
    """Raise `TypeError` for what cannot be called."""
    if not callable(model):
        raise TypeError(f"{function}: cannot call a {type(model).__name__}; a model was expected")


def need_rule(function: str, node: Any, names: tuple[str, ...]) -> Operator:
    """The node, if it is an operator of one of these rules; else `TypeError` or `ValueError`."""
    expected = f"a node of {', '.join(names)} was expected"
    if not isinstance(node, Operator):
        raise TypeError(
            f"{function}: {node!r} is no operator; {expected}"
            if isinstance(node, GraphNode)
            else f"{function}: a {type(node).__name__}; {expected}"
        )
    if node.rule.name not in names:
        raise ValueError(f"{function}: {node!r}; {expected}")
    return node


def need_index(function: str, name: str, value: Any, size: int) -> int:
    """The value as an index, if it lies in [0, size); else `TypeError` or `ValueError`."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise TypeError(f"{function}: {name}={value!r}; an integer was expected")
    if not 0 <= value < size:
        raise ValueError(f"{function}: {name}={value}; 0 to {size - 1} was expected")
    return int(value)


def numbers(function: str, name: str, data: Any) -> Array:
    """Data as an array of numbers; `TypeError` for what holds none."""
    array = data.value if isinstance(data, GraphNode) else np.asarray(data)
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"{function}: {name} holds {array.dtype}; numbers were expected")
    return array


def model_dtype(model: Any) -> np.dtype[Any]:
    """The dtype in which the model computes: that of its first parameter."""
    parameters = named(model, "named_parameters")
    return parameters[0][1].dtype if parameters else float_dtype()


def score(
    function: str, model: Any, x: Constant | Variable, y: Any, loss: Callable[..., Any] | None
) -> tuple[GraphNode, int | None]:
    """The number whose gradient is asked for, of one sample: the loss, or without a target the
    largest output.

    With it, the class whose output it is, if there are several.

    A sigmoid or softmax at the end is stepped over, since it flattens the gradient where the model
    is sure (Simonyan, Vedaldi and Zisserman 2014, section 3: "the unnormalised class scores").
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
    if y is None:
        if isinstance(output, Operator) and output.rule.name in _SQUASHING:
            inner = output.inputs[0]
            output = inner if inner.shape == output.shape else output
        best = int(output.value[0].argmax())
        return output[0, best], best if output.size > 1 else None
    return _loss(function, output, np.asarray(y), loss), None


def _loss(function: str, output: GraphNode, y: Array, loss: Callable[..., Any] | None) -> GraphNode:
    if loss is None and (output.shape[1] == 1 or y.dtype.kind not in "iu"):
        raise ValueError(
            f"{function}: y without loss=; only for several outputs and class ids is it plain "
            f"which is meant"
        )
    floats = y.dtype.kind not in "iu" or output.shape[1] == 1
    target = (
        Constant(y.reshape(output.shape), dtype=output.dtype)
        if floats
        else Constant(y.reshape(1), dtype=y.dtype)
    )
    head = (loss or cross_entropy)(output, target)
    if not isinstance(head, GraphNode) or head.size != 1:
        raise ShapeError(
            f"{function}: the loss gave {getattr(head, 'shape', type(head).__name__)}; one number "
            f"was expected"
        )
    return head
