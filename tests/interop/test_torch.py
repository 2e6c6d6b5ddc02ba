"""PyTorch: its names and layouts, its files, and the same predictions from the same parameters.

What needs PyTorch runs in a process of its own: with the interpreter that `MINIGRAD_TORCH_PYTHON`
names (torch, numpy, safetensors and platformdirs are there), or with this one where it has torch;
without either it is skipped.
"""

import importlib.util
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad import models, nn
from minigrad.errors import DataError

HERE = Path(__file__).parent
RNG = np.random.default_rng(0)


class First(nn.Module):
    """A recurrent layer's output without its state."""

    def __init__(self, layer):
        self.layer = layer

    def forward(self, x):
        return self.layer(x)[0]


def real(*shape):
    return RNG.normal(size=shape).astype(np.float32)


MODELS = {
    "mlp": (models.mlp, real(3, 2)),
    "cnn": (models.cnn_five, real(2, 1, 28, 28)),
    "textcnn": (lambda: models.TextCNN(50, 6, length=20), RNG.integers(0, 50, (2, 20))),
    "rnn": (lambda: models.RowRNN(7, 5), real(3, 4, 7)),
    "lstm": (lambda: First(nn.LSTM(3, 4, num_layers=2)), real(5, 2, 3)),
    "gru": (lambda: First(nn.GRU(3, 4, num_layers=2)), real(5, 2, 3)),
    "norm": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3), nn.Flatten(), nn.LayerNorm(12)
        ),
        real(2, 2, 4, 4),
    ),
}


def python():
    """An interpreter that has PyTorch, or None."""
    here = sys.executable if importlib.util.find_spec("torch") else None
    return os.environ.get("MINIGRAD_TORCH_PYTHON", here)


def predict(model, x):
    return model.eval()(mg.Constant(x, dtype=x.dtype)).value


