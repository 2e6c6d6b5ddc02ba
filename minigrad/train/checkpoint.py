"""Saving and loading: safetensors files, written atomically, checked before they are loaded."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, DTypeError, GraphError, ShapeError
from ..files import as_path, write_atomically
from ..nn import Module
from .trainer import Trainer


def save(what: Module | Trainer, path: str | PathLike[str]) -> None:
    """Write a model, or everything that a trainer needs to resume, to a safetensors file.

    For a model these are its parameters and buffers; for a trainer, also the optimiser's memory,
    the epochs and batches done and the shuffling generator: `load` the file into a trainer made in
    the same way, and `fit(…, resume=True)` continues to the bit. The file appears under its name
    only when it is complete; an older one stays until then. Any tool that reads safetensors reads
    it, PyTorch for one. Called on all ranks of a distributed training, it writes on rank 0.

    >>> import tempfile
    >>> model = mg.nn.Linear(3, 2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     mg.save(model, f"{folder}/model.safetensors")
    ...     mg.load(mg.nn.Linear(3, 2), f"{folder}/model.safetensors")
    """
    from safetensors.numpy import save as to_bytes

    _check_kind("save", what)
    state, path = what.state_dict(), as_path("save", path)
    if isinstance(what, Trainer) and not what.ranks.first:
        return
    if path.is_dir():
        raise IsADirectoryError(f"save: {path} is a folder; the name of a file was expected")
    try:
        data = to_bytes(state)
    except UnicodeEncodeError as error:
        raise GraphError(
            f"save: the name {error.object!r} cannot be written as UTF-8; rename it"
        ) from None
    write_atomically(path, data)


def load(what: Module | Trainer, path: str | PathLike[str]) -> None:
    """Load a file of `save` (for a model also of PyTorch) into a model or trainer.

    PyTorch's function is `safetensors.torch.save_file`. Raises `OSError` for a file that cannot be
    opened, `DataError` for one that is no safetensors file, `GraphError`, `ShapeError` or
    `DTypeError` where names, shapes or kinds of numbers differ; nothing is changed then.

    >>> import tempfile
    >>> one, other = mg.nn.Linear(3, 2, seed=0), mg.nn.Linear(3, 2, seed=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     mg.save(one, f"{folder}/model.safetensors")
    ...     mg.load(other, f"{folder}/model.safetensors")
    >>> np.array_equal(one.weight.value, other.weight.value)
    True
    """
    _check_kind("load", what)
    path = as_path("load", path)
    state = read_arrays(path)
    of_trainer = "optimizer.steps" in state
    if of_trainer != isinstance(what, Trainer):
        held, goal = ("trainer", "one") if of_trainer else ("model", "trainer.model")
        raise GraphError(
            f"load: {path} holds a {held}, not a {type(what).__name__}; load it into {goal}"
        )
    try:
        what.load_state_dict(state)
    except (GraphError, ShapeError, DTypeError) as error:
        error.add_note(f"in {path}")
        raise


def _check_kind(function: str, what: object) -> None:
    if not isinstance(what, Module | Trainer):
        raise TypeError(
            f"{function}: a {type(what).__name__}; a Module or a Trainer was expected, and then "
            f"the path"
        )


def read_arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Read every array of a safetensors file.

    A header that announces more than the file holds is refused before memory is allocated.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    with path.open("rb"):  # raises Python's own error for a file that cannot be opened
        pass
    try:
        return load_file(path)
    except SafetensorError as error:
        raise DataError(f"load: {path}: not a whole safetensors file ({error})") from None
    except (AttributeError, KeyError, TypeError) as error:  # an element type such as bfloat16
        raise DataError(
            f"load: {path}: an element type that NumPy lacks ({error}); save them as float32"
        ) from None
    except ValueError as error:  # axes too long for NumPy, although there are no numbers
        raise DataError(f"load: {path}: a shape that NumPy cannot hold ({error})") from None
