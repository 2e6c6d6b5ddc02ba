"""ONNX files: checked, run in onnxruntime, and equal to rounding for every layer, operator and
model.
"""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from needs import need
from operators import TABLE
from oracle import cases

import minigrad as mg
from minigrad import models, nn
from minigrad.graph.registry import all_rules, by_name

need("onnx")
need("onnxruntime")
import onnx
import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

onnxruntime.set_default_logger_severity(3)  # no warnings about nodes that it folds away
QUIET = onnxruntime.SessionOptions()
QUIET.intra_op_num_threads = QUIET.inter_op_num_threads = 1
RNG = np.random.default_rng(0)


def real(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def both(x):
    """h and c of all steps of an LSTM, as its operator has them."""
    shapes = [(x.shape[0], 2)] * 2 + [(8, 3), (8, 2), (8,), (8,)]
    return by_name("lstm")(x[None], *(np.ones(shape) for shape in shapes))


def run(path, x):
    """The file's outputs in onnxruntime."""
    session = onnxruntime.InferenceSession(path, QUIET, providers=["CPUExecutionProvider"])
    try:
        return session.run(None, {"input": x})
    except InvalidArgument as error:  # 1.23, the last one for Intel Macs
        if "LayerNormalization" not in str(error) or "must be larger than 1" not in str(error):
            raise
        pytest.skip(f"onnxruntime {onnxruntime.__version__} does not normalise a single number")


def nodes_of(found):
    return (
        [node for part in found for node in nodes_of(part)]
        if isinstance(found, tuple | list)
        else [found]
    )


def agrees(model, path, x, tolerance=2e-5):
    model.eval()
    expected = [node.value for node in nodes_of(model(mg.Constant(x, dtype=x.dtype)))]
    found = run(path, x)
    assert len(found) == len(expected)
    for ours, theirs in zip(expected, found, strict=True):
        assert theirs.shape == ours.shape and theirs.dtype == ours.dtype
        np.testing.assert_allclose(
            theirs, ours, rtol=tolerance, atol=tolerance * max(1, np.abs(ours).max(initial=0))
        )


def batches(x, axis=0):
    """The example, one sample of it, and five."""
    return [x, np.take(x, [0], axis), np.take(x, [0, 1, 0, 1, 1], axis)]


# ---------------- models and layers
class Attention(nn.Module):
    """Causal self-attention, and its weights."""

    def __init__(self):
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x, attn_mask=np.triu(np.ones((5, 5), bool), 1))


MODELS = {
    "mlp": (lambda: models.mlp("tanh", clipped=True), real(3, 2)),
    "cnn_five": (models.cnn_five, real(2, 1, 28, 28)),
    "cnn": (models.cnn, real(2, 1, 28, 28)),
    "text-cnn": (models.TextCNN, RNG.integers(0, 12_849, (2, 130))),
    "text-cnn, mean": (
        lambda: models.TextCNN(50, 6, length=20, probability=False, mean=True),
        RNG.integers(0, 50, (2, 20)).astype(np.int32),
    ),
    "rnn": (lambda: models.RowRNN(196), real(3, 4, 196)),
    "rnn, unrolled": (lambda: models.RowRNN(7, 5, unroll=True), real(3, 4, 7)),
}
LAYERS = {
    "resized": (
        lambda: nn.Sequential(
            nn.ConvTranspose2d(2, 4, 3, stride=2, padding=1, output_padding=1),
            nn.GroupNorm(2, 4),
            nn.Upsample(scale_factor=1.5, mode="bilinear"),
            nn.Conv2d(4, 3, 2, padding="same"),
            nn.AdaptiveAvgPool2d((2, 5)),
        ),
        real(2, 2, 4, 5),
    ),
    "attention": (Attention, real(2, 5, 6)),
    "Linear": (lambda: nn.Linear(3, 4), real(2, 3)),
    "Linear, no bias": (lambda: nn.Linear(3, 4, bias=False), real(2, 3)),
    "Linear, 3 axes": (lambda: nn.Linear(3, 4), real(2, 5, 3)),
    "Conv1d": (lambda: nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2), real(2, 4, 9)),
    "Conv2d": (lambda: nn.Conv2d(3, 4, (3, 2), (2, 1), (1, 2), (1, 2)), real(2, 3, 7, 8)),
    "Conv2d, depthwise": (lambda: nn.Conv2d(3, 6, 3, groups=3, bias=False), real(2, 3, 5, 4)),
    "MaxPool1d": (lambda: nn.MaxPool1d(3, 1, 1), real(2, 3, 7)),
    "MaxPool2d": (lambda: nn.MaxPool2d((3, 2), (1, 2)), real(2, 3, 7, 8)),
    "AvgPool1d": (lambda: nn.AvgPool1d(3, 2, 1), real(2, 3, 7)),
    "AvgPool2d": (lambda: nn.AvgPool2d((3, 2), (1, 2), padding=1), real(2, 3, 7, 8)),
    "Flatten": (nn.Flatten, real(2, 3, 4)),
    "Embedding": (lambda: nn.Embedding(9, 3), RNG.integers(0, 9, (2, 4))),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(3), real(2, 3)),
    "BatchNorm1d, not affine": (lambda: nn.BatchNorm1d(3, affine=False), real(2, 3, 4)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(3), real(2, 3, 4, 5)),
    "BatchNorm2d of the batch": (
        lambda: nn.BatchNorm2d(3, track_running_stats=False),
        real(2, 3, 4, 5),
    ),
    "LayerNorm": (lambda: nn.LayerNorm((3, 4)), real(2, 3, 4)),
    "LayerNorm, not affine": (lambda: nn.LayerNorm(4, elementwise_affine=False), real(2, 3, 4)),
    "Dropout": (lambda: nn.Sequential(nn.Dropout(0.5), nn.ReLU()), real(2, 3)),
    "ReLU": (nn.ReLU, real(2, 3)),
    "Tanh": (nn.Tanh, real(2, 3)),
    "Sigmoid": (nn.Sigmoid, real(2, 3)),
}
RECURRENT = {
    "RNN": lambda **o: nn.RNN(3, 4, **o),
    "RNN, relu": lambda **o: nn.RNN(3, 4, nonlinearity="relu", **o),
    "LSTM": lambda **o: nn.LSTM(3, 4, **o),
    "GRU": lambda **o: nn.GRU(3, 4, **o),
}


