"""`predict`: a question to answer before running the next cell."""

from __future__ import annotations

from collections.abc import Sequence


def predict(question: str, options: Sequence[str], mine: str | int | None = None) -> None:
    """Show a question, its options with a letter each, and your choice: `mine="b"`, or a number.

    The cells that follow show the answer. Options are numbered from 1. Raises `ValueError` for a
    choice that does not exist, and for fewer than 2 or more than 26 options.
    """
    letters = "abcdefghijklmnopqrstuvwxyz"[: len(options)]
    if not 2 <= len(options) == len(letters):
        raise ValueError(f"predict: {len(options)} options; 2 to 26 were expected")
    lines = [
        question,
        *(f"  {letter}) {option}" for letter, option in zip(letters, options, strict=True)),
    ]
    if mine is None:
        lines.append('Choose before you run on: add mine="a", or another letter.')
    else:
        letter = letters[_place(mine, letters)]
        lines.append(f"You chose {letter}. Run on and see.")
    print("\n".join(lines))


def _place(mine: str | int, letters: str) -> int:
    """The index of the chosen option."""
    if isinstance(mine, str) and len(mine) == 1 and mine.lower() in letters:
        return letters.index(mine.lower())
    if isinstance(mine, int) and not isinstance(mine, bool) and 1 <= mine <= len(letters):
        return mine - 1
    raise ValueError(
        f"predict: mine={mine!r}; a letter from a to {letters[-1]} was expected, or 1 to "
        f"{len(letters)}"
    )
