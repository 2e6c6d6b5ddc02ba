"""`predict`: a question that is answered before the next cell is run."""

from __future__ import annotations

from collections.abc import Sequence


def predict(question: str, options: Sequence[str], mine: str | int | None = None) -> None:
    """Show a question with its options, a letter before each, and what you chose: `mine="b"` (or
    its number, from 1).

    What is right is not told here: the cells that follow show it. Raises `ValueError` for a choice
    that is not there, and where there are fewer than two options or more than letters.
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
    """Which option is meant, from 0."""
    if isinstance(mine, str) and len(mine) == 1 and mine.lower() in letters:
        return letters.index(mine.lower())
    if isinstance(mine, int) and not isinstance(mine, bool) and 1 <= mine <= len(letters):
        return mine - 1
    raise ValueError(
        f"predict: mine={mine!r}; a letter from a to {letters[-1]} was expected, or 1 to "
        f"{len(letters)}"
    )
