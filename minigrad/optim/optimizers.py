"""Optimisers with PyTorch's formulas and defaults; one compiled pass over each parameter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import kernels
from ..checks import number
from ..errors import GraphError, ShapeError
from ..graph.autodiff import Versions
from ..graph.conversion import Array
from ..graph.node import Variable
from ..names import Guiding

Params = Iterable[Variable | Mapping[str, Any]]

#: options between 0 and 1; all others are at least 0
FRACTIONS = ("momentum", "alpha", "beta1", "beta2")


class Optimizer(Guiding):
    """Base of the optimisers: parameters in groups, each with a learning rate and options.

    `params` are `Variable`s (each counts once), or groups of them: dictionaries with "params" and
    what differs there, such as {"params": …, "lr": …, "weight_decay": …}. A parameter without a
    gradient is left as it is. `param_groups` has all numbers of each group by name; they may be
    changed between steps. `params` are the parameters of all groups. `max_grad_norm` scales all
    gradients down together where their Euclidean norm is larger (gradient clipping, Pascanu et al.
    2013). Raises `ValueError` for options out of range and for a parameter in two groups,
    `TypeError` for an option that the optimiser does not have.

    A subclass names in `memory` the arrays that it keeps for each parameter, and defines `kernel`
    and `scalars`.

    >>> w = mg.Variable(1.0)
    >>> optimizer = mg.optim.SGD([w], lr=0.1)
    >>> for _ in range(3):
    ...     optimizer.zero_grad()
    ...     (w * w).backward()
    ...     optimizer.step()
    >>> f"{w:.3f}"
    '0.512'
    """

    def __init__(
        self, params: Params, lr: float, max_grad_norm: float | None = None, **options: Any
    ) -> None:
        name = type(self).__name__
        if max_grad_norm is not None:
            number(name, "> 0", lambda x: x > 0, max_grad_norm=max_grad_norm)
        self.max_grad_norm, self.steps = max_grad_norm, 0
        defaults = _numbers(name, {"lr": lr, **options})
        self.param_groups: list[dict[str, Any]] = [
            {"params": _variables(name, own), **_numbers(name, defaults | given, defaults)}
            for own, given in _groups(name, params)
        ]
        self.params: list[Variable] = [p for group in self.param_groups for p in group["params"]]
        if len({*map(id, self.params)}) < len(self.params):
            raise ValueError(f"{name}: a parameter is in two groups; one was expected")
        self._memory: dict[int, dict[str, Array]] = {}

    @property
    def memory(self) -> tuple[str, ...]:
        """The names of the arrays kept for each parameter."""
        return ()

    @property
    def lr(self) -> float:
        """The learning rate of the first group; to set it sets that of all groups."""
        return float(self.param_groups[0]["lr"])

    @lr.setter
    def lr(self, rate: float) -> None:
        for group in self.param_groups:
            group["lr"] = rate

    def zero_grad(self) -> None:
        """Clear the gradients of all parameters."""
        for p in self.params:
            p.zero_grad()

    def step(self) -> None:
        """Update each parameter that has a gradient.

        Graphs that were computed from them before cannot be pulled back any more (`GraphError`).
        """
        if self.max_grad_norm is not None:
            clip_grad_norm(self.params, self.max_grad_norm)
        self.steps += 1
        kernel, keeps, first = self.kernel, bool(self.memory), 0
        change = Versions.next_change()
        for group in self.param_groups:
            scalars, dtype = self.scalars(self.steps, group), None
            for i, p in enumerate(group["params"], first):
                if p._grad is not None:
                    if p._data.dtype is not dtype:  # converting costs more than calling the kernel
                        dtype = p._data.dtype
                        numbers = [dtype.type(x) for x in scalars]
                    memory = self._of(i).values() if keeps else ()
                    kernel(p._data.ravel(), p._grad.ravel(), *memory, *numbers)
                    p.version = change
            first += len(group["params"])

    def _of(self, i: int) -> dict[str, Array]:
        if i not in self._memory:
            p = self.params[i]
            self._memory[i] = {name: np.zeros(p.size, p.dtype) for name in self.memory}
        return self._memory[i]

    @property
    def kernel(self) -> Any:
        """The function that updates a parameter: `kernel(p, g, *memory, *scalars)`, arrays flat."""
        raise NotImplementedError(
            f"{type(self).__name__} defines no kernel; take SGD, Adam, AdamW or RMSprop"
        )

    def scalars(self, step: Any, group: Mapping[str, Any]) -> tuple[Any, ...]:
        """The kernel's numbers for a step, counted from 1, by the numbers of a group.

        `step` and the numbers of the group may be arrays: one for each of several steps.
        """
        raise NotImplementedError

    def ahead(self, count: int, schedule: Any = None) -> list[Any]:
        """The kernel's numbers for the next `count` steps, group after group: numbers or arrays.

        A `schedule` is stepped after each of them (`lr_scheduler.LRScheduler`).
        """
        steps = np.arange(self.steps + 1, self.steps + count + 1)
        changes = schedule.ahead(count) if schedule else [{}] * len(self.param_groups)
        groups = zip(self.param_groups, changes, strict=True)
        return [x for group, change in groups for x in self.scalars(steps, group | change)]

    def state_dict(self) -> dict[str, Array]:
        """The number of steps and copies of the memory, as arrays by name."""
        state = {
            f"{i}.{name}": self._of(i)[name].copy()
            for i in range(len(self.params))
            for name in self.memory
        }
        return {"steps": np.array([self.steps]), **state}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Restore what `state_dict` returned.

        Raises `GraphError` where names or sizes differ; nothing is changed then.
        """
        found = fitting(type(self).__name__, self.state_dict(), state)
        self.steps = int(found["steps"][0])
        for i in range(len(self.params)):
            for name, array in self._of(i).items():
                array[...] = found[f"{i}.{name}"]