def shaken(make):
    """A new model, none of whose numbers are as they start: biases and running statistics, too."""
    mg.manual_seed(0)
    model, rng = make(), np.random.default_rng(1)
    for leaf in (*model.parameters(), *model.buffers()):
        if leaf.dtype.kind == "f":
            leaf.value = leaf.value + rng.uniform(0.1, 0.5, leaf.shape)
    return model


@pytest.mark.parametrize("name", [*MODELS, *LAYERS])
def test_models_and_layers_run_in_onnxruntime_on_batches_of_any_size(name, tmp_path):
    make, x = {**MODELS, **LAYERS}[name]
    model = shaken(make)
    mg.export_onnx(model, tmp_path / "m.onnx", x)
    for batch in batches(x):
        agrees(model, tmp_path / "m.onnx", batch)


@pytest.mark.parametrize(
    "options", [{}, {"num_layers": 2, "bidirectional": True}, {"unroll": True}], ids=str
)
@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_layers_keep_time_first(name, options, tmp_path):
    model, x = shaken(lambda: RECURRENT[name](**options)), real(5, 2, 3)
    mg.export_onnx(model, tmp_path / "m.onnx", x)
    for batch in batches(x, axis=1):
        agrees(model, tmp_path / "m.onnx", batch)


def test_double_precision(tmp_path):
    model = nn.Sequential(
        nn.Linear(3, 4, dtype=np.float64), nn.Tanh(), nn.LayerNorm(4, dtype=np.float64)
    )
    x = RNG.normal(size=(2, 3))
    mg.export_onnx(model, tmp_path / "m.onnx", x)
    agrees(model, tmp_path / "m.onnx", x, 1e-12)


# ---------------- operators
class Call(nn.Module):
    """A row of the table of operators: the first operand comes in, in a batch of one; the others
    are constants.
    """

    def __init__(self, case):
        self.case = case

    def forward(self, x):
        operands = [
            mg.Constant(a, dtype=np.float32 if a.dtype.kind == "f" else a.dtype)
            for a in self.case.operands[1:]
        ]
        return self.case.ours(x[0], *operands)


DRAWN = {"random.normal", "random.uniform"}
#: ONNX keeps what stands in the padding of a sequence that it reverses
WITHOUT = {
    *("lstm", "dropout", "reverse_sequence", "argsort", "loss.one_hot", "loss.mean_inverse"),
    *DRAWN,
}


def usable(case):
    """Not of nothing, which onnxruntime does not broadcast; nothing at random; `lstm` as `mg.lstm`
    gives it, in layers.
    """
    something = all(x.size for x in case.operands) and case.options.get("shape") != (0,)
    return something and case.row.name not in WITHOUT


