"""Layers compute what PyTorch's do, forward and back, from the same parameters, in every mode."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from needs import need
from nn.cases import CASES, flat, weights

import minigrad as mg
from minigrad import nn
from minigrad.graph.autodiff import topological_sort
from minigrad.run.batch import separable

need("torch", "bench")
HERE = Path(__file__).parent
FLOATS = [np.float64, np.float32]


def made(case, dtype=np.float64):
    options = {"dtype": dtype} if hasattr(getattr(nn, case.kind)(**case.options), "weight") else {}
    layer = getattr(nn, case.kind)(**case.options, **options).to(dtype)
    shapes = {name: array.shape for name, array in layer.state_dict().items()}
    layer.load_state_dict(case.parameters(shapes))
    return layer


def called(case, layer, xs, start):
    """All outputs of a layer, in one list."""
    more = {k: np.array(v) if isinstance(v, list) else v for k, v in case.more.items()}
    states = [tuple(start) if len(start) == 2 else start[0]] if start else []
    if case.kind == "MultiheadAttention":
        return flat(layer(*(xs * 3)[:3], **more))
    return flat(layer(*xs, *states, **more))


@pytest.fixture(scope="session")
def torchs(tmp_path_factory):
    path = tmp_path_factory.mktemp("torch") / "layers.npz"
    states = {}
    for i, case in enumerate(CASES.values()):
        states |= {f"{i}/{name}": array for name, array in made(case).state_dict().items()}
    np.savez(path, **states)
    ran = subprocess.run(
        [os.environ.get("MINIGRAD_TORCH_PYTHON", sys.executable), HERE / "in_torch.py", path],
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    with np.load(path) as found:
        return {name: found[name] for name in sorted(found)}


@pytest.mark.parametrize("dtype", FLOATS, ids=["float64", "float32"])
@pytest.mark.parametrize("number", range(len(CASES)), ids=list(CASES))
def test_values_and_gradients_are_pytorchs(number, dtype, torchs):
    case = list(CASES.values())[number]
    expected = [array for name, array in torchs.items() if name.startswith(f"{number}/")]
    layer = made(case, dtype)
    xs = [mg.Variable(x, dtype=dtype) for x in case.inputs()]
    start = [mg.Variable(x, dtype=dtype) for x in case.start()]
    outputs = called(case, layer, xs, start)
    loss = sum((y * weights(i, y.shape)).sum() for i, y in enumerate(outputs))
    loss.backward()
    leaves = [*xs, *start, *(p for _, p in sorted(layer.named_parameters()))]
    found = [*(y.value for y in outputs), *(leaf.grad for leaf in leaves)]
    tolerance = 1e-10 if dtype == np.float64 else 3e-5
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
    graph = mg.Graph(loss)  # again, in the same memory
    graph.forward()
    graph.zero_grad()
    graph.backward()
    for a, b in zip(found, [*(y.value for y in outputs), *(x.grad for x in leaves)], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12 if dtype == np.float64 else 1e-6, atol=1e-7)


# ---------------- trained, in every mode
class Trained(nn.Module):
    """A layer on samples x (N, …): one output for each, a weighted sum of all that it returns."""

    def __init__(self, case, axis):
        self.case, self.axis, self.layer = case, axis, made(case)

    def forward(self, x):
        case, more = self.case, []
        if "lengths" in case.more:
            more, x = [mg.argmax(x[:, -1], axis=1)], x[:, :-1]
        if self.axis:
            x = mg.swapaxes(x, 0, self.axis)
        if case.kind == "MultiheadAttention":
            found = self.layer(x, x, x, need_weights=False)[:1]
        elif more:
            found = self.layer(x, lengths=more[0])
        else:
            found = self.layer(x)
        output, *states = flat(found)
        parts = [mg.moveaxis(output, self.axis, 0), *(mg.moveaxis(y, -2, 0) for y in states)]
        rows = [y.reshape(y.shape[0], -1) for y in parts]
        return sum((y * weights(0, y.shape[1:])).sum(axis=1, keepdims=True) for y in rows)


def samples(case, axis):
    """Eight samples x, samples first; of those with lengths the last row says how long each is."""
    sizes = np.delete(case.shapes[0], axis)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(8, *sizes))
    if "Pool" in case.kind:
        x = np.round(2 * x) / 2
    if "lengths" in case.more:
        row = np.zeros((8, 1, sizes[-1]))
        row[np.arange(8), 0, rng.integers(1, sizes[-1], 8)] = 1
        x = np.concatenate([x, row], axis=1)
    return x, rng.normal(size=(8, 1))


def sample_axis(case):
    sequences = case.kind in ("RNN", "LSTM", "GRU", "MultiheadAttention")
    return 1 if sequences and not case.options.get("batch_first") else 0


#: of each kind, with lengths and without, the last: not of masks with rows for each sample, a
#: softmax over samples, or given states
TRAINED = {
    case.kind + "-lengths" * ("lengths" in case.more): case
    for case in CASES.values()
    if not {"attn_mask", "key_padding_mask"} & case.more.keys()
    and case.options.get("dim") != 0
    and not case.states
    and (len(case.shapes) == 1 or case.kind == "MultiheadAttention")
}


@pytest.mark.parametrize("name", TRAINED)
def test_every_mode_trains_alike_and_samples_keep_apart(name, tmp_path):
    case = TRAINED[name]
    axis = sample_axis(case)
    x, y = samples(case, axis)
    results = []
    for mode in ("eager", "replay", "compiled"):
        model = nn.Sequential(nn.Linear(x.shape[-1], x.shape[-1], seed=0), Trained(case, axis))
        if "lengths" in case.more:
            model = nn.Sequential(Trained(case, axis), nn.Linear(1, 1, seed=0))
        model.to(np.float64)
        trainer = mg.Trainer(model, mg.mse_loss, mg.optim.SGD(model.parameters(), 0.01), mode=mode)
        trainer.fit(x, y, epochs=2, batch_size=4, progress=False)
        results.append([p.value.copy() for p in model.parameters()])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)
    given, target = mg.Constant(x, dtype=np.float64), mg.Constant(y, dtype=np.float64)
    assert separable(topological_sort(mg.mse_loss(model(given), target)), {given, target})
    before = model(x).value
    mg.save(model, tmp_path / "m.safetensors")
    for p in model.parameters():
        p.value[...] = 0
    mg.load(model, tmp_path / "m.safetensors")
    np.testing.assert_array_equal(model(x).value, before)
    assert "svg" in mg.draw(model(x[:1]))._repr_svg_()
