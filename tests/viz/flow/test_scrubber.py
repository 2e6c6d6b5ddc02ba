"""`GradientFlow.play`: one drawing, a reading of each node at every record, the loss."""

from __future__ import annotations

import re

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.viz import GradientFlow
from minigrad.viz.scene.text import gradient_line


def trained(steps=3):
    flow = GradientFlow(every=1)
    model = nn.Sequential(nn.Linear(2, 3, seed=0), nn.Tanh(), nn.Linear(3, 1, seed=1))
    optimizer = mg.optim.SGD(model.parameters(), 0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = mg.mse_loss(model(np.ones((2, 2))), np.zeros((2, 1)))
        loss.backward()
        flow.record(loss, model)
        optimizer.step()
    return flow, loss


def test_every_record_is_a_step():
    flow, loss = trained()
    scrubber = flow.play()
    frames = scrubber._data["frames"]
    assert scrubber.steps == frames["steps"] == [0, 1, 2]
    assert frames["losses"] == [record.loss for record in flow.records]
    assert frames["losses"] == sorted(frames["losses"], reverse=True)
    head = f"n{len(mg.topological_sort(loss)) - 1}"
    assert frames["nodes"][head] == [("1", "normal", frames["nodes"][head][0][2])] * 3
    first = [record.parameters["0.weight"] for record in flow.records]
    lines = [(gradient_line(stats), stats.state, stats.step) for stats in first]
    assert lines in frames["nodes"].values()
    assert repr(scrubber) == f"<Scrubber of {scrubber.drawing.picture.nodes} nodes, 3 steps>"
    assert scrubber.drawing.title == "Gradients, step by step"
    assert scrubber.html == flow.play(loss).html


def test_a_loss_that_is_not_finite_has_no_point():
    flow, _ = trained(2)
    flow.records[1].loss = float("nan")
    assert flow.play()._data["frames"]["losses"][1] is None


def test_without_records_there_is_nothing_to_play():
    message = (
        "GradientFlow.play: no graph was recorded; use record(loss) or the Trainer's callbacks, "
        "or give the graph"
    )
    with pytest.raises(mg.GraphError, match=f"^{re.escape(message)}"):
        GradientFlow().play()
    with pytest.raises(mg.GraphError, match=f"^{re.escape(message)}"):
        GradientFlow().play(mg.Variable(1.0) * 2)