@pytest.mark.parametrize("case", list(filter(usable, cases(TABLE))), ids=str)
def test_operators(case, tmp_path):
    x = case.operands[0][None]
    x = x.astype(np.float32) if x.dtype.kind == "f" else x
    mg.export_onnx(Call(case), tmp_path / "m.onnx", x)
    agrees(Call(case), tmp_path / "m.onnx", x)


def test_every_rule_has_a_converter_or_is_composed_of_others():
    without = set(all_rules()) - {case.row.name for case in cases(TABLE) if usable(case)}
    assert without == WITHOUT, "the others are exported in test_operators"


@pytest.mark.parametrize("name", ["normal", "uniform"])
def test_drawn_numbers_are_drawn_by_onnx_too_for_any_batch(name, tmp_path):
    draw = getattr(mg.random, name)
    model = Function(lambda x: x + draw(x.shape, 3.0, 5.0))
    mg.export_onnx(model, tmp_path / "m.onnx", real(2, 3))
    (found,) = run(tmp_path / "m.onnx", np.zeros((4000, 3), np.float32))
    expected = draw((4000, 3), 3.0, 5.0, seed=1).value
    np.testing.assert_allclose(found.mean(), expected.mean(), atol=0.3)
    np.testing.assert_allclose(found.std(), expected.std(), rtol=0.1)


class Function(nn.Module):
    """A model that is one function."""

    def __init__(self, function):
        self.forward = function


@pytest.mark.parametrize(
    "function",
    [
        lambda x: mg.reshape(x, (x.shape[0] * 2, 3)),  # two rows for each sample
        lambda x: mg.broadcast_to(mg.mean(x, axis=1, keepdims=True), (4, *x.shape)),
        lambda x: mg.broadcast_to(mg.mean(x, axis=1, keepdims=True), (x.shape[0], 2 * x.shape[0])),
        lambda x: x[:, ::-1][1:],
        lambda x: mg.concatenate([x, np.ones((x.shape[0], 2))], axis=1),
        lambda x: mg.stack([x, x * (x > 0)], axis=1),
        lambda x: x[:, np.array([0, 2, 2])],
        lambda x: x[..., 1:] - mg.mean(x, axis=0)[1:],  # samples that meet
        lambda x: (x, (mg.sum(x), mg.Constant(np.ones(2)))),
        lambda x: mg.where(mg.abs(x) > 0.5, x, 0.0),
        lambda x: mg.where(mg.isnan(x > 0) | ~mg.isfinite(x), x, mg.trunc(3 * x)),
        lambda x: (
            mg.argmax(x, keepdims=True),
            mg.std(x, axis=1),
            mg.norm(x, axis=()),
            mg.log1p(mg.square(x)),
        ),
        lambda x: mg.max_pool1d(mg.expand_dims(x, 1), 4, ceil_mode=True),
        lambda x: mg.max_pool1d(mg.expand_dims(x, 1), 2, 3, dilation=3, ceil_mode=True),
        lambda x: mg.avg_pool1d(
            mg.expand_dims(x, 1), 4, 3, 1, ceil_mode=True, count_include_pad=False
        ),
        lambda x: mg.embedding(mg.argmax(x, axis=1), np.ones((6, 2)), padding_idx=1),
        lambda x: x[:, None, ::-2][..., 0],
        lambda x: (
            x + mg.Constant(np.eye(6))[:, None][np.array([0, 1, 0]), :, np.array([1, 1, 0])][2]
        ),
        lambda x: x[0, -1] + x[:, mg.argmax(x[:1], axis=1), None],
        lambda x: mg.isinf(x + np.array([0, np.inf, np.nan, -np.inf, 1, 2])) | mg.isinf(x > 0),
    ],
)
def test_the_batch_may_have_any_size_wherever_it_goes(function, tmp_path):
    x = real(2, 6)
    mg.export_onnx(Function(function), tmp_path / "m.onnx", x)
    for batch in batches(x):
        agrees(Function(function), tmp_path / "m.onnx", batch)


# ---------------- the file
def test_the_file_has_the_parameters_names_and_open_sizes(tmp_path):
    model = shaken(lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)))
    mg.export_onnx(model, tmp_path / "m.onnx", real(1, 3))
    proto = onnx.load(tmp_path / "m.onnx")
    onnx.checker.check_model(proto, full_check=True)
    held = {t.name: onnx.numpy_helper.to_array(t) for t in proto.graph.initializer}
    for name, array in model.state_dict().items():
        if name != "1.num_batches_tracked":
            np.testing.assert_array_equal(held[name], array)
    sizes = [
        [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*proto.graph.input, *proto.graph.output)
    ]
    assert sizes == [["batch", 3], ["batch", 4]]
    assert [(o.domain, o.version) for o in proto.opset_import] == [("", 17)]


