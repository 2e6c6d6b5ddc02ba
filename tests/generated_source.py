"""The generated source of a compiled step, run as plain Python, without seconds of compiling."""

from __future__ import annotations

import re
from contextlib import contextmanager

import numpy as np
import pytest

import minigrad as mg
from minigrad.run import loop
from minigrad.run.compiled import CompiledStep


def undecorated(source):
    """The source without decorators that compile."""
    return re.sub(
        r"^(\w+) = compiled_separately\(",
        r"\1 = (",
        re.sub(r"@compiled_separately.*\n", "", source),
        flags=re.MULTILINE,
    )


def executed(source):
    """The names that some source defines, run as plain Python."""
    space = {"__name__": "step"}
    exec(compile(undecorated(source), "<step>", "exec"), space)
    return space


def in_python(step):
    """Run the shown source of a step as plain Python: the loss, and the gradient of a variable as a
    function.
    """
    step.arena.adopt()
    arena, starts = step.arena, step.arena.starts
    for array in (
        arena.G,
        *(() if step.trace.program.storages else arena.V.values()),
    ):
        array[...] = np.nan  # so that entries that are not written show
    x, y = (array[0] for array in arena.inputs)
    rows = (arrays[0] for arrays in (*arena.S.values(), *arena.V.values()))
    given = x.copy(), y.copy(), np.arange(max(x.size, y.size))
    loss = np.full(1, np.nan, arena.dtype)
    executed(step.source)["part"](arena.P, arena.G[0], *rows, *given, x, y, loss, 0)
    return loss[0], lambda p: arena.G[0, starts[p] : starts[p] + p.size].reshape(p.shape)


def launch(pieces, begin, end, starts, table, sizes, floats, first):
    """`simd.launch` of Python functions."""
    for i in range(begin, end):
        pieces[i](table, sizes[starts[i, 0] :], floats[starts[i, 1] :], first)


@contextmanager
def plain_python(step):
    """Within the block the pieces of a step, and the loop over steps, run as plain Python."""
    for code in step.codes:
        code.program = [executed(text)["piece"] for text in code.texts], code.numbers
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "steps", loop.steps.py_func)
        patch.setattr(loop, "launch", launch)
        yield


def nothing():
    return {name: mg.Constant(np.zeros((1, 1)), dtype=np.float64) for name in "xy"}


def compiled(loss, *variables):
    """The compiled step of a loss that has no inputs; it is not run."""
    return CompiledStep(mg.topological_sort(loss), nothing(), mg.optim.SGD(variables, lr=0.1), 1)
