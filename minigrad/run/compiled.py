"""The compiled training step: forward, backward and update of many batches as generated source that
Numba compiles.

`CompiledStep` traces the graph of one part of a batch (`trace.py`), gives every array a place in
one arena (`arena.py`), writes the source (`emit.py`) and loads it. Each thread takes one part of
the batch through the whole graph with its own values and gradients; then the gradients are added in
a fixed order and the parameters are changed.
"""

from __future__ import annotations

import hashlib
import keyword
import os
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from .. import kernels
from ..errors import GraphError
from ..graph.context import add_node_context
from ..graph.hooks import read_only
from ..graph.node import Buffer, GraphNode, Variable
from ..graph.rule import Operator, Rule
from ..interrupts import interrupts_deferred
from ..optim import Optimizer
from .arena import STRETCH, Arena
from .emit import Emitter, comment
from .fingerprint import fingerprint
from .memory import Memory, memory_of
from .trace import trace

KEPT = 64  # compiled steps of so many sources stay in memory
_recent: dict[str, None] = {}  # the names of their modules, the one used last at the end
THREADED = 20_000  # from so many parameters on they are shared out over threads

_HEAD = '''\
"""{title}

Written by minigrad from the rules of the graph's operators; a comment names the node of the lines
below it. P holds the parameters, G the gradients (a row per part of the batch), S buffers such as
running statistics, V all other values. `shaped` and `flat` view the same numbers in another shape.
"""
import numpy as np
{imports}

f = np.{dtype}
{constants}

@compiled_separately
def part({arguments}):
    """Forward and backward for one part of the batch; returns its loss."""
{body}
    return {loss}


@jit(parallel={parallel})
def steps(P, G, T, {arenas}{memories}X, Y, x, y, order, H, each, losses):
    """Make as many steps as there are `losses`, up to the first loss that is not finite.

    Returns how many were made. X and Y hold all samples, `order` their order; H has the numbers of
    the optimiser, a row per step. T is where gradients are summed, `each` has the loss of each part
    of a batch.
    """
{copies}    for t in range(losses.size):
{keep}        for s in {range}({parts}):
{clear}{gather}            each[s] = part(flat(P), flat(G[s]), {rows}flat(x[s]), flat(y[s]))
        losses[t] = {mean}
        if not abs(losses[t]) < np.inf:  # NaN compares false
{restore}            return t
{update}
    return losses.size
'''