def test_exporting_changes_nothing_and_gives_the_same_bytes(tmp_path):
    model, x = (
        shaken(lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))),
        real(2, 3),
    )
    model[1].eval()
    before = {name: array.copy() for name, array in model.state_dict().items()}
    mg.export_onnx(model, tmp_path / "a.onnx", x)
    mg.export_onnx(model, tmp_path / "b.onnx", mg.Constant(x))
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    assert [module.training for module in model.modules()] == [True, True, False, True]
    assert all(np.array_equal(before[name], array) for name, array in model.state_dict().items())


def test_a_failed_export_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "m.onnx"
    path.write_bytes(b"old")
    with pytest.raises(mg.GraphError, match="dropout"):
        mg.export_onnx(Function(lambda x: mg.dropout(x, 0.5, seed=0)), path, real(2, 3))
    monkeypatch.setattr(os, "replace", lambda *paths: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        mg.export_onnx(models.mlp(), path, real(2, 2))
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


# ---------------- names
class Named(nn.Module):
    """A sum of linear layers and of a parameter, each an attribute of a given name."""

    def __init__(self, names, parameter="shift"):
        self.names = [*names, parameter]
        for name in names:
            setattr(self, name, nn.Linear(3, 3))
        setattr(self, parameter, mg.Variable(np.ones(3)))

    def forward(self, x):
        *layers, shift = (getattr(self, name) for name in self.names)
        total = x + shift
        for layer in layers:
            total = total + layer(x)
        return total, total * 2, mg.sum(total, axis=1)


def named(names, parameter, path):
    """Export such a model; the names that the file has. The model must give what onnxruntime
    gives.
    """
    model, x = shaken(lambda: Named(names, parameter)), real(2, 3)
    mg.export_onnx(model, path, x)
    agrees(model, path, x)
    graph = onnx.load(path).graph
    return [v.name for v in (*graph.input, *graph.initializer)] + [
        name for n in graph.node for name in n.output
    ]


USED = [
    "input",
    "output",
    "output_1",
    "output_2",
    "output_3",
    "x",
    "n3",
    "Gemm",
    "Gemm_1",
    "Add",
    "constant",
    "batch",
]


@pytest.mark.parametrize(
    "name", [*USED, "", " ", "a.b", "a b", "Schicht ä", "层", "\n", "\0", "\ud800", '"', "/"]
)
def test_attributes_may_have_any_name(name, tmp_path):
    """A layer that was called `output` made the export hang; an empty name made an invalid file."""
    for names, parameter in (([name], "shift"), (["layer"], name)):
        found = named(names, parameter, tmp_path / "m.onnx")
        assert len(found) == len(set(found)) and "" not in found
        assert found[0] == "input" and {"output", "output_1", "output_2"} <= set(found)


LAYER_NAMES = (st.text(st.characters(), max_size=4) | st.sampled_from(USED)).filter(
    lambda name: not hasattr(nn.Module, name) and name != "names"
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(LAYER_NAMES, min_size=2, max_size=5, unique=True))
def test_random_names(tmp_path, names):
    found = named(names[1:], names[0], tmp_path / "m.onnx")
    assert len(found) == len(set(found)) and "" not in found


def test_generated_names_leave_those_of_parameters_alone(tmp_path):
    model = Named(["Gemm", "constant"], "Add")
    mg.export_onnx(model, tmp_path / "m.onnx", real(2, 3))
    held = {
        t.name: onnx.numpy_helper.to_array(t)
        for t in onnx.load(tmp_path / "m.onnx").graph.initializer
    }
    for name in ("Add", "Gemm.weight", "constant.bias"):
        np.testing.assert_array_equal(held[name], model.state_dict()[name])


def test_names_that_become_equal_stay_apart(tmp_path):
    found = named(["a\n", "a\r"], "a.weight", tmp_path / "m.onnx")
    assert {"a_.weight", "a_.weight_1"} <= set(found)


def test_constants_may_have_any_name(tmp_path):
    for name in ("output", "input", "", "\ud800", "Add"):
        function = Function(
            lambda x, name=name: x + mg.Constant(np.ones(3), name) + mg.Constant(np.zeros(3), name)
        )
        mg.export_onnx(function, tmp_path / "m.onnx", real(2, 3))
        agrees(function, tmp_path / "m.onnx", real(2, 3))


# ---------------- errors
cube = mg.operator(lambda x: x**3, lambda g, y, x: 3 * g * x**2, name="cube")
exp = mg.operator(np.exp, lambda g, y, x: g * y, name="exp")  # a name that the library has, too


@pytest.mark.parametrize(
    ("function", "error", "words"),
    [
        (lambda x: mg.sin(cube(x)), mg.GraphError, "the operator cube has no ONNX form"),
        (exp, mg.GraphError, "the operator exp has no ONNX form"),
        (
            lambda x: mg.dropout(x, 0.5, seed=0),
            mg.GraphError,
            "the operator dropout has no ONNX form",
        ),
        (lambda x: x[x > 0], mg.GraphError, "getitem has no ONNX form where nodes are indices"),
        (
            lambda x: x[mg.argmax(x[:2], axis=0), mg.argmax(x[:2], axis=0)],
            mg.GraphError,
            "getitem has no ONNX form where nodes",
        ),
        (
            lambda x: mg.stack([x, x], axis=1)[:, np.array([0, 1]), np.array([1, 2])],
            mg.GraphError,
            "getitem has no ONNX form where several indices pick from a batch",
        ),
        (lambda x: both(x), mg.GraphError, "the operator lstm has no ONNX form as a whole"),
        (lambda x: both(x)[1], mg.GraphError, "the operator lstm has no ONNX form as a whole"),
        (lambda x: both(x)[0, 1:], mg.GraphError, "the operator lstm has no ONNX form as a whole"),
        (lambda x: np.ones(3), mg.GraphError, "returned ndarray"),
        (
            lambda x: mg.Constant(np.ones(3)),
            mg.GraphError,
            "the output does not depend on the input",
        ),
        (lambda x: x + mg.Constant(x._data), mg.GraphError, "other numbers for another batch"),
        (lambda x: x * (1 / x.shape[0]), mg.GraphError, "other numbers for another batch"),
        (lambda x: x[: x.shape[0] - 1], mg.GraphError, "other options for another batch"),
        *(
            (
                lambda x, size=size: mg.broadcast_to(mg.mean(x), (x.shape[0], size(x.shape[0]))),
                mg.GraphError,
                "a size that does not grow in proportion to the batch",
            )
            for size in (lambda n: n * n, lambda n: n + 1)
        ),
        (lambda x: mg.stack([x[0]] * x.shape[0]), mg.GraphError, "another graph for another batch"),
        (lambda x: mg.reshape(x[:, 0], (5, 2)), mg.ShapeError, "reshape: shapes (4,)"),
    ],
)
def test_what_cannot_be_written_is_named(function, error, words, tmp_path):
    with pytest.raises(error) as caught:
        mg.export_onnx(Function(function), tmp_path / "m.onnx", real(4, 3))
    assert words in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("example", "error", "words"),
    [
        (np.array(["a"]), mg.DTypeError, "dtype <U1"),
        (np.zeros((0, 2)), mg.ShapeError, "(0, 2); at least one sample"),
        (3.0, mg.ShapeError, "shape ()"),
        (np.zeros((2, 5)), mg.ShapeError, "linear: shapes (2, 5)"),
    ],
)
def test_bad_examples_are_explained(example, error, words, tmp_path):
    with pytest.raises(error) as caught:
        mg.export_onnx(models.mlp(), tmp_path / "m.onnx", example)
    assert words in str(caught.value)


