"""Saving and loading: safetensors files, written whole or not at all, read with every name and
shape checked first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, DTypeError, GraphError, ShapeError
from ..files import as_path, write_atomically
from ..graph.node import Buffer
from ..nn import Module
from ..nn.module import load_leaves
from .course import Course
from .trainer import Trainer

Arrays = dict[str, np.ndarray[Any, Any]]


def _split(state: Arrays, prefix: str) -> Arrays:
    return {
        name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)
    }


def _passing(model: Module) -> dict[str, Buffer]:
    """The buffers that are no part of the model's state but of its training: how far dropout's
    random numbers are.
    """
    return {name: buffer for name, buffer in model.named_buffers() if not buffer.persistent}


def _state(what: Module | Trainer, function: str = "save") -> Arrays:
    if isinstance(what, Module):
        return what.state_dict()
    if isinstance(what, Trainer):
        model, optimizer = what.model.state_dict(), what.optimizer.state_dict()
        streams = {name: buffer.value.copy() for name, buffer in _passing(what.model).items()}
        course = what.course.state_dict()
        named = {"model.": model, "optimizer.": optimizer, "buffers.": streams, "course.": course}
        return {
            prefix + name: array for prefix, state in named.items() for name, array in state.items()
        }
    raise TypeError(
        f"{function}: a {type(what).__name__}; a Module or a Trainer was expected, and then "
        f"the path"
    )


def save(what: Module | Trainer, path: Any) -> None:
    """Write a model's parameters and buffers to a safetensors file, or all that a trainer needs to
    go on.

    For a trainer that is its optimiser's memory and its course, too: how many epochs and batches
    are done, and the shuffling generator. `load` it into a trainer made in the same way, and
    `fit(…, resume=True)` goes on as if nothing had happened. The file appears under its name only
    when it is complete; an older one stays until then. Any tool that reads safetensors (PyTorch,
    for one) reads it. Called on all ranks of a distributed training, it writes on rank 0.
    """
    from safetensors.numpy import save as to_bytes

    state, path = _state(what, "save"), as_path("save", path)
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


def load(what: Module | Trainer, path: Any) -> None:
    """Read what `save` wrote (or `safetensors.torch.save_file`, for a model) into a model or
    trainer of the same shape.

    Raises `OSError` for a file that cannot be opened, `DataError` for one that is no safetensors
    file, `GraphError`, `ShapeError` or `DTypeError` where names, shapes or kinds of numbers differ;
    nothing is changed then.
    """
    before, path = _state(what, "load"), as_path("load", path)
    state = read_arrays(path)
    try:
        _fill(what, before, state, path)
    except (GraphError, ShapeError, DTypeError) as error:
        if str(path) not in str(error):
            error.add_note(f"in {path}")
        raise


def read_arrays(path: Path) -> Arrays:
    """Every array of a safetensors file. What a header announces beyond the file is refused before
    memory is taken.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    with path.open("rb"):  # what cannot be opened is told as Python tells it
        pass
    try:
        return load_file(path)
    except SafetensorError as error:
        raise DataError(f"load: {path}: not a whole safetensors file ({error})") from None
    except (
        AttributeError,
        KeyError,
        TypeError,
    ) as error:  # element types that NumPy has not, such as bfloat16
        raise DataError(
            f"load: {path}: an element type that NumPy lacks ({error}); save them as float32"
        ) from None
    except ValueError as error:  # axes that NumPy cannot count, though there are no numbers
        raise DataError(f"load: {path}: a shape that NumPy cannot hold ({error})") from None


def _fill(what: Module | Trainer, before: Arrays, state: Arrays, path: Path) -> None:
    of_trainer = "optimizer.steps" in state
    if of_trainer != isinstance(what, Trainer):
        held, goal = ("trainer", "one") if of_trainer else ("model", "trainer.model")
        raise GraphError(
            f"load: {path} holds a {held}, not a {type(what).__name__}; load it into {goal}"
        )
    if isinstance(what, Module):
        what.load_state_dict(state)
        return
    if differing := sorted(set(state) ^ set(before)):
        more = f" and {len(differing) - 5} more" if len(differing) > 5 else ""
        raise GraphError(
            f"load: {path} is of another trainer; differing: {', '.join(differing[:5])}{more}"
        )
    course = Course.of(_split(state, "course."))
    try:
        what.model.load_state_dict(_split(state, "model."))
        load_leaves(type(what.model).__name__, _passing(what.model), _split(state, "buffers."))
        what.optimizer.load_state_dict(_split(state, "optimizer."))
    except Exception:
        what.model.load_state_dict(_split(before, "model."))
        load_leaves(type(what.model).__name__, _passing(what.model), _split(before, "buffers."))
        raise
    what.course = course
