"""Questions and exercises of the chapters: `predict` before you run, `check` what you found.

The checks of chapter 3 stand in `minigrad/teach/chapter03.py`, each a function with the name of its
exercise:

    @exercise("3/slowest start", hints={"relu": "Its slope is 1 wherever it is not 0."})
    def _(answer):
        return None if str(answer).lower() == "sigmoid" else "Which of the three has the smallest
        slopes?"
"""

from .ask import predict
from .checking import Check, NotYet, check, exercise, exercises, expect

__all__ = ["Check", "NotYet", "check", "exercise", "exercises", "expect", "predict"]
