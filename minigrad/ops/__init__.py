"""The operators: each defined once, with its shape rule, forward, backward and the symbol that drawings show."""
from .axes import expand_dims, moveaxis, split, squeeze, swapaxes  # noqa: I001
from .conv import conv1d, conv2d
from .elementwise import (
    abs, add, clip, cos, divide, equal, erf, exp, gelu, greater, greater_equal, leaky_relu, less, less_equal, log, maximum,
    minimum, multiply, negative, not_equal, power, relu, sigmoid, sign, sin, softplus, sqrt, subtract, tanh, where,
)  # fmt: skip
from .embedding import embedding
from .einsum import einsum
from .functions import (
    arccos, arccosh, arcsin, arcsinh, arctan, arctanh, ceil, cosh, expm1, floor, isfinite, isinf, isnan, log1p, log2, log10,
    logical_and, logical_not, logical_or, reciprocal, rint, sinh, square, tan, trunc,
)  # fmt: skip
from .gru import gru
from .linalg import linear, matmul
from .loss import binary_cross_entropy, binary_cross_entropy_with_logits, cross_entropy, mse_loss
from .lstm import lstm
from .norm import batch_norm, dropout, layer_norm
from .pool import avg_pool1d, avg_pool2d, max_pool1d, max_pool2d
from .recurrent import rnn
from .reduce import log_softmax, logsumexp, max, mean, min, softmax, sum
from .shape import broadcast_to, concatenate, flatten, getitem, pad, reshape, stack, transpose
from .statistics import argmax, argmin, cumprod, cumsum, norm, prod, std, var

__all__ = [
    "abs", "add", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctanh", "argmax", "argmin", "avg_pool1d",
    "avg_pool2d", "batch_norm", "binary_cross_entropy", "binary_cross_entropy_with_logits", "broadcast_to", "ceil",
    "clip", "concatenate", "conv1d", "conv2d", "cos", "cosh", "cross_entropy", "cumprod", "cumsum", "divide",
    "dropout", "einsum", "embedding", "equal", "erf", "exp", "expand_dims", "expm1", "flatten", "floor", "gelu",
    "getitem", "greater", "greater_equal", "gru", "isfinite", "isinf", "isnan", "layer_norm", "leaky_relu", "less",
    "less_equal", "linear", "log", "log10", "log1p", "log2", "log_softmax", "logical_and", "logical_not",
    "logical_or", "logsumexp", "lstm", "matmul", "max", "max_pool1d", "max_pool2d", "maximum", "mean", "min",
    "minimum", "moveaxis", "mse_loss", "multiply", "negative", "norm", "not_equal", "pad", "power", "prod",
    "reciprocal", "relu", "reshape", "rint", "rnn", "sigmoid", "sign", "sin", "sinh", "softmax", "softplus", "split",
    "sqrt", "square", "squeeze", "stack", "std", "subtract", "sum", "swapaxes", "tan", "tanh", "transpose", "trunc",
    "var", "where",
]  # fmt: skip
