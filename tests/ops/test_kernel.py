"""What operators say of themselves: their work, and what their kernels found on the way."""

import numpy as np
import pytest
from operators import TABLE
from oracle import cases

import minigrad as mg


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def variable(*shape, seed=0):
    return mg.Variable(normal(*shape, seed=seed))


# ---------------- work: counted by hand
T, N, IN, H = 4, 3, 5, 6


def recurrent_inputs(states, gates):
    shapes = [
        (T, N, IN),
        *[(N, H)] * states,
        (gates * H, IN),
        (gates * H, H),
        (gates * H,),
        (gates * H,),
    ]
    return [variable(*shape, seed=i) for i, shape in enumerate(shapes)]


HEAVY = {
    # N·OH·OW·O numbers of C/groups·KH·KW products each, as many sums
    "conv2d": (
        lambda: mg.conv2d(variable(2, 4, 6, 7), variable(6, 2, 3, 2), variable(6), groups=2),
        2 * (2 * 6 * 4 * 6) * (2 * 3 * 2),
    ),
    "conv1d": (
        lambda: mg.conv1d(variable(2, 3, 9), variable(4, 3, 2), stride=2),
        2 * (2 * 4 * 4) * (3 * 2),
    ),
    "linear": (lambda: mg.linear(variable(7, 5), variable(3, 5), variable(3)), 2 * 7 * 3 * 5),
    "matmul": (lambda: variable(2, 3, 4) @ variable(4, 5), 2 * (2 * 3 * 5) * 4),
    "dot": (lambda: variable(4) @ variable(4), 2 * 4),
    "matrix and vector": (lambda: variable(3, 4) @ variable(4), 2 * 3 * 4),
    # x_t Wᵀ and h Vᵀ in each step
    "rnn": (
        lambda: mg.ops.recurrent.rnn(
            *map(
                mg.Variable,
                (normal(T, N, IN), normal(N, H), normal(H, IN), normal(H, H), normal(H), normal(H)),
            )
        ),
        T * (2 * N * IN * H + 2 * N * H * H),
    ),
    "lstm": (
        lambda: mg.lstm(*recurrent_inputs(2, 4))[0].inputs[0],
        4 * T * (2 * N * IN * H + 2 * N * H * H),
    ),
    "gru": (lambda: mg.gru(*recurrent_inputs(1, 3)), 3 * T * (2 * N * IN * H + 2 * N * H * H)),
    "max_pool2d": (lambda: mg.max_pool2d(variable(2, 3, 6, 6), (2, 3)), (2 * 3 * 3 * 2) * 6),
    "avg_pool1d": (lambda: mg.avg_pool1d(variable(2, 3, 6), 3), (2 * 3 * 2) * 3),
    "embedding": (lambda: mg.embedding([0, 2], variable(4, 3)), 0),
    "sum": (lambda: mg.sum(variable(4, 5), axis=0), 20),
    # largest, difference, exponential, sum (and a quotient) for each entry
    "logsumexp": (lambda: mg.logsumexp(variable(4, 5), axis=0), 4 * 20),
    "softmax": (lambda: mg.softmax(variable(4, 5)), 5 * 20),
    "cross_entropy": (lambda: mg.cross_entropy(variable(4, 5), [0, 1, 2, 3]), 5 * 20),
    # difference, square, sum
    "mse_loss": (lambda: mg.mse_loss(variable(4, 5), normal(4, 5)), 3 * 20),
    "reshape": (lambda: mg.reshape(variable(4, 5), -1), 0),
    "tanh": (lambda: mg.tanh(variable(4, 5)), 20),
}


@pytest.mark.parametrize("name", HEAVY)
def test_operations_as_counted_by_hand(name):
    make, flops = HEAVY[name]
    assert mg.kernel_info(make())["flops"] == flops


