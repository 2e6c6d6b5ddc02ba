"""Modules: models composed of operators, which bring their own derivatives."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ParamSpec, Protocol, Self, TypeVar, cast, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..errors import DTypeError, GraphError, ShapeError
from ..graph import settings
from ..graph.context import add_module_context
from ..graph.hooks import Handle, Hook, Hooks, fire
from ..graph.node import Buffer, GraphNode, Variable
from ..names import Guiding

STRIDE = 50  # levels of modules that a copy or a pickle recurses through at a time
Leaf = TypeVar("Leaf", Variable, Buffer)
P = ParamSpec("P")
Output = TypeVar("Output", covariant=True)


class Forward(Protocol[P, Output]):
    """Anything with `forward`: a call of a module takes and returns what its `forward` does."""

    def forward(self, *inputs: P.args, **options: P.kwargs) -> Output: ...


class Module(Guiding):
    """Base of layers and models.

    A subclass makes its parameters (`Variable`s), buffers (`nn.Buffer`s: state that is not trained)
    and inner modules in `__init__` and defines `forward`; calling the module calls `forward`.
    Attributes that are variables, buffers or modules, or lists, tuples and dicts of modules, are
    found automatically, in the order of their assignment, under PyTorch's names
    (`layers.0.weight`).

    >>> class Net(mg.nn.Module):
    ...     def __init__(self):
    ...         self.hidden, self.out = mg.nn.Linear(4, 8), mg.nn.Linear(8, 3)
    ...
    ...     def forward(self, x):
    ...         return self.out(mg.relu(self.hidden(x)))
    >>> model = Net()
    >>> model(np.ones((5, 4))).shape, [name for name, p in model.named_parameters()]
    ((5, 3), ['hidden.weight', 'hidden.bias', 'out.weight', 'out.bias'])
    """

    training = True
    _hooks: Hooks | None = None

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Compute the output; a subclass defines it with operators and inner modules."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def __call__(self: Forward[P, Output], *inputs: P.args, **options: P.kwargs) -> Output:
        module, before = cast(Module, self), settings.scope()
        try:
            settings.set_scope((*before, self))
            output = self.forward(*inputs, **options)
        except RecursionError as error:
            if before:  # only the outermost module explains it
                raise
            limit = sys.getrecursionlimit()
            raise GraphError(
                f"{type(self).__name__}: its forward nests calls more deeply than Python allows "
                f"(limit {limit}); nest modules less, or raise the limit with sys.setrecursionlimit"
            ) from error
        except Exception as error:
            add_module_context(error)
            raise
        finally:
            settings.set_scope(before)
        node = output[0] if isinstance(output, tuple) else output
        if isinstance(node, GraphNode):
            hooks = node.attach(module._hooks or module._own_hooks())
            if hooks.forward:
                fire([hooks], "forward", node, node._data)
        return output

    # ---------------- inner modules, parameters and buffers
    def _inner(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of each inner module, one level deep; shared ones under every name."""
        for name, value in [*vars(self).items()]:  # `forward` may add a stream meanwhile
            if isinstance(value, Module):
                yield name, value
            elif isinstance(value, list | tuple | dict):
                pairs = value.items() if isinstance(value, dict) else enumerate(value)
                yield from (
                    (f"{name}.{key}", inner) for key, inner in pairs if isinstance(inner, Module)
                )

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of each inner module, one level deep and each once."""
        first: dict[int, tuple[str, Module]] = {}
        for name, module in self._inner():
            first.setdefault(id(module), (name, module))
        return iter(first.values())

    def children(self) -> Iterator[Module]:
        """The inner modules, one level deep and each once."""
        return (module for _, module in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """(dotted name, module) of this module, named `prefix`, and of all inside it.

        As in PyTorch, a module that is used in several places comes once, under its first name.
        """
        return _walk(self, prefix, every_name=False)

    def modules(self) -> list[Module]:
        """This module and all inside it."""
        return [module for _, module in self.named_modules()]

    def _leaves(self, every_name: bool = False) -> Iterator[tuple[str, Variable | Buffer]]:
        """(dotted name, parameter or buffer); `every_name`: also those of shared modules."""
        for prefix, module in _walk(self, "", every_name):
            for name, value in vars(module).items():
                if isinstance(value, Variable | Buffer):
                    yield (f"{prefix}.{name}" if prefix else name), value

    def _named(self, kind: type[Leaf]) -> list[tuple[str, Leaf]]:
        first: dict[int, tuple[str, Leaf]] = {}
        for name, leaf in self._leaves():
            if isinstance(leaf, kind):
                first.setdefault(id(leaf), (name, leaf))
        return list(first.values())

    def named_parameters(self) -> list[tuple[str, Variable]]:
        """(dotted name, parameter), each parameter once, under its first name."""
        return self._named(Variable)

    def parameters(self) -> list[Variable]:
        """The parameters, each once."""
        return [parameter for _, parameter in self.named_parameters()]

    def named_buffers(self) -> list[tuple[str, Buffer]]:
        """(dotted name, buffer), each once: running statistics and other untrained state."""
        return self._named(Buffer)

    def buffers(self) -> list[Buffer]:
        """The buffers, each once."""
        return [buffer for _, buffer in self.named_buffers()]

    # ---------------- state
    def _saved(self) -> dict[str, Variable | Buffer]:
        found: dict[str, Variable | Buffer] = {}
        for name, leaf in self._leaves(every_name=True):
            if found.setdefault(name, leaf) is not leaf:
                raise GraphError(
                    f"{type(self).__name__}: two parameters or buffers have the name {name!r}; "
                    f"rename an attribute or a key of a dict"
                )
        return {
            name: leaf
            for name, leaf in found.items()
            if isinstance(leaf, Variable) or leaf.persistent
        }

    def state_dict(self) -> dict[str, np.ndarray[Any, Any]]:
        """Copies of all parameters and persistent buffers, in PyTorch's names and layouts."""
        return {name: leaf.value.copy() for name, leaf in self._saved().items()}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Copy arrays into the parameters and buffers of the same names.

        Raises `GraphError` that lists missing and unexpected names, `ShapeError` that lists shapes
        that differ, `DTypeError` for arrays that hold no numbers, or fractions where integers are
        kept; nothing is changed then.
        """
        load_leaves(type(self).__name__, self._saved(), state)

    def to(self, dtype: DTypeLike) -> Self:
        """Convert all parameters and buffers of floats to float32 or float64, in place.

        Clears gradients. Returns the module.
        """
        wanted = settings.float_dtype(dtype)
        for leaf in (*self.parameters(), *self.buffers()):
            if leaf.dtype.kind == "f":
                leaf._data = leaf._data.astype(wanted)
                leaf._grad = leaf._spare = None
        return self

    def train(self, mode: bool = True) -> Self:
        """Set training mode (evaluation mode with False) for this module and all inside it.

        Returns the module.
        """
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Set evaluation mode. Returns the module."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Clear the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.zero_grad()

    # ---------------- hooks
    def _own_hooks(self) -> Hooks:
        if self._hooks is None:
            self._hooks = Hooks()
        return self._hooks

    def register_forward_hook(self, hook: Hook) -> Handle:
        """Call `hook(node, value)` with the output node each time its value has been computed."""
        return Handle(self._own_hooks().forward, hook)

    def register_backward_hook(self, hook: Hook) -> Handle:
        """Call `hook(node, grad)` with the output node when its gradient is complete."""
        return Handle(self._own_hooks().backward, hook)

    # ---------------- as text
    def extra_repr(self) -> str:
        """The text between the brackets of a layer's representation."""
        return ""

    def __repr__(self) -> str:
        lines: list[str] = []
        path: dict[int, None] = {}  # modules whose bracket is still open
        todo: list[tuple[str, str, Module | None]] = [("", "", self)]
        while todo:
            indent, label, module = todo.pop()
            if module is None:
                path.popitem()
                lines.append(f"{indent})")
                continue
            kind, children = type(module), list(module._inner())
            if id(module) in path:
                text = f"{kind.__name__}(…)"
            elif module is not self and kind.__repr__ is not Module.__repr__:
                text = repr(module)
            elif not children:
                text = f"{kind.__name__}({module.extra_repr()})"
            else:
                text = f"{kind.__name__}("
                path[id(module)] = None
                todo.append((indent, "", None))
                todo += [
                    (f"{indent}  ", f"({name}): ", child) for name, child in reversed(children)
                ]
            lines.append(f"{indent}{label}{text}".replace("\n", f"\n{indent}"))
        return "\n".join(lines)

    # ---------------- copies and pickles
    def __reduce_ex__(self, protocol: Any) -> Any:
        """Copy and pickle modules of any depth.

        Both recurse into inner modules, and would reach Python's limit after some hundred levels.
        Modules `STRIDE` levels below are therefore copied first, so that each recursion ends there.
        """
        reduced = super().__reduce_ex__(protocol)
        below = [self]
        seen = {id(self): self}
        for _ in range(STRIDE):
            inner = {id(child): child for module in below for _, child in module._inner()}
            below = [child for key, child in inner.items() if key not in seen]
            seen.update(inner)
        if not below or isinstance(reduced, str):
            return reduced
        function, arguments, *state = reduced
        return (_after, (below, function, arguments), *state)


