"""The bar of a training: tqdm's, and what stands before it while a step is compiled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from typing import Any

from .course import Whole

SOON = 1.0  # seconds after which a compilation is spoken of


def progress_bar(shown: bool, **options: Any) -> Any:
    """A bar that vanishes at the end; one that is not shown takes all calls, too, and does
    nothing.
    """
    if shown:
        from tqdm.auto import tqdm
    else:
        from tqdm import tqdm  # the other one loads asyncio, to be of use in notebooks
    return tqdm(leave=False, mininterval=0.2, disable=not shown, **options)


@contextmanager
def said(bar: Any, words: str, whole: Whole) -> Iterator[None]:
    """Within the block, once it has taken a second, the words stand before the bar."""
    timer = Timer(SOON, bar.set_description_str, [words])
    timer.daemon = True
    try:
        if not bar.disable:
            with whole:
                timer.start()
        yield
    finally:
        if not bar.disable:
            with whole:
                timer.cancel()
                if timer.is_alive():
                    timer.join()
                bar.set_description_str("")