class CompiledStep:
    """The training step of a graph, for one size of batch.

    `order` is the graph of one part of the batch, `inputs` its constants `x` and `y`, which are fed
    anew; the batch has `parts` of them. Parameters and the optimiser's memory move into the arena:
    the variables' arrays become views of it. Without `updates` a step ends with the gradients in
    the rows of `arena.G`; `update` does the rest. Raises `GraphError` that names the operator for a
    graph that cannot be compiled, or an optimiser that steps in Python.
    """

    def __init__(
        self,
        order: Sequence[GraphNode],
        inputs: dict[str, GraphNode],
        optimizer: Any,
        parts: int,
        updates: bool = True,
    ) -> None:
        kernel, own = optimizer.kernel, type(optimizer).__name__
        if type(optimizer).step is not Optimizer.step:
            raise GraphError(
                f'{own} has a step of its own, which is not compiled; use mode="replay"'
            )
        found = getattr(sys.modules.get(kernel.__module__), kernel.__name__, None)
        if found is not kernel or not _can_be_written(kernel):
            raise GraphError(
                f'{own}.kernel is no function that can be imported by its name; use mode="replay"'
            )
        self.order, self.inputs, self.updates = order, inputs, updates
        self.parts, self.size, self.optimizer = parts, inputs["x"].shape[0], optimizer
        self.batch = parts * self.size
        with kernels.jit.one_thread():  # each part has a thread of its own already
            self.trace = trace(order, inputs, optimizer.params, 1.0 / parts)
        if not self.trace.gradients:
            raise GraphError("compiled: the loss depends on none of the optimiser's parameters")
        self.arena = Arena(
            self.trace, [node for node in order if isinstance(node, Variable)], optimizer, parts
        )
        self.source = self._write(_title(order, inputs, self.batch))
        self.trace.program.close()
        self._module = _load(self.source)
        self._loaded: set[Any] = set()  # dtypes of samples that there is machine code for
        self._each = np.zeros(self.parts, self.arena.dtype)

    def show(self) -> None:
        """Print the source."""
        print(self.source)

    @cached_property
    def memory(self) -> Memory:
        """Which array lives where in the arena, and when; `print(step.memory)`, or draw it:
        `mg.viz.memory_plan(step)`.
        """
        return memory_of(self.arena, self.trace.program.buffers, self.order, self.parts)

    def check(self, x: Any, y: Any) -> None:
        """Look once at all samples for indices out of range, and for hooks.

        Raises what the rule raises, `GraphError` where hooks want to be called, or where a rule of
        the user's has a check of its own for numbers that are computed.
        """
        samples = {id(self.inputs["x"]): x, id(self.inputs["y"]): y}
        for node in self.order:
            if any(hooks.forward or hooks.backward for hooks in node.hooks or ()):
                raise GraphError(
                    f'{node!r} has a hook, which no compiled step calls; use mode="replay"'
                )
            if isinstance(node, Operator):
                own = type(node.rule).check is not Rule.check and not hasattr(node.rule, "limits")
                if own and any(
                    isinstance(one, Operator | Variable | Buffer) for one in node.inputs
                ):
                    what = (
                        "a check of numbers that are computed cannot be compiled, `limits` of "
                        "indices can"
                    )
                    raise GraphError(f'{node.rule.name}: {what}; use mode="replay"')
                try:
                    node.rule.check(node, *(samples.get(id(one), one._data) for one in node.inputs))
                except Exception as error:
                    add_node_context(error, node)
                    raise

    def load(self, x: Any, y: Any) -> None:
        """Compile the step, or load it from the disk, without making one; x and y are samples as
        for `run`.

        Raises `GraphError` for what Numba refuses.
        """
        from numba.core.errors import NumbaError

        kinds = x.dtype, y.dtype
        if kinds in self._loaded:
            return
        try:
            with _alone(self._module.__name__):
                self.run(x, y, np.arange(0), np.zeros(0, self.arena.dtype))
            self._loaded.add(kinds)
        except NumbaError as error:
            said = " ".join(str(error.args[0]).partition("\n\n")[0].split())
            raise GraphError(f'the step does not compile ({said}); use mode="replay"') from error

    def run(self, x: Any, y: Any, order: Any, losses: Any) -> int:
        """Make `len(losses)` steps on the samples x[order], y[order]; returns how many were made
        (see `steps`).

        The losses are written as they come. x and y are C-contiguous, one sample after the other.
        """
        self.arena.adopt()
        first = self.optimizer.steps + 1
        columns = self.optimizer.scalars(np.arange(first, first + len(losses)))
        numbers = np.empty((len(losses), len(columns)), self.arena.dtype)
        for i, column in enumerate(columns):
            numbers[:, i] = column
        # read-only, whatever they were: one compiled version for all
        samples = (read_only(data.reshape(len(data), -1)) for data in (x, y))
        given = *self.arena.arrays(), *samples, *self.arena.inputs, order, numbers, self._each
        made = int(self._module.steps(*given, losses))
        self.optimizer.steps += made * self.updates
        return made

    def update(self, gradient: Any) -> None:
        """Change the parameters by a gradient (arena.trained,), which is clipped in place where the
        optimiser says so.
        """
        arena, of = self.arena, self.arena.dtype.type
        if self.optimizer.max_grad_norm is not None:
            kernels.update.clip_norm(gradient, of(self.optimizer.max_grad_norm))
        self.optimizer.steps += 1
        numbers = map(of, self.optimizer.scalars(self.optimizer.steps))
        self.optimizer.kernel(arena.P[: arena.trained], gradient, *arena.M, *numbers)

    # ---------------- source
    def _write(self, title: str) -> str:
        arena, trace = self.arena, self.trace
        emitter = Emitter(arena.places, arena.dtype, arena.single)
        body = list(emitter.lines(arena.groups))
        loss = f"{emitter.name(trace.loss.buffer)}[{trace.loss.offset}]"
        if trace.outside is not None:  # NaN, too, where an index lies outside
            loss += f" + {emitter.name(trace.outside.buffer)}[0]"
        body = [*emitter.openings(trace.program.buffers), *body]
        arenas = "".join(f"{name}, " for name in (*arena.S, *arena.names))
        memories = "".join(f"M{i}, " for i in range(len(self.optimizer.memory)))
        kernel, clear = self.optimizer.kernel, self._clear(emitter)
        gather = "".join(self._gather(emitter, name) for name in ("x", "y"))
        emitter.kernels[kernel.__name__] = kernel
        return _HEAD.format(
            title=title,
            imports="\n".join(_imports(emitter.kernels)),
            dtype=arena.dtype,
            parts=self.parts,
            constants="".join(f"{name} = {text}\n" for text, name in emitter.constants.items()),
            arguments=f"P, G, {arenas}x, y",
            body=textwrap.indent("\n".join(body), "    "),
            loss=loss,
            parallel=self.parts > 1,
            range="prange" if self.parts > 1 else "range",
            arenas=arenas,
            memories=memories,
            rows="".join(f"flat({name}[s]), " for name in (*arena.S, *arena.names)),
            gather=gather,
            clear=clear,
            # plain additions: Numba's own sums are a module that a start with a filled cache does
            # without
            mean="each[0]"
            if self.parts == 1
            else f"({' + '.join(f'each[{s}]' for s in range(self.parts))}) / {self.parts}",
            # a step that is not made leaves nothing behind
            copies="".join(f"    before_{name} = {name}.copy()\n" for name in arena.S),
            keep="".join(f"        before_{name}[:] = {name}\n" for name in arena.S),
            restore="".join(f"            {name}[:] = before_{name}\n" for name in arena.S),
            update=textwrap.indent("\n".join(self._update(kernel.__name__)), " " * 8),
        )

    def _gather(self, emitter: Emitter, name: str) -> str:
        """The line that brings a part's samples together."""
        (view, turn), given = (
            self.arena.fed[name],
            f"{name.upper()}, order, t * {self.batch} + s * {self.size}, {name}[s]",
        )
        if turn is None:
            return f"            gather_rows({given})\n"
        emitter.kernels["gather_pieces"] = kernels.update.gather_pieces
        return f"            gather_pieces({given}, {view.shape[0]})  {comment(turn.note)}\n"

    def _update(self, kernel: str) -> list[str]:
        if not self.updates:
            return []
        n = self.arena.trained
        numbers = ", ".join(f"H[t, {i}]" for i in range(len(self.optimizer.scalars(1))))
        memories = "".join(f"M{i}[a:b], " for i in range(len(self.optimizer.memory)))
        total = "add_up(G, a, b, T[{}])".format if self.parts > 1 else lambda row: "G[0, a:b]"
        change = f"{kernel}(P[a:b], {{}}, {memories}{numbers})".format
        if self.optimizer.max_grad_norm is not None:
            norm = f"clip_norm(g, f({self.optimizer.max_grad_norm!r}))"
            return [f"a, b = 0, {n}", f"g = {total(0)}", norm, change("g")]
        if self.parts == 1:
            return [f"a, b = 0, {n}", change(total(0))]
        stretch = [f"    b = min(a + {STRETCH}, end)", "    " + change(total("{}"))]
        if n <= THREADED:
            return [
                f"end = {n}",
                f"for a in range(0, end, {STRETCH}):",
                *(line.format(0) for line in stretch),
            ]
        return [
            f"for s in prange({self.parts}):",
            f"    start, end = shard(s, {self.parts}, {n})",
            f"    for a in range(start, end, {STRETCH}):",
            *("    " + line.format("s") for line in stretch),
        ]

    def _clear(self, emitter: Emitter) -> str:
        """The lines that take back what the step before has added to gradients of which it touched
        few rows.
        """
        lines = []
        for call in self.arena.clearing:
            kernel, (ids, grad) = call.kernel, call.args
            place = self.arena.places[id(grad.buffer)]
            emitter.kernels[f"embedding_{kernel.__name__}"] = kernel
            lines.append(
                f"            embedding_{kernel.__name__}({ids.buffer.name}[s, "
                f"{ids.offset}:{ids.offset + ids.size}], "
                f"shaped(G[s, {place.start}:{place.start + grad.size}], {grad.shape}))\n"
            )
        return "".join(lines)


