"""Questions and exercises of the chapters: `predict` before you run, `check` your answer.

The exercises of chapter 3 are in `minigrad/teach/chapter03.py`: numbers and words as data, other
answers with a function that judges them:

    answer("3/steepest", 0.25, "σ' = σ · (1 - σ); where is it largest?")

    @exercise("3/start", hints={"relu": "Its slope is 1 wherever it is not 0."})
    def _(given):
        return None if given == "sigmoid" else "Which of the three has the smallest slopes?"
"""

from .ask import predict
from .checking import Check, NotYet, check, exercise, exercises, expect

__all__ = ["Check", "NotYet", "check", "exercise", "exercises", "expect", "predict"]