def _walk(root: Module, prefix: str, every_name: bool) -> Iterator[tuple[str, Module]]:
    """(dotted name, module) of a module and of all inside it, depth first and without recursion.

    A module comes under its first name only, or with `every_name` under each; inside itself it is
    left out.
    """
    left_out = {id(root)}
    path = [(prefix, root, root._inner())]
    yield prefix, root
    while path:
        above, module, children = path[-1]
        name, child = next(children, ("", None))
        if child is None:
            path.pop()
            if every_name:
                left_out.discard(id(module))
        elif id(child) not in left_out:
            left_out.add(id(child))
            name = f"{above}.{name}" if above else name
            path.append((name, child, child._inner()))
            yield name, child


def _after(first: list[Module], function: Any, arguments: tuple[Any, ...]) -> Any:
    """Make a copy of a module; those in `first` are copied by now (see `Module.__reduce_ex__`)."""
    return function(*arguments)


def load_leaves(owner: str, leaves: Mapping[str, GraphNode], state: Mapping[str, Any]) -> None:
    """Copy the arrays of `state` into leaves of the same names, shapes and kinds of numbers.

    Where they differ nothing is changed, and an error lists every difference.
    """
    if not isinstance(state, Mapping):
        raise TypeError(
            f"{owner}: a state of type {type(state).__name__}; a mapping from names to arrays was "
            f"expected"
        )
    missing = [name for name in leaves if name not in state]
    unexpected = [name for name in state if name not in leaves]
    if missing or unexpected:
        parts = {"missing": missing, "unexpected": unexpected}
        said = "; ".join(
            f"{what} {', '.join(map(str, names))}" for what, names in parts.items() if names
        )
        raise GraphError(f"{owner}: the state does not fit: {said}")
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    shapes, dtypes = [], []
    for name, leaf in leaves.items():
        try:
            array = arrays[name] = np.asarray(state[name])
        except ValueError:  # rows of different lengths
            raise ShapeError(f"{owner}: the state does not fit: {name} is no array") from None
        if array.shape != leaf.shape:
            shapes.append(f"{name} is {array.shape}, {leaf.shape} was expected")
        if array.dtype.kind not in ("biuf" if leaf.dtype.kind == "f" else "biu"):
            dtypes.append(f"{name} is {array.dtype}, {leaf.dtype} was expected")
    for differing, kind in ((shapes, ShapeError), (dtypes, DTypeError)):
        if differing:
            raise kind(f"{owner}: the state does not fit: {'; '.join(differing)}")
    for name, leaf in leaves.items():
        leaf.value = arrays[name]


