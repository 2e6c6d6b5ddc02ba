"""Optimisers with PyTorch's formulas and defaults. One compiled pass over each parameter and its memory."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from . import kernels
from .errors import GraphError
from .graph.node import Array, Variable


class Optimizer:
    """Base of the optimisers: parameters, a learning rate, and named memory arrays for each parameter.

    `params` are `Variable`s (each counts once); a parameter without a gradient is left as it is. `max_grad_norm` scales all
    gradients down together where their Euclidean norm is larger (gradient clipping, Pascanu et al. 2013).
    Raises `ValueError` for options out of range.
    """

    memory: tuple[str, ...] = ()

    def __init__(self, params: Iterable[Variable], lr: float, max_grad_norm: float | None = None, **options: float) -> None:
        name = type(self).__name__
        self.params = list({id(p): p for p in params}.values())
        if not self.params or not all(isinstance(p, Variable) for p in self.params):
            raise ValueError(f"{name}: Variables to optimise were expected, for example model.parameters()")
        for option, value in {"lr": lr, **options}.items():
            limit = 1 if option in ("momentum", "alpha") or option.startswith("beta") else np.inf
            if not 0 <= value < limit or (option == "lr" and value == 0):
                raise ValueError(f"{name}: {option}={value} is out of range")
        if max_grad_norm is not None and not max_grad_norm > 0:
            raise ValueError(f"{name}: max_grad_norm={max_grad_norm} is out of range")
        self.lr, self.max_grad_norm, self.options = lr, max_grad_norm, options
        self.steps = 0
        self._memory: dict[int, dict[str, Array]] = {}

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for p in self.params:
            p.zero_grad()

    def step(self) -> None:
        """Change each parameter that has a gradient."""
        if self.max_grad_norm is not None:
            clip_grad_norm(self.params, self.max_grad_norm)
        self.steps += 1
        kernel, scalars, dtype = self.kernel, self.scalars(self.steps), None
        for i, p in enumerate(self.params):
            if p.grad is not None:
                if p._data.dtype is not dtype:  # making numbers costs more than calling the kernel
                    dtype = p._data.dtype
                    numbers = [dtype.type(x) for x in scalars]
                memory = self._of(i).values() if self.memory else ()
                kernel(p._data.ravel(), p.grad.ravel(), *memory, *numbers)

    def _of(self, i: int) -> dict[str, Array]:
        if i not in self._memory:
            p = self.params[i]
            self._memory[i] = {name: np.zeros(p.size, p.dtype) for name in self.memory}
        return self._memory[i]

    @property
    def kernel(self) -> Any:
        """What changes a parameter: `kernel(p, g, *memory, *scalars)`, all arrays flat."""
        raise NotImplementedError

    def scalars(self, step: int) -> tuple[float, ...]:
        """The numbers that the kernel needs in this step, counted from 1."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Array]:
        """Number of steps and copies of the memory, as arrays by name, for a checkpoint."""
        state = {f"{i}.{name}": self._of(i)[name].copy() for i in range(len(self.params)) for name in self.memory}
        return {"steps": np.array([self.steps]), **state}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """The inverse of `state_dict`. Raises `GraphError` where names or sizes differ; nothing is changed then."""
        mine = {name: array.shape for name, array in self.state_dict().items()}
        if mine != {name: np.shape(array) for name, array in state.items()}:
            raise GraphError(f"{type(self).__name__}: the state is of another optimiser or of other parameters")
        self.steps = int(state["steps"][0])
        for i in range(len(self.params)):
            for name, array in self._of(i).items():
                array[...] = state[f"{i}.{name}"]


def clip_grad_norm(params: Iterable[Variable], max_norm: float) -> float:
    """Scale the gradients together so that their Euclidean norm is at most `max_norm`; returns the norm before."""
    grads = [p.grad for p in params if p.grad is not None]
    norm = float(np.sqrt(sum(float(np.vdot(g, g)) for g in grads)))
    if norm > max_norm:
        for g in grads:
            g *= max_norm / norm
    return norm


class SGD(Optimizer):
    """p -= lr · g, with momentum v = momentum · v + g where it is not 0; `nesterov` looks one step ahead."""

    def __init__(
        self, params: Iterable[Variable], lr: float, momentum: float = 0.0, nesterov: bool = False,
        weight_decay: float = 0.0, *, max_grad_norm: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(params, lr, max_grad_norm, momentum=momentum, weight_decay=weight_decay)
        if nesterov and not momentum:
            raise ValueError("SGD: nesterov needs a momentum")
        self.nesterov = nesterov
        self.memory = ("velocity",) if momentum else ()

    @property
    def kernel(self) -> Any:
        return kernels.update.momentum if self.memory else kernels.update.sgd

    def scalars(self, step: int) -> tuple[float, ...]:
        lr, decay = self.lr, self.options["weight_decay"]
        return (lr, decay, self.options["momentum"], float(self.nesterov)) if self.memory else (lr, decay)


class Adam(Optimizer):
    """Steps scaled by running averages m of the gradient and v of its square (Kingma & Ba 2015)."""

    memory = ("m", "v")
    decoupled = False

    def __init__(
        self, params: Iterable[Variable], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0.0, *, max_grad_norm: float | None = None,
    ) -> None:  # fmt: skip
        beta1, beta2 = betas
        super().__init__(
            params, lr, max_grad_norm, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay
        )

    @property
    def kernel(self) -> Any:
        return kernels.update.adam

    def scalars(self, step: int) -> tuple[float, ...]:
        o = self.options
        b1, b2, decay = o["beta1"], o["beta2"], o["weight_decay"]
        coupled, decoupled = (0.0, decay) if self.decoupled else (decay, 0.0)
        return (self.lr, b1, b2, o["eps"], 1 - b1**step, 1 - b2**step, coupled, decoupled)


class AdamW(Adam):
    """Adam with weight decay that shrinks parameters directly (Loshchilov & Hutter 2019)."""

    decoupled = True

    def __init__(
        self, params: Iterable[Variable], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0.01, *, max_grad_norm: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(params, lr, betas, eps, weight_decay, max_grad_norm=max_grad_norm)


class RMSprop(Optimizer):
    """Steps divided by the root of a running average of the squared gradient (Tieleman & Hinton 2012)."""

    memory = ("v",)

    def __init__(
        self, params: Iterable[Variable], lr: float = 0.01, alpha: float = 0.99, eps: float = 1e-8,
        weight_decay: float = 0.0, *, max_grad_norm: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(params, lr, max_grad_norm, alpha=alpha, eps=eps, weight_decay=weight_decay)

    @property
    def kernel(self) -> Any:
        return kernels.update.rmsprop

    def scalars(self, step: int) -> tuple[float, ...]:
        o = self.options
        return (self.lr, o["alpha"], o["eps"], o["weight_decay"])
