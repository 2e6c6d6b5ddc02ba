"""Nested loops over the entries of an array, as source: as few of them as the operands allow."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from .traced import Buffer, Shape, View


def stretched(view: View, shape: Shape) -> Shape:
    """The strides of a view that is broadcast to a shape."""
    added = len(shape) - view.ndim
    return (0,) * added + tuple(
        0 if n == 1 and m != 1 else s
        for n, m, s in zip(view.shape, shape[added:], view.strides, strict=True)
    )


class Nest:
    """Loops over a shape, with as few axes as its operands allow, the innermost along rows.

    Rows are sliced before the innermost loop and indexed from 0: an offset index would keep a test
    for negative values in the loop, which then does not vectorise.
    """

    def __init__(
        self,
        shape: Shape,
        operands: Sequence[View],
        written: Collection[int],
        name: Callable[[Buffer], str],
        single: Collection[int],
    ) -> None:
        self.written, self.name, self.single = written, name, single
        rows: dict[int, tuple[View, list[int]]] = {}
        for view in operands:
            pairs = zip(stretched(view, shape), shape, strict=True)
            rows[id(view)] = (view, [s for s, n in pairs if n != 1])
        sizes = [n for n in shape if n != 1]
        i = len(sizes) - 2
        while i >= 0:
            if all(strides[i] == sizes[i + 1] * strides[i + 1] for _, strides in rows.values()):
                sizes[i] *= sizes.pop(i + 1)
                for _, strides in rows.values():
                    del strides[i]
            i -= 1
        self.shape = tuple(sizes)
        self._strides = {key: tuple(strides) for key, (_, strides) in rows.items()}
        self._views = {key: view for key, (view, _) in rows.items()}
        self._texts: dict[tuple[int, int, Shape], str] = {}
        self._openings: list[str] = []
        for key, view in self._views.items():
            self._open(key, view)

    def strides(self, view: View) -> Shape:
        return self._strides[id(view)]

    def _base(self, view: View, strides: Shape) -> str:
        terms = [f"i{k} * {s}" if s != 1 else f"i{k}" for k, s in enumerate(strides) if s]
        return " + ".join([*([str(view.offset)] if view.offset or not terms else []), *terms])

    def _open(self, key: int, view: View) -> None:
        """The text of an entry of the view, and the line that makes it possible."""
        strides, name = self._strides[key], self.name(view.buffer)
        known = (id(view.buffer), view.offset, strides)
        if known in self._texts:
            return
        if id(view.buffer) in self.single:
            self._texts[known] = name
            return
        base = self._base(view, strides[:-1])
        if not strides or strides[-1] == 0:
            self._texts[known] = f"{name}[{base}]"
            if strides and id(view.buffer) not in self.written:  # the same for the whole row
                self._texts[known] = f"one{len(self._openings)}"
                self._openings.append(f"one{len(self._openings)} = {name}[{base}]")
            return
        inner = strides[-1]
        if (
            len(strides) == 1
            and view.offset == 0
            and inner == 1
            and view.buffer.size == self.shape[-1]
        ):
            self._texts[known] = f"{name}[j]"  # the whole buffer: no slice is needed
            return
        row, far = f"row{len(self._openings)}", (self.shape[-1] - 1) * inner
        low, high = (
            (base, f"{base} + {far + 1}") if inner > 0 else (f"{base} - {-far}", f"{base} + 1")
        )
        self._openings.append(f"{row} = {name}[{low}:{high}]")
        step = "" if abs(inner) == 1 else f" * {abs(inner)}"
        self._texts[known] = (
            f"{row}[j{step}]" if inner > 0 else f"{row}[({self.shape[-1] - 1} - j){step}]"
        )

    def turned(self, target: View, source: View) -> list[str]:
        """The lines of a copy of which one side is contiguous along another axis than the other;
        none if it is not so.
        """
        there, here = self._strides[id(target)], self._strides[id(source)]
        last, across = len(there) - 1, next((k for k, s in enumerate(here) if s == 1), -1)
        if target.dtype != source.dtype:
            return []  # `turn` moves numbers as they are
        if (
            len(there) < 2
            or there[-1] != 1
            or not 0 <= across < last
            or min(self.shape[across], self.shape[-1]) < 8
        ):
            return []
        outer = [k for k in range(last) if k != across]
        lines = [f"{'    ' * i}for i{k} in range({self.shape[k]}):" for i, k in enumerate(outer)]
        goal, origin = (
            f"{self.name(v.buffer)}, "
            f"{self._base(v, tuple(s if k in outer else 0 for k, s in enumerate(strides)))}"
            for v, strides in ((target, there), (source, here))
        )
        sizes = f"{self.shape[across]}, {self.shape[last]}"
        return [
            *lines,
            f"{'    ' * len(outer)}turn({goal}, {there[across]}, {origin}, {here[last]}, {sizes})",
        ]

    def entry(self, view: View) -> str:
        """The present entry of a view, in the innermost loop."""
        return self._texts[id(view.buffer), view.offset, self._strides[id(view)]]

    outer = entry

    def lines(self, body: Any, before: str = "", after: str = "") -> Iterator[str]:
        """The loops around the lines of `body`."""
        depth = 0
        for k, n in enumerate(self.shape[:-1]):
            yield f"{'    ' * depth}for i{k} in range({n}):"
            depth += 1
        pad = "    " * depth
        yield from (pad + line for line in self._openings)
        if before:
            yield pad + before
        if self.shape:
            yield f"{pad}for j in range({self.shape[-1]}):"
            yield from (f"{pad}    {line}" for line in body())
        else:
            yield from (pad + line for line in body())
        if after:
            yield pad + after
