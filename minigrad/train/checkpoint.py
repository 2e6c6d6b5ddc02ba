"""Saving and loading: safetensors files, written whole or not at all, read with every name and shape checked first."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, GraphError
from ..files import write_atomically
from ..graph.buffer import Buffer
from ..nn import Module
from ..nn.module import load_leaves
from .trainer import Trainer

Arrays = dict[str, np.ndarray[Any, Any]]


def _split(state: Arrays, prefix: str) -> Arrays:
    return {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}


def _passing(model: Module) -> dict[str, Buffer]:
    """The buffers that are no part of the model's state but of its training: how far dropout's random numbers are."""
    return {name: buffer for name, buffer in model.named_buffers() if not buffer.persistent}


def _state(what: Module | Trainer) -> Arrays:
    if isinstance(what, Module):
        return what.state_dict()
    if isinstance(what, Trainer):
        model, optimizer = what.model.state_dict(), what.optimizer.state_dict()
        streams = {name: buffer.value.copy() for name, buffer in _passing(what.model).items()}
        named = {"model.": model, "optimizer.": optimizer, "buffers.": streams}
        return {prefix + name: array for prefix, state in named.items() for name, array in state.items()}
    raise TypeError(f"a Module or a Trainer was expected, not {type(what).__name__}")


def save(what: Module | Trainer, path: Any) -> None:
    """Write a model's parameters and buffers, or a trainer's with its optimiser's memory, to a safetensors file.

    The file appears under its name only when it is complete; an older one stays until then. Any tool that reads
    safetensors (PyTorch, for one) reads it.
    """
    from safetensors.numpy import save as to_bytes

    write_atomically(Path(path), to_bytes(_state(what)))


def load(what: Module | Trainer, path: Any) -> None:
    """Read what `save` wrote (or `safetensors.torch.save_file`, for a model) into a model or trainer of the same shape.

    Raises `DataError` for a file that is no safetensors file, `GraphError` or `ShapeError` where names or shapes differ;
    nothing is changed then.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        state = load_file(path)
    except SafetensorError as error:
        raise DataError(f"{path}: this is not a whole safetensors file ({error})") from None
    except TypeError as error:  # bfloat16 and the like
        raise DataError(f"{path}: NumPy has no such numbers ({error}); save them as float32") from None
    if isinstance(what, Module):
        what.load_state_dict(state)
        return
    before = _state(what)
    if set(state) != set(before):
        differing = ", ".join(sorted(set(state) ^ set(before)))
        raise GraphError(f"{path}: this checkpoint is of another trainer: {differing}")
    try:
        what.model.load_state_dict(_split(state, "model."))
        load_leaves(type(what.model).__name__, _passing(what.model), _split(state, "buffers."))
        what.optimizer.load_state_dict(_split(state, "optimizer."))
    except Exception:
        what.model.load_state_dict(_split(before, "model."))
        load_leaves(type(what.model).__name__, _passing(what.model), _split(before, "buffers."))
        raise
