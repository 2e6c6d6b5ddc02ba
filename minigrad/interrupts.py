"""Deferring Ctrl-C while code runs that must not be interrupted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Pending:
    """The deferred interrupts and their handler. Python calls handlers in the main thread only."""

    depth = whole = count = 0
    handler: Any = None

    def note(self, *_: Any) -> None:
        self.count += 1

    def deliver(self) -> None:
        while self.count:
            self.count -= 1
            self.handler(signal.SIGINT, None)


_pending = _Pending()


@contextmanager
def interrupts_deferred(*, whole: bool = False) -> Iterator[None]:
    """Defer Ctrl-C to the end of the block, where the previous handler gets it.

    That handler usually raises KeyboardInterrupt. Blocks nest: it may be raised at the end of an
    inner block, too, unless an outer one is `whole`.
    """
    main = threading.current_thread() is threading.main_thread()
    if main and _pending.depth == 0:
        _pending.handler, _pending.count = signal.getsignal(signal.SIGINT), 0
    if not main or not callable(_pending.handler):  # nothing to defer
        yield
        return
    try:
        _pending.depth += 1
        _pending.whole += whole
        if _pending.depth == 1:
            signal.signal(signal.SIGINT, _pending.note)
        yield
    finally:
        _pending.depth -= 1
        _pending.whole -= whole
        if _pending.depth == 0:
            signal.signal(signal.SIGINT, _pending.handler)
        if not _pending.whole:
            _pending.deliver()
