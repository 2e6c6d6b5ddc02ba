"""Modules: models as compositions. No derivative is written here; the operators know theirs."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..errors import GraphError, ShapeError
from ..graph import settings
from ..graph.hooks import Handle, Hook, Hooks, fire
from ..graph.node import GraphNode, Variable


class Module:
    """Base of layers and models.

    A subclass makes its parameters (`Variable`s) and inner modules in `__init__` and defines `forward`; calling the
    module calls `forward`. Attributes that are variables or modules, or lists, tuples and dicts of modules, are found by
    themselves, in the order in which they were assigned, under PyTorch's names (`layers.0.weight`).
    """

    training = True
    _hooks: Hooks | None = None

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """What the module computes; a subclass defines it in operators and inner modules."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        token = settings.enter(self)
        try:
            output = self.forward(*inputs, **options)
        finally:
            settings.leave(token)
        node = output[0] if isinstance(output, tuple) else output
        if isinstance(node, GraphNode):
            hooks = node.watched_by(self._hooks or self._own_hooks())
            if hooks.forward:
                fire([hooks.forward], node, node._data)
        return output

    # ---------------------------------------------------------------- what it is made of
    def children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of each inner module, one level deep."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value
            elif isinstance(value, list | tuple | dict):
                pairs = value.items() if isinstance(value, dict) else enumerate(value)
                yield from ((f"{name}.{key}", inner) for key, inner in pairs if isinstance(inner, Module))

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """(dotted name, module) of this module (its name is `prefix`) and of all inside it."""
        yield prefix, self
        for name, child in self.children():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def modules(self) -> list[Module]:
        """This module and all inside it."""
        return [module for _, module in self.named_modules()]

    def _all_parameters(self) -> Iterator[tuple[str, Variable]]:
        """Every (dotted name, parameter), a shared parameter under each of its names."""
        for prefix, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, Variable):
                    yield (f"{prefix}.{name}" if prefix else name), value

    def named_parameters(self) -> list[tuple[str, Variable]]:
        """(dotted name, parameter); a parameter that is used in several places comes once, under its first name."""
        first: dict[int, tuple[str, Variable]] = {}
        for name, parameter in self._all_parameters():
            first.setdefault(id(parameter), (name, parameter))
        return list(first.values())

    def parameters(self) -> list[Variable]:
        """The parameters, each once."""
        return [parameter for _, parameter in self.named_parameters()]

    # ---------------------------------------------------------------- state
    def state_dict(self) -> dict[str, np.ndarray[Any, Any]]:
        """Copies of all parameters under PyTorch's names, in PyTorch's layouts."""
        return {name: parameter.value.copy() for name, parameter in self._all_parameters()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Copy arrays into the parameters of the same names.

        Raises `GraphError` that lists missing and unexpected names, `ShapeError` that lists shapes that differ; nothing
        is changed then.
        """
        check_state(type(self).__name__, {name: p.shape for name, p in self._all_parameters()}, state)
        for name, parameter in self._all_parameters():
            parameter.value = np.asarray(state[name])

    def to(self, dtype: Any) -> Module:
        """Turn all parameters into float32 or float64, in place; gradients are forgotten. Returns the module."""
        wanted = settings.float_dtype(dtype)
        for parameter in self.parameters():
            parameter._data = parameter._data.astype(wanted)
            parameter.grad = parameter._spare = None
        return self

    def train(self, mode: bool = True) -> Module:
        """Set training mode (or evaluation with False) for the module and all inside it. Returns the module."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """Set evaluation mode. Returns the module."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.zero_grad()

    # ---------------------------------------------------------------- hooks
    def _own_hooks(self) -> Hooks:
        if self._hooks is None:
            self._hooks = Hooks()
        return self._hooks

    def register_forward_hook(self, hook: Hook) -> Handle:
        """Call `hook(node, value)` with the module's output node, each time its value has been computed."""
        return Handle(self._own_hooks().forward, hook)

    def register_backward_hook(self, hook: Hook) -> Handle:
        """Call `hook(node, grad)` with the module's output node, when that node's gradient is complete."""
        return Handle(self._own_hooks().backward, hook)

    # ---------------------------------------------------------------- in words
    def extra_repr(self) -> str:
        """What a layer says of itself between its brackets."""
        return ""

    def __repr__(self) -> str:
        rows = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self.children()]
        inner = "\n  " + "\n  ".join(rows) + "\n" if rows else self.extra_repr()
        return f"{type(self).__name__}({inner})"


def check_state(owner: str, shapes: Mapping[str, tuple[int, ...]], state: Mapping[str, Any]) -> None:
    """Raise unless `state` has exactly these names with exactly these shapes; every difference is listed."""
    missing = [name for name in shapes if name not in state]
    unexpected = [name for name in state if name not in shapes]
    if missing or unexpected:
        parts = {"missing": missing, "unexpected": unexpected}
        said = "; ".join(f"{what} {', '.join(names)}" for what, names in parts.items() if names)
        raise GraphError(f"{owner}: the state does not fit: {said}")
    wrong = [
        f"{name} is {np.shape(state[name])}, {shape} was expected"
        for name, shape in shapes.items()
        if np.shape(state[name]) != shape
    ]
    if wrong:
        raise ShapeError(f"{owner}: the state does not fit: {'; '.join(wrong)}")


class Sequential(Module):
    """Modules one after the other: each gets what the one before returned. Slices are Sequentials of the same modules."""

    def __init__(self, *modules: Module) -> None:
        for i, module in enumerate(modules):
            if not isinstance(module, Module):
                raise TypeError(f"Sequential: argument {i} is a {type(module).__name__}, a Module was expected")
        self._modules = list(modules)

    def children(self) -> Iterator[tuple[str, Module]]:
        return ((str(i), module) for i, module in enumerate(self._modules))

    def forward(self, x: Any) -> Any:  # type: ignore[override]
        for module in self._modules:
            x = module(x)
        return x

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules)

    def __getitem__(self, index: int | slice) -> Module:
        return Sequential(*self._modules[index]) if isinstance(index, slice) else self._modules[index]
