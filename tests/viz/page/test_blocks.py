"""Unrolled layers in their surroundings: one box for the engine, not folded, and left as they are
where not regular.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from viz.unrolled import ENGINES, GRAPHS, drawn, groups

import minigrad as mg
from minigrad.graph.node import GraphNode
from minigrad.graph.settings import inside
from minigrad.ops.recurrent import Step, Steps
from minigrad.viz import draw
from minigrad.viz.page import layout
from minigrad.viz.page.blocks import Blocks


def extent(drawing) -> float:
    """How wide it is drawn."""
    return float(re.search(r'width="([\d.]+)"', drawing.svg)[1])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["3 and 3", "all 28", "two layers"])
def test_a_block_is_not_folded(name, engine, monkeypatch):
    if engine == "layers":
        monkeypatch.setattr(layout, "engines", lambda: [])
    for width in (400, 1200):
        made = drawn(name, width=width)
        for run in made.picture.runs:
            assert (
                len(
                    {
                        round(made.layout.frames[key][1], 6)
                        for key in run
                        if key in made.layout.frames
                    }
                )
                == 1
            )
        assert extent(made) < extent(drawn(name)) - 200  # what is around it is


def test_the_engine_sees_one_box():
    source = drawn("3 and 3").source
    assert "tanh" not in source and 'PORT="' in source and "n20" not in source


def test_a_second_layer_stands_behind_the_first():
    made = drawn("two layers", width=None)
    first, second = made.picture.runs
    assert made.layout.frames[first[-1]][2] < made.layout.frames[second[0]][0]
    assert "rms" in made.svg


def test_without_its_frames_or_for_a_part_of_the_graph_nothing_stands_in_columns():
    head = GRAPHS["built unrolled"]
    tanh = [node for node in mg.topological_sort(head) if node.inputs and node.rule.name == "tanh"]
    for options in ({"depth": 0}, {"depth": 2}, {"focus": tanh[3]}):
        made = draw(head, **options)
        assert not made.layout.stubs and made.svg


def skipping(steps: int = 4) -> GraphNode:
    """A state that is read two steps later, too."""
    run, states = Steps(steps), [mg.Constant(np.ones(3), name="h0")] * 2
    for t in range(steps):
        with inside(Step(run, t)):
            states.append(mg.tanh(states[-1] + mg.sin(states[-2])))
    return mg.sum(states[-1])


def feeding_back(steps: int = 3) -> GraphNode:
    """A state that goes through something outside of the layer on its way to the next step."""
    run, h = Steps(steps), mg.Constant(np.ones(3), name="h0")
    for t in range(steps):
        with inside(Step(run, t)):
            h = mg.tanh(mg.sin(h))
        h = mg.cos(h)
    return mg.sum(h)


class Cell:
    """A module in a step: a frame within a frame."""


def nested(steps: int = 3) -> GraphNode:
    run, h, cell = Steps(steps), mg.Constant(np.ones(3), name="h0"), Cell()
    for t in range(steps):
        with inside(Step(run, t)):
            h = mg.sin(h)
            with inside(cell):
                h = mg.tanh(h)
    return mg.sum(h)


def reading_out(steps: int = 3) -> GraphNode:
    """A frame within a frame whose values leave the layer for good."""
    run, h, cell, out = Steps(steps), mg.Constant(np.ones(3), name="h0"), Cell(), []
    for t in range(steps):
        with inside(Step(run, t)):
            h = mg.sin(h)
            with inside(cell):
                out.append(mg.tanh(h))
    return mg.sum(mg.stack(out))


@pytest.mark.parametrize("make", [skipping, feeding_back, nested, reading_out])
@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_not_regular_is_drawn_as_everything_else(make, engine, monkeypatch):
    if engine == "layers":
        monkeypatch.setattr(layout, "engines", lambda: [])
    made = draw(make())
    assert made.picture.runs and not Blocks(made.picture).tracks and not made.layout.stubs
    assert list(groups(made.svg, "node")) == [box.id for box in made.picture.boxes]


def test_a_loss_at_every_step_hangs_on_the_layer():
    run, h, losses = Steps(3), mg.Constant(np.ones(3), name="h0"), []
    for t in range(3):
        with inside(Step(run, t)):
            h = mg.tanh(mg.sin(h))
        losses.append(mg.sum(h))
    made = draw(mg.mean(mg.stack(losses)), width=None)
    assert len(Blocks(made.picture).tracks) == 1
    sums = [box.id for box in made.picture.boxes if box.lines[0] == "Σ"]
    right = made.layout.frames[made.picture.runs[0][-1]][2]
    assert len(sums) == 3 and all(made.layout.places[key][0] > right for key in sums)


SCRIPT = """
import sys
from viz.unrolled import drawn
for name in ("3 and 3", "two layers", "long memory"):
    sys.stdout.buffer.write(drawn(name).svg.encode())
"""


def test_the_same_bytes_in_every_process():
    tests = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    paths = os.pathsep.join([tests, os.path.dirname(tests)])
    runs = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": paths},
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1] != b""
