"""The progress bar of a training (tqdm), and the words before it while a step is compiled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from typing import Any

from .guard import StepGuard

SOON = 1.0  # seconds after which a compilation is mentioned


def progress_bar(shown: bool, **options: Any) -> Any:
    """A tqdm bar that vanishes at the end; one that is not shown takes the same calls."""
    if shown:
        from tqdm.auto import tqdm
    else:
        from tqdm import tqdm  # tqdm.auto loads asyncio, which only notebooks need
    return tqdm(leave=False, mininterval=0.2, disable=not shown, **options)


@contextmanager
def described(bar: Any, words: str, guard: StepGuard) -> Iterator[None]:
    """Within the block, once it has taken a second, the words stand before the bar."""
    before = bar.desc if not bar.disable else ""
    timer = Timer(SOON, bar.set_description_str, [words])
    timer.daemon = True
    try:
        if not bar.disable:
            with guard:
                timer.start()
        yield
    finally:
        if not bar.disable:
            with guard:
                timer.cancel()
                if timer.is_alive():
                    timer.join()
                bar.set_description_str(before)
