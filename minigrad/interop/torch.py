"""Parameters to PyTorch and back: the names, the layouts and the blocks of gates are the same on
both sides.

For files there is nothing to convert: PyTorch reads what `mg.save` wrote
(`safetensors.torch.load_file`), and `mg.load` reads what `safetensors.torch.save_file` wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..graph.conversion import Array
from ..nn import Module


def to_torch(model: Module) -> dict[str, Any]:
    """The state of a model as PyTorch's tensors, copies, for `load_state_dict` of the same
    architecture there.

    Raises `ImportError` where PyTorch is missing.
    """
    try:
        import torch
    except ImportError:
        raise ImportError("to_torch needs PyTorch: pip install torch") from None
    return {name: torch.from_numpy(array) for name, array in model.state_dict().items()}


def from_torch(model: Module, state_dict: Mapping[str, Any]) -> None:
    """Copy PyTorch's `state_dict()` into a model of the same architecture, in the model's dtypes.

    Raises what `Module.load_state_dict` raises where names or shapes differ; nothing is changed
    then.
    """
    model.load_state_dict({name: _array(tensor) for name, tensor in state_dict.items()})


def _array(tensor: Any) -> Array:
    """A tensor, wherever it is, as an array; bfloat16, which NumPy does not know, as float32."""
    if not hasattr(tensor, "detach"):
        return np.asarray(tensor)
    tensor = tensor.detach().cpu()
    array: Array = (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
    return array
