"""Layers: shapes, names and layouts as in PyTorch, initial weights by seed, clear errors."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn

CELL = {"weight_ih": (4, 3), "weight_hh": (4, 4), "bias_ih": (4,), "bias_hh": (4,)}
GATED = {"weight_ih": (6, 3), "weight_hh": (6, 2), "bias_ih": (6,), "bias_hh": (6,)}
LAYERS = [
    (lambda **o: nn.Linear(3, 5, **o), (2, 3), (2, 5), {"weight": (5, 3), "bias": (5,)}),
    (lambda **o: nn.Linear(3, 5, bias=False, **o), (7, 2, 3), (7, 2, 5), {"weight": (5, 3)}),
    (
        lambda **o: nn.Conv1d(4, 6, 3, groups=2, **o),
        (2, 4, 9),
        (2, 6, 7),
        {"weight": (6, 2, 3), "bias": (6,)},
    ),
    (
        lambda **o: nn.Conv2d(2, 3, (3, 2), stride=2, padding=(1, 0), **o),
        (2, 2, 7, 6),
        (2, 3, 4, 3),
        {"weight": (3, 2, 3, 2), "bias": (3,)},
    ),
    (lambda **o: nn.MaxPool1d(2), (2, 3, 7), (2, 3, 3), {}),
    (lambda **o: nn.AvgPool1d(3, 1, 1), (2, 3, 7), (2, 3, 7), {}),
    (lambda **o: nn.MaxPool2d(2), (2, 3, 6, 5), (2, 3, 3, 2), {}),
    (lambda **o: nn.AvgPool2d((2, 1)), (2, 3, 6, 5), (2, 3, 3, 5), {}),
    (lambda **o: nn.Flatten(), (2, 3, 4), (2, 12), {}),
    (lambda **o: nn.ReLU(), (2, 3), (2, 3), {}),
    (lambda **o: nn.Tanh(), (2, 3), (2, 3), {}),
    (lambda **o: nn.Sigmoid(), (2, 3), (2, 3), {}),
    (lambda **o: nn.GELU(), (2, 3), (2, 3), {}),
    (lambda **o: nn.SiLU(), (2, 3), (2, 3), {}),
    (lambda **o: nn.LeakyReLU(0.1), (2, 3), (2, 3), {}),
    (lambda **o: nn.ELU(0.5), (2, 3), (2, 3), {}),
    (lambda **o: nn.Softmax(1), (2, 3), (2, 3), {}),
    (lambda **o: nn.Identity(), (2, 3), (2, 3), {}),
    (lambda **o: nn.Lambda(mg.sum), (2, 3), (), {}),
    (
        lambda **o: nn.Conv1d(2, 3, 4, padding="same", **o),
        (2, 2, 7),
        (2, 3, 7),
        {"weight": (3, 2, 4), "bias": (3,)},
    ),
    (
        lambda **o: nn.ConvTranspose1d(4, 6, 3, 2, groups=2, **o),
        (2, 4, 5),
        (2, 6, 11),
        {"weight": (4, 3, 3), "bias": (6,)},
    ),
    (
        lambda **o: nn.ConvTranspose2d(2, 3, (3, 2), bias=False, **o),
        (2, 2, 4, 5),
        (2, 3, 6, 6),
        {"weight": (2, 3, 3, 2)},
    ),
    (lambda **o: nn.MaxPool2d(2, dilation=2), (2, 3, 7, 6), (2, 3, 3, 2), {}),
    (lambda **o: nn.Upsample(scale_factor=2), (2, 3, 4), (2, 3, 8), {}),
    (lambda **o: nn.Upsample((7, 2), mode="bilinear"), (2, 3, 4, 4), (2, 3, 7, 2), {}),
    (lambda **o: nn.AdaptiveAvgPool1d(2), (2, 3, 5), (2, 3, 2), {}),
    (lambda **o: nn.AdaptiveAvgPool2d((1, None)), (2, 3, 4, 5), (2, 3, 1, 5), {}),
    (
        lambda **o: nn.GroupNorm(2, 4, **o),
        (2, 4, 3),
        (2, 4, 3),
        {"weight": (4,), "bias": (4,)},
    ),
    (lambda **o: nn.RNNCell(3, 4, **o), (2, 3), (2, 4), CELL),
    (lambda **o: nn.GRUCell(3, 2, **o), (2, 3), (2, 2), GATED),
]


@pytest.mark.parametrize(("make", "given", "expected", "parameters"), LAYERS)
def test_shapes_names_and_dtypes(make, given, expected, parameters):
    x = np.random.default_rng(0).normal(size=given)
    layer = make(seed=3)
    assert layer(x).shape == expected
    assert {name: p.shape for name, p in layer.named_parameters()} == parameters
    again = make(seed=3)
    assert all(
        np.array_equal(a, again.state_dict()[name]) for name, a in layer.state_dict().items()
    )
    if parameters:
        assert make(dtype=np.float64, seed=3)(x).dtype == np.float64


def test_embedding_keeps_integer_ids():
    layer = nn.Embedding(10, 4, seed=0)
    ids = np.array([[1, 2, 1]], dtype=np.int32)
    assert np.array_equal(layer(ids).value, layer.weight.value[ids])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Linear(0, 3), "Linear: in_features=0"),
        (lambda: nn.Linear(2, 2.5), "Linear: out_features=2.5"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "Conv2d: groups=2 must divide"),
        (lambda: nn.Conv1d(3, 4, (3, 3)), "Conv1d: kernel_size=(3, 3)"),
        (lambda: nn.Embedding(5, -1), "Embedding: embedding_dim=-1"),
        (lambda: nn.RNN(3, 4, nonlinearity="sin"), "RNN: nonlinearity='sin'"),
        (lambda: nn.RNN(3, 4, num_layers=0), "RNN: num_layers=0"),
        (lambda: nn.LSTM(3, 0), "LSTM: hidden_size=0"),
        (lambda: nn.GRU(3.0, 4), "GRU: input_size=3.0"),
        (
            lambda: nn.GRU(3, 4, 2, dropout=2)(np.ones((2, 1, 3))),
            "dropout: shapes (1, 2, 4); p=2; a number from 0 to 1 was expected",
        ),
        (
            lambda: nn.Conv2d(3, 4, 3, (1, 2), padding="same"),
            "Conv2d: padding='same' with stride=(1, 2); 1 was expected",
        ),
        (
            lambda: nn.Conv1d(3, 4, 3, padding="full")(np.ones((1, 3, 4))),
            "conv1d: shapes (1, 3, 4) and (4, 3, 3) and (4,); padding='full'; an integer ≥ 0",
        ),
        (
            lambda: nn.MaxPool2d(2, dilation=0)(np.ones((1, 1, 8, 8))),
            "max_pool2d: shapes (1, 1, 8, 8); dilation=0; an integer or 2 of them, ≥ 1",
        ),
        (
            lambda: nn.MaxPool1d(3, dilation=4)(np.ones((1, 1, 8))),
            "max_pool1d: shapes (1, 1, 8); the window 3 is larger than the padded input",
        ),
        (lambda: nn.ConvTranspose1d(4, 3, 2, groups=2), "ConvTranspose1d: groups=2 must divide"),
        (
            lambda: nn.ConvTranspose1d(4, 3, 2)(np.ones((1, 2, 5))),
            "conv_transpose1d: shapes (1, 2, 5) and (4, 3, 2) and (3,); x has 2 channels, the "
            "layer takes 4",
        ),
        (
            lambda: nn.ConvTranspose1d(1, 1, 2, output_padding=1)(np.ones((1, 1, 3))),
            "conv_transpose1d: shapes (1, 1, 3) and (1, 1, 2) and (1,); output_padding=1; less "
            "than stride=1 was expected",
        ),
        (
            lambda: nn.ConvTranspose1d(1, 1, 2, padding=2)(np.ones((1, 1, 3))),
            "conv_transpose1d: shapes (1, 1, 3) and (1, 1, 2) and (1,); nothing is left of the",
        ),
        (
            lambda: nn.Upsample(),
            "Upsample: size=None, scale_factor=None; one of them was expected",
        ),
        (lambda: nn.Upsample(2, mode="cubic"), "Upsample: mode='cubic'; one of nearest, linear,"),
        (
            lambda: nn.Upsample(scale_factor=0.1)(np.ones((1, 1, 3))),
            "Upsample: shape (1, 1, 3), scale_factor=0.1, mode='nearest'; (N, C, L) for 'linear',",
        ),
        (
            lambda: nn.Upsample(2, mode="linear")(np.ones((1, 1, 3, 3))),
            "Upsample: shape (1, 1, 3, 3), size=2, mode='linear'; (N, C, L) for 'linear',",
        ),
        (lambda: nn.AdaptiveAvgPool2d((1, 2, 3)), "AdaptiveAvgPool2d: output_size=[1, 2, 3]; an"),
        (lambda: nn.GroupNorm(3, 4), "GroupNorm: num_groups=3 must divide num_channels=4"),
        (
            lambda: nn.GroupNorm(2, 4)(np.ones((2, 3))),
            "GroupNorm: x has shape (2, 3); (N, 4, …) was expected",
        ),
        (lambda: nn.MultiheadAttention(4, 3), "num_heads=3 must divide embed_dim=4"),
        (
            lambda: nn.MultiheadAttention(4, 2)(*[np.ones((3, 2, 5))] * 3),
            "MultiheadAttention: shape (3, 2, 5); (L, N, 4) was expected",
        ),
        (
            lambda: nn.MultiheadAttention(4, 2)(
                *[np.ones((3, 2, 4))] * 3, attn_mask=np.ones((2, 2), bool)
            ),
            "MultiheadAttention: attn_mask of shape (2, 2), bool; booleans or floats of shape "
            "(3, 3) or (4, 3, 3) were expected",
        ),
    ],
)
def test_impossible_layers_are_refused_by_name(make, words):
    with pytest.raises(ValueError) as caught:
        make()
    assert words in str(caught.value)


def test_manual_seed_determines_layers_without_a_seed():
    mg.manual_seed(5)
    first = nn.Linear(3, 3).weight.value.copy()
    assert not np.array_equal(first, nn.Linear(3, 3).weight.value)
    mg.manual_seed(5)
    assert np.array_equal(first, nn.Linear(3, 3).weight.value)


def test_masks_of_integers_are_refused():
    """Added to the scores they would leave nothing out."""
    x = np.ones((3, 2, 4))
    with pytest.raises(mg.ShapeError, match=r"key_padding_mask of shape \(2, 3\), int64; booleans"):
        nn.MultiheadAttention(4, 2)(x, x, x, np.ones((2, 3), int))


def test_dropout_within_layers_acts_in_training_only():
    x = np.ones((4, 3, 6))
    for layer in (nn.MultiheadAttention(6, 2, 0.5, seed=1), nn.LSTM(6, 4, 2, dropout=0.5, seed=1)):
        inputs = [x] * 3 if isinstance(layer, nn.MultiheadAttention) else [x]
        one, two = layer(*inputs)[0].value, layer(*inputs)[0].value
        assert not np.array_equal(one, two)
        layer.eval()
        np.testing.assert_array_equal(layer(*inputs)[0].value, layer(*inputs)[0].value)
        assert not any("stream" in name for name in layer.state_dict())


def test_losses_pass_their_options_on():
    x, ids = np.random.default_rng(0).normal(size=(4, 3)), np.array([0, 2, 1, 1])
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    assert loss(x, ids).item() == mg.cross_entropy(x, ids, label_smoothing=0.1).item()
    assert repr(loss) == "CrossEntropyLoss(label_smoothing=0.1)"
    for kind, function in (
        (nn.MSELoss, mg.mse_loss),
        (nn.BCEWithLogitsLoss, mg.binary_cross_entropy_with_logits),
    ):
        assert kind()(x, x).item() == function(x, x).item()
    p = np.full((2, 2), 0.25)
    assert nn.BCELoss()(p, p).item() == mg.binary_cross_entropy(p, p).item()
    with pytest.raises(TypeError, match=r"mse_loss\(\) got an unexpected keyword argument"):
        nn.MSELoss(smooth=0.1)(p, p)


def test_representations():
    layers = {
        "LeakyReLU(negative_slope=0.2)": nn.LeakyReLU(0.2),
        "Softmax(dim=1)": nn.Softmax(1),
        "ReLU()": nn.ReLU(),
        "Lambda(tanh)": nn.Lambda(mg.tanh),
        "Conv1d(2, 3, kernel_size=3, padding='same')": nn.Conv1d(2, 3, 3, padding="same"),
        "ConvTranspose1d(2, 3, kernel_size=3, stride=2)": nn.ConvTranspose1d(2, 3, 3, 2),
        "Upsample(scale_factor=2, mode='nearest')": nn.Upsample(scale_factor=2),
        "LSTM(2, 3, bidirectional=True)": nn.LSTM(2, 3, bidirectional=True),
        "GRUCell(2, 3)": nn.GRUCell(2, 3),
        "GroupNorm(2, 4, eps=1e-05)": nn.GroupNorm(2, 4),
        "AdaptiveAvgPool2d((1, None))": nn.AdaptiveAvgPool2d((1, None)),
    }
    for text, layer in layers.items():
        assert repr(layer) == text
