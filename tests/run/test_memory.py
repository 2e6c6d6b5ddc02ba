"""The memory table of a compiled step agrees with its arena."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import models, nn
from minigrad.run.memory import KINDS


def step_of(model, x, y, loss, batch_size):
    trainer = mg.Trainer(model, loss, mg.optim.Adam(model.parameters()))
    return trainer.compile(x, y, batch_size=batch_size)


def small():
    model = nn.Sequential(
        nn.Linear(3, 20), nn.Tanh(), nn.Linear(20, 20), nn.Tanh(), nn.Linear(20, 1)
    )
    return step_of(model, np.zeros((10, 3)), np.zeros((10, 1)), mg.mse_loss, 10)


def cnn():
    return step_of(models.cnn(), np.zeros((8, 1, 28, 28)), np.zeros(8, int), mg.cross_entropy, 8)


def rnn():
    return step_of(
        models.RowRNN(28, 16), np.zeros((8, 28, 28)), np.zeros(8, int), mg.cross_entropy, 8
    )


@pytest.mark.parametrize("make", [small, cnn, rnn])
def test_all_bytes_are_counted_and_live_arrays_do_not_overlap(make):
    step = make()
    m, arena = step.memory, step.arena
    arrays = [
        arena.P,
        arena.G,
        arena.T,
        *arena.S.values(),
        *arena.M,
        *arena.V.values(),
        *arena.inputs,
    ]
    assert m.total == sum(array.nbytes for array in arrays) and m.parts == step.parts
    assert m.shared * m.parts == sum(row.nbytes for row in arena.V.values())
    assert m.unshared == sum(row.bytes for row in m.rows)
    assert all(row.kind in KINDS and 0 <= row.first <= row.last < m.statements for row in m.rows)
    for array, size in m.arrays.items():
        held = [row for row in m.rows if row.array == array]
        assert max(row.offset + row.bytes for row in held) <= size
        for i, one in enumerate(held):
            for other in held[:i]:
                apart = (
                    one.offset + one.bytes <= other.offset
                    or other.offset + other.bytes <= one.offset
                )
                assert apart or one.last < other.first or other.last < one.first, (one, other)


def test_rows_name_their_nodes_and_the_backward_pass_follows_the_loss():
    step = small()
    m = step.memory
    found = {row.name: row for row in m.rows}
    assert (found["n4_tanh"].kind, found["grad_n4"].kind) == ("value", "gradient")
    assert found["n4_tanh"].node == found["grad_n4"].node == "n4 tanh (10, 20)"
    assert found["n4_tanh"].bytes == 10 * 20 * 4
    assert found["n4_tanh"].first < m.forward <= found["grad_n4"].first
    assert {row.kind for row in rnn().memory.rows} == set(KINDS)
    assert m.shared < m.unshared  # memory is reused
    notes = [group[0].note for group in step.arena.groups]
    assert notes[m.forward].startswith("back through") and not notes[m.forward - 1].startswith(
        "back through"
    )


def test_it_prints_as_a_table_the_largest_first():
    m = cnn().memory
    lines = str(m).splitlines()
    assert len(lines) == len(m.rows) + 4 and lines[0].startswith("node ")
    largest = max(m.rows, key=lambda row: row.bytes)
    assert f"{largest.bytes:,}" in lines[1] and lines[1].startswith("n4 relu (")
    assert f"computed: {m.shared:,} bytes in place of {m.unshared:,}" in str(m)
    assert f"in all: {m.total:,} bytes" in str(m) and f"{m.shared:,}" in repr(m)
