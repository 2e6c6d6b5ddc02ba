"""Normalisation and dropout: PyTorch's names and behaviour, saving and loading, seeds."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import minigrad as mg
from minigrad import nn

RNG = np.random.default_rng(0)


def small_model(seed=0):
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, seed=seed),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.3, seed=seed),
        nn.Flatten(),
        nn.Linear(144, 3, seed=seed + 1),
    )


def trained_state():
    """What PyTorch would write for `small_model` after some training: its names, in its order, with
    its dtypes.
    """
    shapes = {
        "0.weight": (4, 2, 3, 3),
        "0.bias": (4,),
        "1.weight": (4,),
        "1.bias": (4,),
        "1.running_mean": (4,),
        "1.running_var": (4,),
        "1.num_batches_tracked": (),
        "5.weight": (3, 144),
        "5.bias": (3,),
    }
    state = {name: RNG.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return {
        **state,
        "1.running_var": state["1.running_var"] ** 2 + 0.5,
        "1.num_batches_tracked": np.array(7),
    }


def predicted(state, x):
    """The output of the model with that state in evaluation, in plain NumPy and float64."""
    s = {name: array.astype(np.float64) for name, array in state.items()}
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), (3, 3), axis=(2, 3))
    y = np.einsum("nchwij,ocij->nohw", windows, s["0.weight"]) + s["0.bias"][:, None, None]
    mean, var, w, b = (
        s[f"1.{n}"][:, None, None] for n in ("running_mean", "running_var", "weight", "bias")
    )
    y = np.maximum((y - mean) / np.sqrt(var + 1e-5) * w + b, 0)
    return y.reshape(len(x), -1) @ s["5.weight"].T + s["5.bias"]


def test_a_file_of_pytorchs_names_loads_and_predicts_the_same(tmp_path):
    state, model = trained_state(), small_model()
    assert list(model.state_dict()) == list(state)
    save_file(state, tmp_path / "torch.safetensors")
    mg.load(model, tmp_path / "torch.safetensors")
    x = RNG.normal(size=(5, 2, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(model.eval()(x).value, predicted(state, x), rtol=2e-4, atol=2e-5)
    mg.save(model, tmp_path / "ours.safetensors")
    again = load_file(tmp_path / "ours.safetensors")
    for name, array in state.items():
        assert (
            again[name].shape == array.shape and again[name].dtype == array.dtype
        )  # the count is 0-d, as in PyTorch
        np.testing.assert_array_equal(again[name], array)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.BatchNorm1d(3), (4, 3)),
        (nn.BatchNorm1d(3), (4, 3, 5)),
        (nn.BatchNorm2d(3), (4, 3, 2, 5)),
        (nn.BatchNorm2d(3, affine=False, track_running_stats=False), (4, 3, 2, 5)),
    ],
)
def test_batch_norm_in_training_and_evaluation(layer, shape):
    x = RNG.normal(2, 3, size=shape)
    y = layer.train()(x).value
    axes = (0, *range(2, len(shape)))
    np.testing.assert_allclose(y.mean(axes), 0, atol=1e-6)
    np.testing.assert_allclose(y.std(axes), 1, rtol=1e-4)
    later = layer.eval()(x).value
    if layer.running_mean is None:  # as in PyTorch: then the batch's own, also in evaluation
        assert not layer.buffers() and not layer.parameters()
        np.testing.assert_array_equal(later, y)
        return
    np.testing.assert_allclose(layer.running_mean.value, 0.1 * x.mean(axes), rtol=1e-5)
    np.testing.assert_allclose(layer.running_var.value, 0.9 + 0.1 * x.var(axes, ddof=1), rtol=1e-5)
    wide = (1, 3, *(1,) * (len(shape) - 2))
    mean, var = (b.value.reshape(wide) for b in (layer.running_mean, layer.running_var))
    np.testing.assert_allclose(later, (x - mean) / np.sqrt(var + 1e-5), rtol=1e-4, atol=1e-5)
    assert layer.num_batches_tracked.value == 1
    layer(x)
    assert layer.num_batches_tracked.value == 1


def test_layer_norm():
    x = RNG.normal(2, 3, size=(4, 3, 5))
    layer = nn.LayerNorm((3, 5))
    np.testing.assert_allclose(layer(x).value.mean((1, 2)), 0, atol=1e-6)
    layer.weight.value, layer.bias.value = RNG.normal(size=(2, 3, 5))
    z = (x - x.mean((1, 2), keepdims=True)) / np.sqrt(x.var((1, 2), keepdims=True) + 1e-5)
    np.testing.assert_allclose(
        layer(x).value, z * layer.weight.value + layer.bias.value, rtol=1e-4, atol=1e-5
    )
    assert list(layer.state_dict()) == ["weight", "bias"]
    bare = nn.LayerNorm(5, elementwise_affine=False)
    assert bare.state_dict() == {} and bare(x).shape == x.shape


def test_dropout_draws_new_masks_in_training_and_does_nothing_in_evaluation():
    layer, x = nn.Dropout(0.5, seed=1), np.ones(100)
    first, second = layer(x).value, layer(x).value
    assert (first != second).any()
    again = nn.Dropout(0.5, seed=1)
    np.testing.assert_array_equal(again(x).value, first)
    np.testing.assert_array_equal(again(x).value, second)
    np.testing.assert_array_equal(layer.eval()(x).value, x)
    assert layer.stream.value.tolist() == [1, 2] and layer.state_dict() == {}


def test_two_layers_without_a_seed_differ_and_follow_manual_seed():
    mg.manual_seed(0)
    one, other = nn.Dropout(), nn.Dropout()
    assert one.stream.value[0] != other.stream.value[0]
    mg.manual_seed(0)
    assert nn.Dropout().stream.value[0] == one.stream.value[0]


def test_gradients_can_be_checked_in_training():
    model = nn.Sequential(
        nn.BatchNorm1d(3, dtype=np.float64),
        nn.Dropout(0.4, seed=0),
        nn.LayerNorm(3, dtype=np.float64),
    )
    assert mg.gradcheck(model, [RNG.normal(size=(5, 3))])
    assert model[0].num_batches_tracked.value == 0 == model[1].stream.value[1]


# ---------------- state
def test_buffers_are_found_and_are_not_parameters():
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout())
    assert [name for name, _ in model.named_parameters()] == ["0.weight", "0.bias"]
    names = ["0.running_mean", "0.running_var", "0.num_batches_tracked", "1.stream"]
    assert [name for name, _ in model.named_buffers()] == names and len(model.buffers()) == 4

    class Positions(nn.Module):
        def __init__(self):
            self.table = nn.Buffer(np.arange(3))
            self.same = self.table

    assert Positions().state_dict().keys() == {"table", "same"} and len(Positions().buffers()) == 1


def test_to_keeps_integers():
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout()).to(np.float64)
    assert [b.dtype for b in model.buffers()] == [np.float64, np.float64, np.int64, np.int64]
    assert model(np.ones((3, 2))).dtype == np.float64


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda s: s.pop("1.running_var"), mg.GraphError, "missing 1.running_var"),
        (
            lambda s: s.update({"1.running_var": np.ones(3)}),
            mg.ShapeError,
            r"1.running_var is \(3,\), \(4,\) was expected",
        ),
        (
            lambda s: s.update({"1.num_batches_tracked": np.array(1.5)}),
            mg.DTypeError,
            "batches_tracked is float64, int64",
        ),
        (
            lambda s: s.update({"5.bias": np.array(["a"] * 3)}),
            mg.DTypeError,
            "5.bias is <U1, float32 was expected",
        ),
    ],
)
def test_state_that_does_not_fit_changes_nothing(change, error, words):
    model = small_model()
    before, state = model.state_dict(), trained_state()
    change(state)
    with pytest.raises(error, match=words):
        model.load_state_dict(state)
    assert all(np.array_equal(before[name], array) for name, array in model.state_dict().items())


def test_a_trainer_resumes_with_its_statistics_and_the_next_mask(tmp_path):
    x, y = RNG.normal(size=(20, 2, 8, 8)), RNG.integers(0, 3, 20)
    runs = []
    for seed in (0, 5):
        model = small_model(seed)
        runs.append(mg.Trainer(model, mg.cross_entropy, mg.optim.Adam(model.parameters())))
    one, other = runs
    fit = {"epochs": 1, "batch_size": 5, "progress": False}
    one.fit(x, y, **fit)
    mg.save(one, tmp_path / "t.safetensors")
    mg.load(other, tmp_path / "t.safetensors")
    assert one.fit(x, y, **fit).batch_loss == other.fit(x, y, **fit).batch_loss
    assert all(
        np.array_equal(one.model.state_dict()[name], array)
        for name, array in other.model.state_dict().items()
    )
    assert other.model[3].stream.value.tolist() == [0, 8]


def test_a_checkpoint_with_a_stream_that_does_not_fit_changes_nothing(tmp_path):
    model = small_model()
    run, path = (
        mg.Trainer(model, mg.cross_entropy, mg.optim.Adam(model.parameters())),
        tmp_path / "t.safetensors",
    )
    mg.save(run, path)
    state = load_file(path)
    moved = {name: np.asarray(array + 1) for name, array in state.items()}
    before = model.state_dict(), model[3].stream.value.copy()
    for wrong in (np.zeros(3, int), np.array([0.5, 1.0])):
        save_file({**moved, "buffers.3.stream": wrong}, path)
        with pytest.raises((mg.ShapeError, mg.DTypeError), match="3.stream"):
            mg.load(run, path)
    assert all(np.array_equal(before[0][name], array) for name, array in model.state_dict().items())
    assert np.array_equal(model[3].stream.value, before[1])


# ---------------- refusals
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.BatchNorm1d(0), "BatchNorm1d: num_features=0"),
        (lambda: nn.LayerNorm((3, -1)), "LayerNorm: normalized_shape=-1"),
        (lambda: nn.Dropout(1.1), "Dropout: p=1.1; a number from 0 to 1"),
        (lambda: nn.Dropout("half"), "Dropout: p='half'"),
        (
            lambda: nn.BatchNorm1d(3)(np.ones((2, 3, 4, 5))),
            r"BatchNorm1d: x has shape (2, 3, 4, 5); (N, 3) or (N, 3, L)",
        ),
        (
            lambda: nn.BatchNorm2d(3)(np.ones((2, 4, 5, 5))),
            r"BatchNorm2d: x has shape (2, 4, 5, 5); (N, 3, H, W)",
        ),
        (
            lambda: nn.BatchNorm1d(3)(np.ones((1, 3))),
            "batch_norm: shapes (1, 3) and (3,) and (3,); more than one value",
        ),
        (lambda: nn.LayerNorm(3)(np.ones((2, 4))), "layer_norm: shapes (2, 4) and (3,) and (3,)"),
    ],
)
def test_impossible_arguments_are_refused_by_name(make, words):
    with pytest.raises(ValueError) as caught:
        make()
    assert words in str(caught.value)


def test_repr():
    assert (
        repr(nn.BatchNorm2d(3, affine=False))
        == "BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=False)"
    )
    assert (
        repr(nn.LayerNorm(3, elementwise_affine=False))
        == "LayerNorm((3,), elementwise_affine=False)"
    )
    assert repr(nn.Dropout(0.2)) == "Dropout(p=0.2)"