def fitting(
    owner: str, mine: Mapping[str, Array], state: Mapping[str, ArrayLike]
) -> dict[str, Array]:
    """The arrays of a state that is to replace `mine`.

    Raises `GraphError` where names, sizes or kinds of numbers differ; integers are counts.
    """
    if not isinstance(state, Mapping):
        raise TypeError(
            f"{owner}: a state of type {type(state).__name__}; a mapping from names to arrays "
            f"was expected"
        )
    try:
        found = {name: np.asarray(array) for name, array in state.items()}
    except ValueError:  # rows of different lengths
        raise ShapeError(f"{owner}: the state holds rows of different lengths") from None
    differing = [
        str(name)
        for name in {**mine, **found}
        if name not in mine or name not in found or mine[name].shape != found[name].shape
    ]
    if differing:
        raise GraphError(
            f"{owner}: the state is of another optimiser or of other parameters: "
            f"{', '.join(differing)}"
        )
    wrong = []
    for name, array in mine.items():
        count, kind = array.dtype.kind == "i", found[name].dtype.kind
        if kind not in ("iu" if count else "biuf") or (count and (found[name] < 0).any()):
            wrong.append(name)
    if wrong:
        raise GraphError(f"{owner}: the state holds invalid numbers: {', '.join(wrong)}")
    return found


def _groups(function: str, params: Any) -> list[tuple[Any, dict[str, Any]]]:
    """(parameters, options of their own) for each group."""
    listed = [*params] if isinstance(params, Iterable) and not isinstance(params, Variable) else []
    if not any(isinstance(one, Mapping) for one in listed):
        return [(listed or params, {})]
    found = []
    for group in listed:
        if not isinstance(group, Mapping) or "params" not in group:
            expected = 'a dictionary with "params" was expected, as the other groups are'
            raise TypeError(f"{function}: a group is a {type(group).__name__}; {expected}")
        given = dict(group)
        found.append((given.pop("params"), given))
    return found


def _numbers(
    function: str, given: Mapping[str, Any], known: Iterable[str] = ()
) -> dict[str, float]:
    """The numbers of a group, checked; `betas` are two of them. None but the `known` are there."""
    options = dict(given)
    if "betas" in options:
        betas = options.pop("betas")
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise TypeError(f"{function}: betas={betas!r}; a pair of numbers was expected")
        options["beta1"], options["beta2"] = betas
    for option, value in options.items():
        if known and option not in known:
            expected = f"{', '.join(known)} were expected"
            raise TypeError(f"{function}: a group has the option {option}; {expected}")
        if option in FRACTIONS:
            number(function, "≥ 0 and < 1", lambda x: 0 <= x < 1, **{option: value})
        else:
            number(function, "≥ 0", lambda x: 0 <= x < np.inf, **{option: value})
    return options


def _variables(function: str, params: Any) -> list[Variable]:
    """Each parameter once; an error for what is no list of Variables."""
    expected = "Variables to optimise were expected, for example model.parameters()"
    if isinstance(params, Variable) or not isinstance(params, Iterable):
        raise TypeError(f"{function}: params is a {type(params).__name__}; a list of {expected}")
    found = list({id(p): p for p in params}.values())
    for p in found:
        if not isinstance(p, Variable):
            raise ValueError(f"{function}: params holds a {type(p).__name__}; {expected}")
    if not found:
        raise ValueError(f"{function}: params is empty; {expected}")
    return found