@pytest.mark.parametrize(
    "case", [next(iter(cases([row]))) for row in TABLE], ids=lambda case: case.row.name
)
def test_bytes_are_what_is_read_and_written(case):
    node = case.ours(*case.operands)
    read = {id(x): x.value.nbytes for x in node.inputs}
    known = {"reshape": 0, "getitem": 2 * node.value.nbytes, "embedding": None}
    expected = known.get(node.rule.name, sum(read.values()) + node.value.nbytes)
    assert expected is None or mg.kernel_info(node)["bytes"] == expected


def test_an_input_that_is_used_twice_is_read_once():
    x = variable(3)
    assert mg.kernel_info(x * x)["bytes"] == 12 + 12


def test_a_lookup_reads_the_rows_it_takes_and_no_others():
    ids = np.array([0, 2, 2], np.int32)
    assert mg.kernel_info(mg.embedding(ids, variable(1000, 4)))["bytes"] == 3 * 4 + 3 * 16 + 3 * 16


# ---------------- what kernels know
def test_the_winners_of_a_max_pooling():
    x = normal(2, 3, 7, 9)
    node = mg.max_pool2d(mg.Variable(x), (3, 2), stride=(2, 3), padding=(1, 1))
    winners = mg.kernel_info(node)["winners"]
    assert winners.shape == (*node.shape, 2)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    for n, c, i, j in np.ndindex(node.shape):
        window = padded[n, c, 2 * i : 2 * i + 3, 3 * j : 3 * j + 2]
        row, column = np.argwhere(window == window.max())[0]
        assert winners[n, c, i, j].tolist() == [2 * i + row - 1, 3 * j + column - 1]


def test_the_winners_along_one_axis():
    x = normal(2, 3, 8)
    winners = mg.kernel_info(mg.max_pool1d(mg.Variable(x), 4))["winners"]
    assert winners.shape == (2, 3, 2, 1)
    np.testing.assert_array_equal(
        winners[..., 0], x.reshape(2, 3, 2, 4).argmax(3) + np.array([0, 4])
    )


def test_the_winners_belong_to_the_last_forward_pass():
    x = mg.Variable(np.arange(8.0).reshape(1, 1, 8))
    node = mg.max_pool1d(x, 8)
    assert mg.kernel_info(node)["winners"].item() == 7
    x.value = -x.value
    mg.Graph(node).forward()
    assert mg.kernel_info(node)["winners"].item() == 0


def test_hidden_states_and_their_gradients():
    rng = np.random.default_rng(0)
    shapes = ((T, N, IN), (N, H), (H, IN), (H, H), (H,), (H,))
    inputs = [mg.Variable(rng.normal(size=s), dtype=np.float64) for s in shapes]
    node = mg.ops.recurrent.rnn(*inputs)
    assert mg.kernel_info(node)["hidden_grads"] is None
    mg.sum(node**2).backward()
    facts = mg.kernel_info(node)
    np.testing.assert_array_equal(facts["hidden"], node.value)

    # ∂L/∂h_t by central differences: L as a function of one state, the later ones following from it
    x, _, w, v, b, c = (p.value for p in inputs)

    def loss_from(t, state):
        total, h = (state**2).sum(), state
        for later in x[t + 1 :]:
            h = np.tanh(later @ w.T + b + h @ v.T + c)
            total += (h**2).sum()
        return total

    for t, n, k in ((0, 1, 2), (T - 1, 0, 0), (1, 2, 5)):
        step = np.zeros((N, H))
        step[n, k] = 1e-6
        slope = (loss_from(t, node.value[t] + step) - loss_from(t, node.value[t] - step)) / 2e-6
        assert facts["hidden_grads"][t, n, k] == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize(
    "case", [next(iter(cases([row]))) for row in TABLE], ids=lambda case: case.row.name
)
def test_facts_are_read_only_and_asking_changes_nothing(case):
    node = case.ours(*case.operands)
    before = node.value.copy()
    for fact in (mg.kernel_info(node) | mg.kernel_info(node)).values():
        assert not isinstance(fact, np.ndarray) or not fact.flags.writeable
    np.testing.assert_array_equal(node.value, before)
