"""Models for other tools: ONNX files and PyTorch tensors."""

from .onnx import export_onnx
from .torch import from_torch, to_torch

__all__ = ["export_onnx", "from_torch", "to_torch"]