def test_bad_places_and_things_are_explained(tmp_path):
    with pytest.raises(TypeError, match="a Module was expected, not ufunc"):
        mg.export_onnx(np.sin, tmp_path / "m.onnx", real(2, 2))
    with pytest.raises(mg.GraphError, match="within no_grad"), mg.no_grad():
        mg.export_onnx(models.mlp(), tmp_path / "m.onnx", real(2, 2))


def test_without_the_package_it_says_what_to_install():
    code = (
        "import sys; sys.modules['onnx'] = None; import minigrad as mg\n"
        "try: mg.export_onnx(mg.models.mlp(), 'm.onnx', [[1.0, 2.0]])\n"
        "except ImportError as error: print(error)"
    )
    code = code.replace("import minigrad as mg", "import minigrad as mg, minigrad.models")
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    ).stdout
    assert said.strip() == 'export_onnx needs the package onnx: pip install "minigrad-numba[onnx]"'


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: x * mg.mean(x).item(), "is read as a number"),
        (
            lambda x: x + np.random.normal(size=3),
            "export_onnx: Frozen.forward does something else when it is called again",
        ),
    ],
)
def test_numbers_that_python_code_would_freeze_are_refused(function, said, tmp_path):
    class Frozen(nn.Module):
        def forward(self, x):
            return function(x)

    with pytest.raises(mg.GraphError, match=said):
        mg.export_onnx(Frozen(), tmp_path / "model.onnx", np.ones((2, 3), np.float32))
    assert not (tmp_path / "model.onnx").exists()
