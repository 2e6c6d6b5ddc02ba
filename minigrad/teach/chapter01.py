"""The exercises of chapter 1, Backward is bookkeeping."""

from __future__ import annotations

from functools import cache
from typing import Any

from ..graph.autodiff import backward, topological_sort
from ..graph.node import GraphNode, Variable
from .checking import exercise, expect


@cache
def _graph() -> dict[str, GraphNode]:
    """(a · b + a)² at a = 3, b = 1, pulled back."""
    a, b = Variable(3.0, name="a"), Variable(1.0, name="b")
    product = a * b
    total = product + a
    backward(topological_sort(total**2))
    return {"a": a, "b": b, "product": product, "sum": total}


def _gradient(name: str, answer: Any, hint: str) -> str | None:
    return expect(answer, _graph()[name].grad, hint)


@exercise(
    "1/gradient of the sum",
    hints={
        36: "36 is the value of y. How fast does s² change at s = 6?",
        6: "The slope of s² is 2 · s, not s.",
        1: "1 comes in; the square multiplies it by its own slope.",
    },
)
def _sum(answer: Any) -> str | None:
    return _gradient("sum", answer, "The slope of s² is 2 · s, and s is a · b + a.")


@exercise("1/gradient of the product")
def _product(answer: Any) -> str | None:
    return _gradient("product", answer, "A sum hands on what it is handed, unchanged.")


@exercise("1/gradient of b", hints={12: "The product multiplies by the other input: what is a?"})
def _b(answer: Any) -> str | None:
    return _gradient("b", answer, "The product hands b its own gradient times a.")


@exercise(
    "1/gradient of a",
    hints={
        12: "a has two users, and you counted one.",
        36: "That is b's. The product hands a its gradient times b.",
        144: "What comes from two users is added, not multiplied.",
    },
)
def _a(answer: Any) -> str | None:
    return _gradient("a", answer, "Add what comes from the sum and what comes from the product.")


@exercise("1/forward walks", hints={1: "Forward mode follows one chosen input at a time."})
def _forward(answer: Any) -> str | None:
    return expect(answer, 1000, "One walk for each weight whose gradient is asked for.", rtol=0)


@exercise(
    "1/reverse walks", hints={1000: "One walk back from the loss reaches every weight on its way."}
)
def _reverse(answer: Any) -> str | None:
    return expect(answer, 1, "One walk for each output, and there is one.", rtol=0)


@exercise(
    "1/one input", hints={"reverse": "Reverse mode would walk once for each of the 1,000 losses."}
)
def _one_input(answer: Any) -> str | None:
    right = str(answer).strip().lower() == "forward"
    return (
        None
        if right
        else 'the answer is "forward" or "reverse": which of them walks once for each input?'
    )
