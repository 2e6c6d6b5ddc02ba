"""How Numba is told to compile kernels."""

from typing import Any

import numba

#: Numba's settings, which its annotations do not list
config: Any = numba.config

# Of "fast math" only what changes nothing but the rounding. Not "arcp": with it LLVM takes an
# estimate for 1 / sqrt(x), which is NaN at 0 and inf, and multiplies by 1 / x, which is inf for a
# subnormal x. Not "reassoc": it makes sqrt(x) of x / sqrt(x), x of log(exp(x)) and y of
# x - (x - y), so that NaN and inf get lost; only sums need it.
# The error model is NumPy's: a division that might raise Python's ZeroDivisionError keeps LLVM from
# vectorising the loop around it.
FORMULAS: Any = {"fastmath": {"contract", "nsz"}, "error_model": "numpy"}
SUMS: Any = {"fastmath": {"contract", "nsz", "reassoc"}, "error_model": "numpy"}
