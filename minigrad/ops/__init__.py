"""The operators: each defined once, with its shape rule, forward, backward and the symbol that drawings show."""
from .conv import conv1d, conv2d  # noqa: I001
from .elementwise import (
    abs, add, clip, cos, divide, equal, erf, exp, gelu, greater, greater_equal, leaky_relu, less, less_equal, log, maximum,
    minimum, multiply, negative, not_equal, power, relu, sigmoid, sign, sin, softplus, sqrt, subtract, tanh, where,
)  # fmt: skip
from .embedding import embedding
from .gru import gru
from .linalg import linear, matmul
from .loss import binary_cross_entropy, binary_cross_entropy_with_logits, cross_entropy, mse_loss
from .lstm import lstm
from .norm import batch_norm, dropout, layer_norm
from .pool import avg_pool1d, avg_pool2d, max_pool1d, max_pool2d
from .recurrent import rnn
from .reduce import log_softmax, logsumexp, max, mean, min, softmax, sum
from .shape import broadcast_to, concatenate, flatten, getitem, pad, reshape, stack, transpose

__all__ = [
    "abs", "add", "avg_pool1d", "avg_pool2d", "batch_norm", "binary_cross_entropy",
    "binary_cross_entropy_with_logits", "broadcast_to", "clip", "concatenate", "conv1d", "conv2d", "cos",
    "cross_entropy", "divide", "dropout", "embedding", "equal", "erf", "exp", "flatten", "gelu", "getitem", "greater",
    "greater_equal", "gru", "layer_norm", "leaky_relu", "less", "less_equal", "linear", "log", "log_softmax",
    "logsumexp", "lstm", "matmul", "max", "max_pool1d", "max_pool2d", "maximum", "mean", "min", "minimum", "mse_loss",
    "multiply", "negative", "not_equal", "pad", "power", "relu", "reshape", "rnn", "sigmoid", "sign", "sin", "softmax",
    "softplus", "sqrt", "stack", "subtract", "sum", "tanh", "transpose", "where",
]  # fmt: skip