def _title(order: Sequence[GraphNode], inputs: dict[str, GraphNode], batch: int) -> str:
    shapes = " and ".join(f"{name} {(batch, *node.shape[1:])}" for name, node in inputs.items())
    return f"One training step of a graph of {len(order)} nodes on batches {shapes}."


def _imports(kernels: dict[str, Any]) -> list[str]:
    """The lines that bring in what the source calls."""
    lines = [
        "from minigrad.kernels.jit import compiled_separately, jit, prange, serial, shard",
        "from minigrad.kernels.mathfn import erf, exp, maximum, minimum, plus, power",
        "from minigrad.kernels.mathfn import sign, square, tanh, times",
        "from minigrad.kernels.rows import turn",
        "from minigrad.kernels.simd import flat, shaped",
        "from minigrad.kernels.update import add_up, clip_norm, gather_rows",
        "gather_rows = compiled_separately(gather_rows)",
        "turn = compiled_separately(turn)",
    ]
    for name, thing in sorted(kernels.items()):
        if thing is not None and not (name.isidentifier() and _can_be_written(thing)):
            raise GraphError(
                f"{thing.__module__}.{thing.__name__} cannot be imported by that name; rename it"
            )
        if thing is None:
            lines += [
                f"from minigrad.kernels.gemm import {name}",
                f"{name} = compiled_separately({name})",
            ]
        elif isinstance(thing, type):
            lines.append(f"from {thing.__module__} import {name}")
        else:
            line = f"from {thing.__module__} import {thing.__name__} as {name}"
            if thing.__module__.startswith("minigrad.kernels."):
                lines += [line, f"{name} = compiled_separately(serial({name}))"]
            else:  # may say something else tomorrow, in another file or in this process
                lines.append(f"{line}  # as it is now: {fingerprint(thing)}")
    return sorted(lines, key=lambda line: not line.startswith("from"))


