"""Questions and exercises of the chapters: `predict` before you run, `check` your answer.

The exercises are in `minigrad/teach/exercises.toml`:

    ["3/steepest"]
    right = 0.25
    hint = "σ' = σ · (1 - σ); where is it largest?"

Answers that need Python to be judged have a function in `minigrad/teach/judges.py`:

    @exercise("3/start")
    def _(given):
        return None if given == "sigmoid" else "Which of the three has the smallest slopes?"
"""

from . import judges as judges
from .checking import NotYet, check, exercise, expect, predict

__all__ = ["NotYet", "check", "exercise", "expect", "predict"]
