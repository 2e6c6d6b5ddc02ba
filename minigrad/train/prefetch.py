"""Reading ahead: pieces of data are made in a background thread while others are trained on."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from contextvars import copy_context
from queue import SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

from ..run.rebuild import READER

T = TypeVar("T")
AHEAD = 2  # pieces that are read ahead at most
PATIENCE = 5.0  # seconds to wait for the end of a thread whose iterable hangs


class Prefetcher(Generic[T]):
    """Iterates over the pieces of a generator, which runs up to `AHEAD` pieces ahead in a thread.

    An error of the generator is raised where its piece would come. The thread runs from the
    construction until `close`. Only queues implemented in C are used, so that Ctrl-C while waiting
    for a piece leaves no lock taken.
    """

    def __init__(self, pieces: Generator[T, None, None]) -> None:
        self._pieces, self._closed = pieces, False
        self._made: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()
        self._room: SimpleQueue[None] = SimpleQueue()  # an entry for each piece that may be made
        for _ in range(AHEAD):
            self._room.put(None)
        self._thread = Thread(
            target=copy_context().run, args=(self._work,), name=READER, daemon=True
        )
        self._thread.start()

    def _work(self) -> None:
        error: BaseException | None = None
        try:
            with closing(self._pieces):
                while True:
                    self._room.get()
                    if self._closed or (piece := next(self._pieces, None)) is None:
                        break
                    self._made.put((piece, None))
        except BaseException as caught:
            error = caught
        self._made.put((None, error))

    def __iter__(self) -> Prefetcher[T]:
        return self

    def __next__(self) -> T:
        piece, error = self._made.get()
        if error is not None:
            raise error
        if piece is None:
            raise StopIteration
        self._room.put(None)
        return piece

    def close(self) -> None:
        """End the thread; after `PATIENCE` seconds no longer wait for it."""
        self._closed = True
        self._room.put(None)
        self._thread.join(PATIENCE)
