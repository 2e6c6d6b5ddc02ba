"""The generated source of a compiled step, run as plain Python, without seconds of compiling."""

from __future__ import annotations

import re

import numpy as np

import minigrad as mg
from minigrad.run.compiled import CompiledStep


def undecorated(source):
    """The source without decorators that compile."""
    return re.sub(
        r"^(\w+) = compiled_separately\(",
        r"\1 = (",
        re.sub(r"@(jit|compiled_separately).*\n", "", source),
        flags=re.MULTILINE,
    )


def in_python(step):
    """Run the forward and backward pass of a step as plain Python: the loss, and the gradient of a
    variable as a function.
    """
    step.arena.adopt()
    space = {"__name__": "step"}
    exec(compile(undecorated(step.source), "<step>", "exec"), space)
    arena = step.arena
    for array in (
        arena.G,
        *(() if step.trace.program.storages else arena.V.values()),
    ):
        array[...] = np.nan  # so that entries that are not written show
    x, y = (array[0].reshape(-1) for array in arena.inputs)
    loss = space["part"](
        arena.P, arena.G[0], *(rows[0] for rows in (*arena.S.values(), *arena.V.values())), x, y
    )
    starts = arena.starts
    return loss, lambda p: arena.G[0, starts[p] : starts[p] + p.size].reshape(p.shape)


def nothing():
    return {name: mg.Constant(np.zeros((1, 1)), dtype=np.float64) for name in "xy"}


def compiled(loss, *variables):
    """The compiled step of a loss that has no inputs; it is not run."""
    return CompiledStep(mg.topological_sort(loss), nothing(), mg.optim.SGD(variables, lr=0.1), 1)
