"""Ctrl-C while something runs that must not be cut short."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Pending:
    """The interrupts that wait, and the handler that they wait for. Python calls handlers in the
    main thread only.
    """

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
    """Within the block Ctrl-C is only noted; at its end the handler that was there before gets it
    and, usually, raises KeyboardInterrupt.

    Blocks nest: the end of an inner block is a place where it may be raised, too, unless an outer
    one says `whole`.
    """
    main = threading.current_thread() is threading.main_thread()
    if main and _pending.depth == 0:
        _pending.handler, _pending.count = signal.getsignal(signal.SIGINT), 0
    if not main or not callable(_pending.handler):  # nothing would be raised here
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