def clip_grad_norm(params: Variable | Iterable[Variable], max_norm: float) -> float:
    """Scale the gradients together so that their Euclidean norm is at most `max_norm`.

    Returns the norm before.

    >>> w = mg.Variable([3.0, 4.0])
    >>> w.grad = [30.0, 40.0]
    >>> mg.optim.clip_grad_norm(w, 1.0), w.grad.round(2)
    (50.0, array([0.6, 0.8], dtype=float32))
    """
    number("clip_grad_norm", "> 0", lambda x: x > 0, max_norm=max_norm)
    params = [params] if isinstance(params, Variable) else params
    grads = [p.grad for p in params if p.grad is not None]
    norm = float(np.sqrt(sum(float(np.vdot(g, g)) for g in grads)))
    if norm > max_norm:
        for g in grads:
            g *= max_norm / norm
    return norm


class SGD(Optimizer):
    """p -= lr · g; with momentum p -= lr · v, v = momentum · v + g.

    `nesterov` uses g + momentum · v, the velocity one step ahead.

    >>> w = mg.Variable(1.0)
    >>> optimizer = mg.optim.SGD([w], lr=0.1, momentum=0.9)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> f"{w:.2f}"
    '0.80'
    """

    def __init__(
        self,
        params: Params,
        lr: float,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        *,
        max_grad_norm: float | None = None,
    ) -> None:
        options = {"momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
        super().__init__(params, lr, max_grad_norm, **options)
        if any(group["nesterov"] and not group["momentum"] for group in self.param_groups):
            raise ValueError("SGD: nesterov=True and momentum=0; a momentum > 0 was expected")

    @property
    def memory(self) -> tuple[str, ...]:
        return ("velocity",) if any(group["momentum"] for group in self.param_groups) else ()

    @property
    def kernel(self) -> Any:
        return kernels.update.momentum if self.memory else kernels.update.sgd

    def scalars(self, step: Any, group: Mapping[str, Any]) -> tuple[Any, ...]:
        scalars = group["lr"], group["weight_decay"]
        return (*scalars, group["momentum"], group["nesterov"]) if self.memory else scalars


class Adam(Optimizer):
    """Steps scaled by running averages m of the gradient and v of its square (Kingma & Ba 2015).

    >>> w = mg.Variable([1.0, -1.0])
    >>> optimizer = mg.optim.Adam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.value.round(4)
    array([ 0.9, -0.9], dtype=float32)
    """

    memory = ("m", "v")
    decoupled = False

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        max_grad_norm: float | None = None,
    ) -> None:
        super().__init__(params, lr, max_grad_norm, betas=betas, eps=eps, weight_decay=weight_decay)

    @property
    def kernel(self) -> Any:
        return kernels.update.adam

    def scalars(self, step: Any, group: Mapping[str, Any]) -> tuple[Any, ...]:
        lr, b1, b2, eps = (group[name] for name in ("lr", "beta1", "beta2", "eps"))
        decay = group["weight_decay"]
        coupled, decoupled = (0.0, decay) if self.decoupled else (decay, 0.0)
        return (lr, b1, b2, eps, 1 - b1**step, 1 - b2**step, coupled, decoupled)


class AdamW(Adam):
    """Adam with weight decay that shrinks parameters directly (Loshchilov & Hutter 2019).

    >>> w = mg.Variable(1.0)
    >>> optimizer = mg.optim.AdamW([w], lr=0.1, weight_decay=0.5)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> f"{w:.2f}"
    '0.85'
    """

    decoupled = True

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        *,
        max_grad_norm: float | None = None,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, max_grad_norm=max_grad_norm)


class RMSprop(Optimizer):
    """Steps divided by the root of a running average of g² (Tieleman & Hinton 2012).

    >>> w = mg.Variable(1.0)
    >>> optimizer = mg.optim.RMSprop([w], lr=0.01)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> f"{w:.2f}"
    '0.90'
    """

    memory = ("v",)

    def __init__(
        self,
        params: Params,
        lr: float = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        max_grad_norm: float | None = None,
    ) -> None:
        super().__init__(params, lr, max_grad_norm, alpha=alpha, eps=eps, weight_decay=weight_decay)

    @property
    def kernel(self) -> Any:
        return kernels.update.rmsprop

    def scalars(self, step: Any, group: Mapping[str, Any]) -> tuple[Any, ...]:
        return group["lr"], group["alpha"], group["eps"], group["weight_decay"]