@pytest.mark.skipif(
    python() is None,
    reason="no PyTorch here; MINIGRAD_TORCH_PYTHON may name an interpreter that has it",
)
def test_files_go_both_ways_and_give_the_same_predictions(tmp_path):
    made = {}
    for name, (make, x) in MODELS.items():
        made[name] = make()
        for leaf in (*made[name].parameters(), *made[name].buffers()):
            if leaf.dtype.kind == "f":
                leaf.value = leaf.value + RNG.uniform(0.1, 0.5, leaf.shape)
        mg.save(made[name], tmp_path / f"{name}.safetensors")
        np.save(tmp_path / f"{name}-x.npy", x)
        np.save(tmp_path / f"{name}-y.npy", predict(made[name], x))
    paths = os.pathsep.join([str(Path(mg.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    ran = subprocess.run(
        [python(), HERE / "in_torch.py", tmp_path],
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        env={**os.environ, "PYTHONPATH": paths},
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "PyTorch agrees on mlp cnn textcnn rnn" in ran.stdout
    for name, (_, x) in MODELS.items():
        mg.load(made[name], tmp_path / f"{name}-torch.safetensors")
        expected = np.load(tmp_path / f"{name}-torch-y.npy")
        np.testing.assert_allclose(
            predict(made[name], x), expected, rtol=1e-5, atol=2e-6, err_msg=name
        )


# ---------------- without PyTorch
def recurrent(gates):
    return {
        "weight_ih_l0": ["F32", [4 * gates, 3]],
        "weight_hh_l0": ["F32", [4 * gates, 4]],
        "bias_ih_l0": ["F32", [4 * gates]],
        "bias_hh_l0": ["F32", [4 * gates]],
        "weight_ih_l1": ["F32", [4 * gates, 4]],
        "weight_hh_l1": ["F32", [4 * gates, 4]],
        "bias_ih_l1": ["F32", [4 * gates]],
        "bias_hh_l1": ["F32", [4 * gates]],
    }


BATCH_NORM = {
    "weight": ["F32", [3]],
    "bias": ["F32", [3]],
    "running_mean": ["F32", [3]],
    "running_var": ["F32", [3]],
    "num_batches_tracked": ["I64", []],
}
#: each layer, and the names, types and shapes that PyTorch 2.13 gives its state
LAYOUTS = [
    (lambda: nn.Linear(3, 5), {"weight": ["F32", [5, 3]], "bias": ["F32", [5]]}),
    (lambda: nn.Conv1d(4, 6, 3, groups=2), {"weight": ["F32", [6, 2, 3]], "bias": ["F32", [6]]}),
    (lambda: nn.Conv2d(4, 6, (3, 2), bias=False), {"weight": ["F32", [6, 4, 3, 2]]}),
    (lambda: nn.Embedding(9, 3, dtype=np.float64), {"weight": ["F64", [9, 3]]}),
    (lambda: nn.RNN(3, 4, num_layers=2), recurrent(1)),
    (lambda: nn.LSTM(3, 4, num_layers=2), recurrent(4)),
    (lambda: nn.GRU(3, 4, num_layers=2), recurrent(3)),
    (lambda: nn.BatchNorm1d(3), BATCH_NORM),
    (lambda: nn.BatchNorm2d(3), BATCH_NORM),
    (lambda: nn.LayerNorm((3, 4)), {"weight": ["F32", [3, 4]], "bias": ["F32", [3, 4]]}),
    (
        lambda: nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(3, 1, bias=False)),
        {"2.weight": ["F32", [1, 3]]},
    ),
    (
        lambda: models.RowRNN(7, 5),
        {
            "rnn.weight_ih_l0": ["F32", [5, 7]],
            "rnn.weight_hh_l0": ["F32", [5, 5]],
            "rnn.bias_ih_l0": ["F32", [5]],
            "rnn.bias_hh_l0": ["F32", [5]],
            "dense.weight": ["F32", [10, 5]],
            "dense.bias": ["F32", [10]],
        },
    ),
]


@pytest.mark.parametrize(("make", "layout"), LAYOUTS)
def test_a_file_has_pytorchs_names_types_and_shapes_and_rows_one_after_the_other(
    make, layout, tmp_path
):
    model = make()
    mg.save(model, tmp_path / "m.safetensors")
    raw = (tmp_path / "m.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    assert {name: [entry["dtype"], entry["shape"]] for name, entry in header.items()} == layout
    for name, array in model.state_dict().items():
        start, end = header[name]["data_offsets"]
        assert (
            raw[8 + length + start : 8 + length + end]
            == array.astype(array.dtype.newbyteorder("<")).tobytes()
        )


class Tensor:
    """What `from_torch` asks of a tensor; on a device, and with a history."""

    def __init__(self, array):
        self.array, self.dtype, self.asked = array, "torch.float32", []

    def detach(self):
        self.asked.append("detach")
        return self

    def cpu(self):
        self.asked.append("cpu")
        return self

    def numpy(self):
        assert self.asked == ["detach", "cpu"]
        return self.array


def test_from_torch_takes_tensors_and_arrays_and_changes_nothing_when_they_do_not_fit():
    model = nn.Linear(2, 1)
    mg.interop.from_torch(
        model, {"weight": Tensor(np.array([[1.0, 2.0]])), "bias": np.array([3.0])}
    )
    assert model.weight.value.tolist() == [[1, 2]] and model.bias.value.tolist() == [3]
    with pytest.raises(mg.GraphError, match="missing bias; unexpected b"):
        mg.interop.from_torch(model, {"weight": Tensor(np.ones((1, 2))), "b": Tensor(np.ones(1))})
    with pytest.raises(mg.ShapeError, match="bias"):
        mg.interop.from_torch(
            model, {"weight": Tensor(np.ones((1, 2))), "bias": Tensor(np.ones(2))}
        )
    assert model.weight.value.tolist() == [[1, 2]]


def test_without_pytorch_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match="to_torch needs PyTorch: pip install torch"):
        mg.interop.to_torch(nn.Linear(2, 1))


def test_bfloat16_in_a_file_is_an_error_that_says_so(tmp_path):
    header = json.dumps(
        {"weight": {"dtype": "BF16", "shape": [1, 2], "data_offsets": [0, 4]}}
    ).encode()
    (tmp_path / "b.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 4)
    # where another package has taught NumPy the type, the array is read and does not fit
    expected = (
        r"b\.safetensors: .*bfloat16.*save them as float32|weight is bfloat16, float32 was expected"
    )
    with pytest.raises((DataError, mg.DTypeError), match=expected):
        mg.load(nn.Linear(2, 1, bias=False), tmp_path / "b.safetensors")
