"""Checkpoints are saved completely or not at all, and checked before anything changes."""

import json
import os
import struct

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from systems import needs_limits, resource

import minigrad as mg
from minigrad import nn
from minigrad.errors import DataError


def make(seed=0, width=3, mode="replay"):
    model = nn.Sequential(
        nn.Linear(2, width, seed=seed), nn.Tanh(), nn.Linear(width, 1, seed=seed + 1)
    )
    return mg.Trainer(model, mg.mse_loss, mg.optim.Adam(model.parameters()), mode=mode)


def test_a_model_is_saved_and_loaded_under_plain_names(tmp_path):
    one, other = make(0).model, make(5).model
    mg.save(one, tmp_path / "m.safetensors")
    assert set(load_file(tmp_path / "m.safetensors")) == {
        "0.weight",
        "0.bias",
        "2.weight",
        "2.bias",
    }
    mg.load(other, tmp_path / "m.safetensors")
    assert np.array_equal(one(np.ones((1, 2))).value, other(np.ones((1, 2))).value)


@pytest.mark.parametrize("mode", ["replay", "compiled"])
def test_a_trainer_resumes_with_the_same_losses(mode, tmp_path):
    d = mg.data.circle(100)
    fit = {"epochs": 1, "batch_size": 20, "progress": False}
    one, other = make(mode=mode), make(9, mode=mode)
    one.fit(d.x_train, d.y_train, **fit)
    mg.save(one, tmp_path / "t.safetensors")
    mg.load(other, tmp_path / "t.safetensors")
    again = [run.fit(d.x_train, d.y_train, seed=1, **fit).batch_loss for run in (one, other)]
    assert again[0] == again[1]


def test_a_file_that_does_not_fit_changes_nothing(tmp_path):
    path = tmp_path / "m.safetensors"
    mg.save(make(0, width=4), path)
    run = make()
    before = run.model.state_dict()
    with pytest.raises(mg.ShapeError, match="0.weight"):
        mg.load(run, path)
    mg.save(run.model, path)
    with pytest.raises(
        mg.GraphError, match="holds a model, not a Trainer; load it into trainer.model"
    ):
        mg.load(run, path)
    state = load_file(path)
    save_file({**state, "more": np.ones(1)}, path)
    with pytest.raises(mg.GraphError, match="unexpected more"):
        mg.load(run.model, path)
    assert all(
        np.array_equal(before[name], array) for name, array in run.model.state_dict().items()
    )


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-5], lambda b: b"", lambda b: b"\xff" * 64, lambda b: b"{" + b[1:]]
)
def test_damaged_files_are_named(tmp_path, damage):
    path = tmp_path / "m.safetensors"
    mg.save(make().model, path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"m\.safetensors"):
        mg.load(make().model, path)


def test_a_failed_save_keeps_the_old_file_and_leaves_nothing_behind(tmp_path, monkeypatch):
    path = tmp_path / "m.safetensors"
    mg.save(make(0).model, path)
    before = path.read_bytes()

    def full(*args):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        mg.save(make(1).model, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@needs_limits
def test_a_full_disk_keeps_the_old_file_and_leaves_nothing_behind(tmp_path):
    """The system lets no file grow beyond a limit, as on a full disk."""
    path, before = tmp_path / "t.safetensors", resource.getrlimit(resource.RLIMIT_FSIZE)
    mg.save(make(0), path)
    old = path.read_bytes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="large"):
            mg.save(make(0, width=200), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == old and list(tmp_path.iterdir()) == [path]


def test_only_models_and_trainers_are_saved(tmp_path):
    with pytest.raises(TypeError, match="Module or a Trainer"):
        mg.save(np.ones(3), tmp_path / "x")


def test_a_name_that_no_file_can_hold_is_named(tmp_path):
    model = nn.Module()
    setattr(model, "\ud800", mg.Variable(1.0))
    with pytest.raises(mg.GraphError, match=r"save: the name '\\ud800' cannot be written as UTF-8"):
        mg.save(model, tmp_path / "m.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shape", [[2**63 - 1, 0], [2**64 - 1, 0], [0] * 65, [1] * 65])
def test_a_shape_that_no_array_can_have_is_a_damaged_file(shape, tmp_path):
    size = 0 if 0 in shape else 4
    header = json.dumps(
        {"weight": {"dtype": "F32", "shape": shape, "data_offsets": [0, size]}}
    ).encode()
    path = tmp_path / "m.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(size))
    with pytest.raises(DataError, match=r"load: .*m\.safetensors: "):
        mg.load(nn.Linear(2, 2), path)
