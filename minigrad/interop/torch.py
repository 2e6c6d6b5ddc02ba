"""Parameters to PyTorch and back: names, layouts and the order of gates are the same.

Files need no conversion: `safetensors.torch.load_file` reads what `mg.save` wrote, and `mg.load`
reads what `safetensors.torch.save_file` wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..graph.conversion import Array
from ..nn import Module


def to_torch(model: Module) -> dict[str, Any]:
    """Copy the state of a model to PyTorch tensors, for `load_state_dict` of the same architecture.

    Raises `ImportError` where PyTorch is missing.

    >>> state = mg.interop.to_torch(mg.nn.Linear(3, 2))
    >>> state["weight"].shape
    torch.Size([2, 3])
    """
    try:
        import torch
    except ImportError:
        raise ImportError("to_torch needs PyTorch: pip install torch") from None
    return {name: torch.from_numpy(array) for name, array in model.state_dict().items()}


def from_torch(model: Module, state_dict: Mapping[str, Any]) -> None:
    """Copy PyTorch's `state_dict()` into a model of the same architecture, in the model's dtypes.

    Raises the errors of `Module.load_state_dict` where names or shapes differ; the model is
    unchanged then.

    >>> model = mg.nn.Linear(2, 1)
    >>> mg.interop.from_torch(model, {"weight": [[1.0, 2.0]], "bias": [0.5]})
    >>> model.weight
    <Variable (1, 2) float32: [[1., 2.]]>
    """
    model.load_state_dict({name: _array(tensor) for name, tensor in state_dict.items()})


def _array(tensor: Any) -> Array:
    """A tensor on any device as an array; bfloat16, which NumPy lacks, as float32."""
    if not hasattr(tensor, "detach"):
        return np.asarray(tensor)
    tensor = tensor.detach().cpu()
    array: Array = (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
    return array