def _can_be_written(thing: Any) -> bool:
    """Do a function's module and name stand in an import? A script called train-2.py has no such
    name.
    """
    parts = (*thing.__module__.split("."), thing.__name__)
    return all(part.isidentifier() and not keyword.iskeyword(part) for part in parts)


def _load(source: str) -> ModuleType:
    """The source as a module; kept in a file of its own in the cache, so that Numba finds it
    compiled the next time.
    """
    from ..files import write_atomically
    from ..kernels.cache import steps_folder, usable

    name = f"step_{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    _recent[name] = _recent.pop(name, None)  # now the last one
    for old in list(_recent)[:-KEPT]:
        del _recent[old]
        sys.modules.pop(old, None)
    if name not in sys.modules:
        path = Path(steps_folder()) / f"{name}.py"
        with suppress(OSError):  # nowhere to write: compiled anew in every process
            if usable(steps_folder()) and (
                not path.is_file() or path.read_bytes() != source.encode()
            ):
                write_atomically(path, source.encode(), private=True)
        module = ModuleType(name)
        with interrupts_deferred():  # it may import kernels
            exec(compile(source, str(path), "exec"), vars(module))
        sys.modules[name] = module  # when it is whole, for other threads
    return sys.modules[name]


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """One process of this machine at a time: those that wait find on the disk what it has
    compiled.
    """
    from ..kernels.cache import steps_folder, usable

    lock = None
    with suppress(
        ImportError, OSError
    ):  # another system, or nowhere to write: each compiles for itself
        import fcntl

        if usable(steps_folder()):
            lock = os.open(Path(steps_folder()) / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    if lock is None:
        yield
        return
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)  # which releases it
