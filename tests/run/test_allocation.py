"""Memory while training: compiled steps allocate nothing, replay only temporaries of elementwise
rules.
"""

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.graph.rule import Elementwise

SMALL = 20_000  # bytes of Python's own objects, whatever the batch


def mlp():
    return nn.Sequential(nn.Linear(20, 50, seed=0), nn.Tanh(), nn.Linear(50, 1, seed=1))


def cnn(activation=True):
    layers = (
        nn.Conv2d(1, 4, 5, seed=0),
        *([nn.ReLU()] if activation else []),
        nn.MaxPool2d(2),
        nn.Flatten(),
    )
    return nn.Sequential(*layers, nn.Linear(576, 10, seed=1))


def data(kind, samples):
    rng = np.random.default_rng(0)
    if kind is mlp:
        return (
            rng.normal(size=(samples, 20)).astype("f"),
            rng.normal(size=(samples, 1)).astype("f"),
            mg.mse_loss,
        )
    return (
        rng.normal(size=(samples, 1, 28, 28)).astype("f"),
        rng.integers(0, 10, samples),
        mg.cross_entropy,
    )


def compiled(kind, batch_size):
    """A compiled step that is loaded, and a function that makes `count` steps with it."""
    model = kind()
    x, y, loss = data(kind, batch_size)
    trainer = mg.Trainer(model, loss, mg.optim.Adam(model.parameters()))
    step = trainer.compile(x, y, batch_size=batch_size)
    order = np.tile(np.arange(batch_size), 100)
    step.load()

    def make(count):
        for _ in range(count // 100):
            assert step.run(x, y, order, np.zeros(100, np.float32)) == 100

    make(100)
    return step, make


def peak_of(function):
    """The peak of the memory of Python and NumPy while the function runs, in bytes."""
    tracemalloc.start()
    try:
        function()
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        function()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("kind", "batch_size"), [(mlp, 4), (mlp, 400), (cnn, 20)])
def test_a_compiled_step_allocates_no_array_for_any_batch_size(kind, batch_size):
    _, make = compiled(kind, batch_size)
    assert peak_of(lambda: make(100)) < SMALL


@pytest.mark.parametrize(("kind", "batch_size"), [(mlp, 400), (cnn, 20)])
def test_machine_code_allocates_nothing_per_step(kind, batch_size):
    """Numba counts the arrays of compiled code; each of the ten calls makes one per argument."""
    from numba.core.runtime import _nrt_python, rtsys

    _, make = compiled(kind, batch_size)
    _nrt_python.memsys_enable_stats()

    before = rtsys.get_allocation_stats().mi_alloc
    make(1000)  # in ten calls
    assert (rtsys.get_allocation_stats().mi_alloc - before) / 1000 < 0.5


@pytest.mark.parametrize("batch_size", [4, 160])
def test_replay_allocates_only_temporaries_of_elementwise_rules(batch_size):
    for activation in (False, True):
        model = cnn(activation)
        x, y, loss = data(cnn, batch_size)
        graph = mg.Graph(loss(model(mg.Constant(x)), mg.Constant(y, dtype=y.dtype)))
        optimizer = mg.optim.Adam(model.parameters())

        def step(graph=graph, optimizer=optimizer):
            graph.zero_grad()
            graph.forward()
            graph.backward()
            optimizer.step()

        step()
        largest = max(
            (n.value.nbytes for n in graph.order if n.inputs and isinstance(n.rule, Elementwise)),
            default=0,
        )
        assert bool(largest) == activation
        peak = peak_of(step)
        assert peak < SMALL + 2 * largest
        assert not activation or peak > largest  # temporaries are counted


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc here")
@pytest.mark.parametrize("kind", [mlp, cnn])
def test_two_thousand_steps_do_not_grow_the_process(kind):
    def resident():
        return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * os.sysconf(
            "SC_PAGE_SIZE"
        )

    _, make = compiled(kind, 20)
    make(200)
    before = resident()
    make(2000)
    assert resident() - before < 2_000_000
