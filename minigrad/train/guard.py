"""Ctrl-C during training: it waits for the end of the step, so that every step is whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class StepGuard:
    """`with guard:` runs its block to the end, where a Ctrl-C in it is raised.

    A second Ctrl-C within the block is raised at once.
    """

    def __init__(self) -> None:
        self.waiting = self._within = False

    def handle(self, *_: Any) -> None:
        """Handle the signal."""
        if not self._within or self.waiting:
            raise KeyboardInterrupt
        self.waiting = True

    def __enter__(self) -> None:
        self._within = True

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        waiting, self.waiting, self._within = self.waiting, False, False
        if waiting and kind is None:
            raise KeyboardInterrupt

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Within the block, this guard handles Ctrl-C.

        Only in the main thread, and where Python's own handler is in place; a program that has set
        a handler keeps it.
        """
        main = threading.current_thread() is threading.main_thread()
        usual = main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        try:
            if usual:
                signal.signal(signal.SIGINT, self.handle)
            yield
        finally:
            if usual:
                # set directly: Ctrl-C in a call before signal.signal would leave the handler
                self._within = True
                signal.signal(signal.SIGINT, signal.default_int_handler)
                StepGuard.__exit__(self, None)  # a Ctrl-C since then is this process's alone
