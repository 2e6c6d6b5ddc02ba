"""Recurrent layers: fused equals unrolled; shapes, names, numbers and gates as in PyTorch."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.run.batch import separable

LAYERS = {
    "tanh": nn.RNN,
    "relu": lambda *sizes, **options: nn.RNN(*sizes, nonlinearity="relu", **options),
    "lstm": nn.LSTM,
    "gru": nn.GRU,
}


def called(layer, x, starts):
    """The output and the final states of a layer, in one list; `starts` are h0 and, for an LSTM,
    c0, or nothing.
    """
    if isinstance(layer, nn.LSTM):
        out, states = layer(x, tuple(starts)) if starts else layer(x)
        return [out, *states]
    return [*layer(x, *starts)]


def outputs_and_gradients(kind, unroll, layers, start, steps=5, n=2):
    rng = np.random.default_rng(0)
    layer = LAYERS[kind](3, 4, layers, unroll=unroll, dtype=np.float64, seed=7)
    for name, p in layer.named_parameters():
        if "bias" in name:
            p.value = rng.normal(size=p.shape)
    x = mg.Variable(rng.normal(size=(steps, n, 3)), dtype=np.float64)
    states = [
        mg.Variable(rng.normal(size=(layers, n, 4)), dtype=np.float64)
        for _ in range(1 + (kind == "lstm"))
    ]
    found = called(layer, x, states if start else [])
    sum((y * rng.normal(size=y.shape)).sum() for y in found).backward()
    leaves = [x, *layer.parameters(), *(states if start else [])]
    return [*(y.value for y in found), *(leaf.grad for leaf in leaves)]


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("start", [False, True])
@pytest.mark.parametrize(("steps", "n"), [(5, 2), (1, 1), (3, 9)])
def test_fused_equals_unrolled(kind, layers, start, steps, n):
    fused = outputs_and_gradients(kind, False, layers, start, steps, n)
    unrolled = outputs_and_gradients(kind, True, layers, start, steps, n)
    for a, b in zip(fused, unrolled, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


# torch 2.13, float64: every parameter, x and the first states from a linspace; the states of an
# LSTM are s and -s
TORCH = {
    "lstm": [
        [-0.0734099508, -0.2931301758, 0.005913009, 0.0016652878],
        [0.0461864861, -0.0302541096, 0.005913009, 0.0016652878],
        [0.0478974991, -0.0305638172, 0.0077390506, 0.0019841437],
    ],
    "gru": [
        [0.350045032, 0.85531344, 0.5862377937, 0.8793701839],
        [0.4636075219, 0.0412290409, 0.5862377937, 0.8793701839],
    ],
}


@pytest.mark.parametrize("kind", TORCH)
def test_the_same_numbers_as_torch(kind):
    layer = LAYERS[kind](2, 2, 2, dtype=np.float64)
    layer.load_state_dict(
        {k: np.linspace(-1, 1, p.size).reshape(p.shape) for k, p in layer.named_parameters()}
    )
    x, s = np.linspace(-2, 2, 4).reshape(2, 1, 2), np.linspace(-0.5, 1, 4).reshape(2, 1, 2)
    found = called(layer, x, [s, -s] if kind == "lstm" else [s])
    for y, right in zip(found, TORCH[kind], strict=True):
        assert y.shape == (2, 1, 2)
        np.testing.assert_allclose(y.value.reshape(-1), right, atol=1e-9)


@pytest.mark.parametrize(("kind", "gates"), [("tanh", 1), ("lstm", 4), ("gru", 3)])
def test_shapes_and_names(kind, gates):
    layer = LAYERS[kind](3, 4, num_layers=2)
    out, *states = called(layer, np.zeros((6, 5, 3)), [])
    assert out.shape == (6, 5, 4)
    assert [state.shape for state in states] == [(2, 5, 4)] * (1 + (kind == "lstm"))
    shapes = {name: array.shape for name, array in layer.state_dict().items()}
    m = gates * 4
    assert shapes == {
        f"{name}_l{k}": shape
        for k, width in ((0, 3), (1, 4))
        for name, shape in (
            ("weight_ih", (m, width)),
            ("weight_hh", (m, 4)),
            ("bias_ih", (m,)),
            ("bias_hh", (m,)),
        )
    }


@pytest.mark.parametrize("kind", LAYERS)
def test_zero_steps_return_the_initial_states(kind):
    layer = LAYERS[kind](3, 4, dtype=np.float64)
    given = [
        mg.Variable(np.full((1, 2, 4), number), dtype=np.float64)
        for number in (1, 2)[: 1 + (kind == "lstm")]
    ]
    out, *states = called(layer, np.zeros((0, 2, 3)), given)
    assert out.shape == (0, 2, 4)
    sum(state.sum() for state in states).backward()
    for state, start in zip(states, given, strict=True):
        np.testing.assert_array_equal(state.value, start.value)
        np.testing.assert_array_equal(start.grad, 1)


def test_each_gate_gets_its_own_initial_weights():
    blocks = nn.LSTM(30, 20, seed=0).weight_ih_l0.value.reshape(4, -1)
    limit = np.sqrt(6 / 50)  # Glorot's for one gate
    assert (np.abs(blocks).max(axis=1) > 0.95 * limit).all() and (np.abs(blocks) <= limit).all()
    assert len(np.unique(blocks[:, 0])) == 4


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("x", [np.zeros((6, 3)), np.zeros((6, 5, 2))], ids=lambda x: str(x.shape))
def test_wrong_shapes_are_named(kind, x):
    with pytest.raises(mg.ShapeError) as caught:
        getattr(nn, kind)(3, 4)(x)
    wanted = "(T, N, 3) was expected" if x.ndim == 2 else "x has 2 features, the layer takes 3"
    assert str(caught.value) == f"{kind}: shape {x.shape}; {wanted}"


def test_wrong_states_are_named():
    x, right, wrong = np.zeros((6, 5, 3)), np.zeros((1, 5, 4)), np.zeros((5, 4))
    for layer, state, shapes in (
        (nn.RNN(3, 4), wrong, "RNN: shapes (6, 5, 3) and (5, 4); h0 of shape (1, 5, 4)"),
        (nn.GRU(3, 4), wrong, "GRU: shapes (6, 5, 3) and (5, 4); h0 of shape (1, 5, 4)"),
        (
            nn.LSTM(3, 4),
            (right, wrong),
            "LSTM: shapes (6, 5, 3) and (1, 5, 4) and (5, 4); h0 and c0 of shape (1, 5, 4)",
        ),
    ):
        with pytest.raises(mg.ShapeError) as caught:
            layer(x, state)
        assert str(caught.value).startswith(shapes)
    with pytest.raises(
        TypeError, match=r"LSTM: a state of type ndarray; a pair \(h0, c0\) was expected"
    ):
        nn.LSTM(3, 4)(x, right)


# ---------------- sequences of different lengths
LENGTHS = np.array([2, 5, 1, 3])


def padded(padding):
    x = np.random.default_rng(0).normal(size=(5, 4, 3))
    x[np.arange(5)[:, None] >= LENGTHS] = padding
    return x


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("unroll", [False, True])
def test_padding_has_no_part_in_numbers_and_gradients(kind, unroll):
    found = []
    for padding in (0, 7, np.nan):
        options = {"unroll": unroll, "bidirectional": True, "dtype": np.float64, "seed": 1}
        layer = LAYERS[kind](3, 4, 2, **options)
        x = mg.Variable(padded(padding), dtype=np.float64)
        output, states = layer(x, lengths=LENGTHS)
        states = states if isinstance(states, tuple) else (states,)
        sum((y * y).sum() for y in (output, *states)).backward()
        assert not x.grad[np.arange(5)[:, None] >= LENGTHS].any()
        assert not output.value[np.arange(5)[:, None] >= LENGTHS].any()
        found.append([output.value, x.grad, *(p.grad for p in layer.parameters())])
    for a, b, c in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


@pytest.mark.parametrize("kind", LAYERS)
def test_fused_equals_unrolled_with_lengths_and_two_directions(kind):
    found = []
    for unroll in (False, True):
        options = {"unroll": unroll, "bidirectional": True, "dtype": np.float64, "seed": 1}
        layer = LAYERS[kind](3, 4, 2, **options)
        for lengths in (None, LENGTHS):
            output, states = layer(padded(0), lengths=lengths)
            states = states if isinstance(states, tuple) else (states,)
            found.append([output.value, *(state.value for state in states)])
    for a, b in zip(found[:2], found[2:], strict=True):
        for left, right in zip(a, b, strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("lengths", "error", "words"),
    [
        ([2, 6, 1, 3], IndexError, "length 6 is out of range, 1 to 5 were expected"),
        ([2, 0, 1, 3], IndexError, "length 0 is out of range, 1 to 5 were expected"),
        ([2.0, 5, 1, 3], mg.DTypeError, "lengths are float32, integers were expected"),
        ([2, 5], mg.ShapeError, "x (…, T, N, width) and lengths (N,) were expected"),
    ],
)
def test_wrong_lengths_are_named(lengths, error, words):
    with pytest.raises(error) as caught:
        nn.GRU(3, 4)(padded(0), lengths=lengths)
    assert str(caught.value).startswith("reverse_sequence: shapes (5, 4, 3) and ")
    assert words in str(caught.value)


def test_lengths_that_are_nodes_are_fed_and_checked():
    layer, lengths = nn.LSTM(3, 4, seed=0), mg.Constant(LENGTHS, dtype=np.int64)
    graph = mg.Graph(layer(padded(0), lengths=lengths)[1][0])
    lengths.value = np.array([5, 5, 5, 5])
    expected = layer(padded(0))[1][0]
    np.testing.assert_allclose(graph.forward(), expected.value, rtol=1e-6)
    lengths.value = np.array([5, 5, 5, 9])
    with pytest.raises(IndexError, match="length 9 is out of range"):
        graph.forward()


def test_samples_keep_apart_with_dropout_and_lengths():
    layer = nn.LSTM(3, 4, 2, bidirectional=True, batch_first=True, dropout=0.5, seed=0)
    x = mg.Constant(np.swapaxes(padded(0), 0, 1))
    lengths, target = mg.Constant(LENGTHS, dtype=np.int64), mg.Constant(np.zeros((4, 8)))
    output, _ = layer(x, lengths=lengths)
    loss = mg.mse_loss(mg.mean(output, axis=1), target)
    assert separable(mg.topological_sort(loss), {x, lengths, target})


@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell", "GRUCell"])
def test_a_cell_is_a_step_of_its_layer(kind):
    cell = getattr(nn, kind)(3, 4, seed=1)
    layer = getattr(nn, kind.removesuffix("Cell"))(3, 4)
    layer.load_state_dict({f"{name}_l0": array for name, array in cell.state_dict().items()})
    x, state = padded(0), None
    for row in x:
        state = cell(row, state)
    h = state[0] if isinstance(state, tuple) else state
    np.testing.assert_allclose(h.value, layer(x)[0].value[-1], rtol=1e-5, atol=1e-6)
    with pytest.raises(mg.ShapeError, match=rf"{kind}: shape \(2, 2\); x has 2 features"):
        cell(np.zeros((2, 2)))
    wrong = np.zeros((2, 3))
    with pytest.raises(mg.ShapeError, match=rf"{kind}: shapes \(2, 3\) and .*; h0"):
        cell(np.zeros((2, 3)), (wrong, wrong) if kind == "LSTMCell" else wrong)
