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
        *arena.rows[: len(arena.names) if not step.trace.program.buffers else 0],
    ):
        array[...] = np.nan  # what is not written shows
    x, y = (array[0].reshape(-1) for array in arena.inputs)
    loss = space["part"](
        arena.P, arena.G[0], *(row[0] for row in (*arena.S.values(), *arena.rows)), x, y
    )
    starts = dict(zip(map(id, arena.variables), arena.starts, strict=False))
    return loss, lambda p: arena.G[0, starts[id(p)] : starts[id(p)] + p.size].reshape(p.shape)


def nothing():
    return {name: mg.Constant(np.zeros((1, 1)), dtype=np.float64) for name in "xy"}
