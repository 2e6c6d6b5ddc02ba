"""The generated source of a compiled step, run as plain Python: the same statements without seconds
of compiling.
"""

from __future__ import annotations

import re

import numpy as np

import minigrad as mg


def undecorated(source):
    """The source without what has it compiled."""
    return re.sub(
        r"^(\w+) = compiled_separately\(",
        r"\1 = (",
        re.sub(r"@(jit|compiled_separately).*\n", "", source),
        flags=re.MULTILINE,
    )


def in_python(step):
    """The forward and backward pass of a step, run as plain Python; its loss, and the gradients by
    variable.
    """
    step.arena.adopt()
    space = {"__name__": "step"}
    exec(compile(undecorated(step.source), "<step>", "exec"), space)
    arena = step.arena
    for array in (
        arena.G,
        *(() if step.trace.program.storages else arena.V.values()),
    ):
        array[...] = np.nan  # what is not written shows
    x, y = (array[0].reshape(-1) for array in arena.inputs)
    loss = space["part"](
        arena.P, arena.G[0], *(rows[0] for rows in (*arena.S.values(), *arena.V.values())), x, y
    )
    starts = arena.starts
    return loss, lambda p: arena.G[0, starts[p] : starts[p] + p.size].reshape(p.shape)


def nothing():
    return {name: mg.Constant(np.zeros((1, 1)), dtype=np.float64) for name in "xy"}