@contextmanager
def in_mode(model: Module, training: bool) -> Iterator[None]:
    """Within the block the model is in training or evaluation mode; each module's mode returns."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.train(training)
        yield
    finally:
        for module, before in modes:
            module.training = before


class Lambda(Module):
    """A function as a module: a call of the module is a call of the function.

    >>> mg.nn.Lambda(lambda x: x * 2)(3.0)
    6.0
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def forward(self, *inputs: Any, **options: Any) -> Any:
        return self.function(*inputs, **options)

    def extra_repr(self) -> str:
        return getattr(self.function, "__name__", repr(self.function))


class Sequential(Module):
    """Modules in a chain: each gets the output of the one before. A slice is a Sequential, too.

    A function (`mg.relu`, a lambda) among them becomes a `Lambda`.

    >>> model = mg.nn.Sequential(mg.nn.Linear(4, 8), mg.tanh, mg.nn.Linear(8, 1))
    >>> model(np.ones((5, 4))).shape
    (5, 1)
    """

    def __init__(self, *modules: Module | Callable[..., Any]) -> None:
        for i, module in enumerate(modules):
            if isinstance(module, type) or not callable(module):
                raise TypeError(
                    f"Sequential: argument {i} is {module!r}; a Module or a function was expected"
                )
        self._modules = [m if isinstance(m, Module) else Lambda(m) for m in modules]

    def _inner(self) -> Iterator[tuple[str, Module]]:
        return ((str(i), module) for i, module in enumerate(self._modules))

    def forward(self, x: ArrayLike) -> GraphNode:
        output: Any = x
        for i, module in enumerate(self._modules):
            if type(output) is tuple and i:  # of a recurrent layer
                kind = type(self._modules[i - 1]).__name__
                raise TypeError(
                    f"Sequential: module {i - 1} ({kind}) returned a tuple of {len(output)}; one "
                    f"node was expected before module {i}; write a Module whose forward takes what "
                    f"it needs"
                )
            output = module(output)
        return cast(GraphNode, output)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules)

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Module:
        try:
            found = self._modules[index]
            return Sequential(*found) if isinstance(found, list) else found
        except (IndexError, TypeError) as error:
            raise type(error)(
                f"Sequential: index {index!r}; there are {len(self)} modules"
            ) from None
