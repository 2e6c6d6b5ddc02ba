"""Questions and exercises of the chapters: `predict` before you run, `check` your answer.

The exercises are in `minigrad/teach/exercises.toml`:

    ["5/steepest"]
    right = 0.25
    hint = "σ' = σ · (1 - σ); where is it largest?"
"""

from .checking import NotYet, check, predict

__all__ = ["NotYet", "check", "predict"]
