"""The exercises of chapter 1, Backward is bookkeeping: y = s², s = a · b + a, a = 3, b = 1."""

from __future__ import annotations

from .checking import answer, word

a, b = 3, 1
s = a * b + a

answer(
    "1/gradient of the sum",
    2 * s,
    "The slope of s² is 2 · s, and s is a · b + a.",
    {
        36: "36 is the value of y. How fast does s² change at s = 6?",
        6: "The slope of s² is 2 · s, not s.",
        1: "1 comes in; the square multiplies it by its own slope.",
    },
)
answer("1/gradient of the product", 2 * s, "A sum passes its gradient on, unchanged.")
answer(
    "1/gradient of b",
    2 * s * a,
    "The product passes b its own gradient times a.",
    {12: "The product multiplies by the other input: what is a?"},
)
answer(
    "1/gradient of a",
    2 * s + 2 * s * b,
    "Add what comes from the sum and what comes from the product.",
    {
        12: "a has two users, and you counted one.",
        36: "That is b's. The product passes a its gradient times b.",
        144: "What comes from two users is added, not multiplied.",
    },
)
answer(
    "1/forward walks",
    1000,
    "One walk for each weight whose gradient is asked for.",
    {1: "Forward mode follows one chosen input at a time."},
    rtol=0,
)
answer(
    "1/reverse walks",
    1,
    "One walk for each output, and there is one.",
    {1000: "One walk back from the loss reaches every weight on its way."},
    rtol=0,
)
word(
    "1/one input",
    ("forward",),
    'the answer is "forward" or "reverse": which of them walks once for each input?',
    {"reverse": "Reverse mode would walk once for each of the 1,000 losses."},
)
