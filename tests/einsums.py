"""Sums of products, for eager and compiled runs: subscripts and arrays."""

import numpy as np

X = np.random.default_rng(0).normal(size=(2, 3, 4))
Y = np.random.default_rng(1).normal(size=(4, 3, 5))
SUMS = [
    ("abc->cab", (X,)),
    ("abc->b", (X,)),
    ("abc->", (X,)),
    ("aab->ab", (X[:, :2],)),
    ("aab->b", (X[:, :2],)),
    ("abc,cde->abde", (X, Y)),
    ("abc,cbe->ae", (X, Y)),
    ("abc,cbe->b", (X, Y)),
    ("abc,cbe->cba", (X, Y)),
    ("abc,cbe->ecb", (X, Y)),
    ("abc,abc->", (X, X)),
    ("abc,abc->bca", (X, X)),
    ("abc,cbe,ef->fa", (X, Y, Y[0].T)),
    ("abc,def->adf", (X, Y)),
    ("abc,bd->acd", (X[:, :1], Y[0])),
    ("abc,->a", (X, X[0, 0, 0])),
    ("ab,b->a", (X[0], X[1, 1])),
    ("abc,abd->abcd", (X, X)),
    ("abc,c,b->ca", (X, X[0, 0], Y[0, :, 0])),
    ("abc,abc->abc", (X[:0], X[:0])),
]
