"""Layers and models. See `Module` for how to write your own."""
from . import init
from .layers import (
    AvgPool1d,
    AvgPool2d,
    Conv1d,
    Conv2d,
    Embedding,
    Flatten,
    Linear,
    MaxPool1d,
    MaxPool2d,
    ReLU,
    Sigmoid,
    Tanh,
)  # fmt: skip
from .module import Module, Sequential
from .recurrent import GRU, LSTM, RNN

__all__ = [
    "GRU", "LSTM", "RNN",
    "AvgPool1d", "AvgPool2d", "Conv1d", "Conv2d", "Embedding", "Flatten", "Linear", "MaxPool1d", "MaxPool2d",
    "Module", "ReLU", "Sequential", "Sigmoid", "Tanh", "init",
]  # fmt: skip
