"""The floor, from work counted by hand and ceilings that are given; the ceilings as far as they can
be checked.
"""

import numpy as np
import pytest

import minigrad as mg
from minigrad.bench import ceilings, floor
from minigrad.bench.jobs import JOBS, model_of

CEILINGS = {
    "flops": 100e9,
    "bandwidth": [[1000, 1e12], [10_000, 3e11], [100_000, 4e11], [1 << 20, 1e10]],
}


def work(kind, sizes, x, loss, y, optimizer):
    model = model_of(kind)[0](*sizes)
    output = model(mg.Constant(x, dtype=x.dtype))
    return floor.work_of_step(loss(output, y), x.nbytes, optimizer(model.parameters(), lr=0.1))


def test_the_work_of_a_cnn_is_that_of_its_two_products():
    x, y = np.zeros((10, 1, 28, 28), np.float32), np.zeros((10, 1))
    found = work("cnn", JOBS["J1a"].options, x, mg.mse_loss, y, mg.optim.SGD)
    conv, dense, features = 2 * 10 * 4 * 676 * 9, 2 * 10 * 2704, 10 * 2704
    products = 2 * conv + 3 * dense  # the pictures want no gradient, the features do
    assert (
        products <= found["flops"] <= products + 12 * features
    )  # and a little for what is done to each number
    parameters = 4 * (4 * 9 + 4 + 2704 + 1)
    assert found["bytes"] == 4 * 10 * 784 + 2 * parameters


def test_the_work_of_a_recurrent_layer():
    x = np.zeros((3, 7, 5), np.float32)
    found = work("rnn", (5, 4), x, mg.cross_entropy, np.zeros(3, np.int64), mg.optim.Adam)
    forward, states = 2 * 7 * 3 * 4 * (5 + 4), 2 * 7 * 3 * 4 * 4
    dense = 3 * 2 * 3 * 10 * 4
    products = 2 * forward + states + dense
    assert products <= found["flops"] <= products + 600
    parameters = 4 * (4 * 5 + 4 * 4 + 8 + 40 + 10)
    assert found["bytes"] == x.nbytes + 6 * parameters  # Adam keeps two numbers beside each


def test_the_work_of_a_kernel_counts_each_array_once():
    x, ids = mg.Variable(np.zeros((6, 4))), np.zeros(6, np.int64)
    head = mg.cross_entropy(x, ids)
    assert floor.work_of_pass(head, "backward")["bytes"] == 4 + 6 * 4 * 4
    a, b = mg.Variable(np.zeros((6, 4))), mg.Variable(np.zeros((4, 2)))
    head = a @ b
    assert floor.work_of_pass(head, "forward") == {
        "flops": 2 * 6 * 4 * 2,
        "bytes": 4 * (24 + 8 + 12),
    }
    assert floor.work_of_pass(head, "backward") == {
        "flops": 4 * 6 * 4 * 2,
        "bytes": 4 * (12 + 2 * (24 + 8)),
    }


@pytest.mark.parametrize(
    ("work", "seconds"),
    [
        ({"flops": 100e6, "bytes": 500}, 1e-3),
        ({"flops": 1, "bytes": 40_000}, 1e-7),
        ({"flops": 0, "bytes": 5000}, 5000 / 4e11),
        ({"flops": 0, "bytes": 1 << 30}, (1 << 30) / 1e10),
    ],
)
def test_the_floor_is_what_takes_longer(work, seconds):
    assert floor.floor(work, CEILINGS) == pytest.approx(seconds)


def test_ceilings_are_numbers(monkeypatch):
    monkeypatch.setattr(ceilings, "SIZES", (1 << 15, 1 << 16))
    monkeypatch.setattr(ceilings, "_BYTES_OF_SWEEP", 1 << 17)
    monkeypatch.setattr(ceilings, "_RUNS", 2)
    found = ceilings.ceilings()
    assert found["flops"] > 0 and found["flops_of_a_core"] > 0
    assert [size for size, _ in found["bandwidth"]] == [1 << 15, 1 << 16]
    a = np.full((2, 8), 3.0, np.float32)
    ceilings._COPY(a, 1)
    assert (a == 2.0).all()  # x / 2 + 1 / 2
    ceilings._COMPUTE(a, 1)
    assert a == pytest.approx(1 + 2.0**-16)
