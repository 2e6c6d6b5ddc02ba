"""Models for other tools: ONNX files, and PyTorch's tensors."""
from .onnx import export_onnx

__all__ = ["export_onnx"]
