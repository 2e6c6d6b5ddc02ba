"""Loop nests over the entries of arrays, as source, with as few loops as the operands allow."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import numpy as np

from .symbolic import Shape, Storage, View


def indented(lines: Iterable[str], depth: int = 1) -> Iterator[str]:
    """The lines, so many levels further to the right."""
    return ("    " * depth + line for line in lines)


class Nest:
    """Loops over a shape. Axes are merged where all operands allow it; the last one is a row.

    A row is taken before the innermost loop and indexed from 0: an offset in the index would leave
    a test for negative values in the loop, which then does not vectorise. What lies in one place is
    one row: of two the compiler does not know that their entries are the same. A storage that lies
    in no array is a single number, a local variable of the loop. `length` names a size (`Piece`).
    """

    def __init__(
        self,
        shape: Shape,
        operands: Sequence[View],
        written: Collection[Storage],
        name: Callable[[Storage], str],
        length: Callable[[int], str],
    ) -> None:
        axes = [i for i, n in enumerate(shape) if n != 1]
        sizes = [shape[i] for i in axes]
        wide = [np.broadcast_to(view.layout, shape).strides for view in operands]
        strides = [[s[i] for i in axes] for s in wide]
        for i in reversed(range(len(sizes) - 1)):
            if all(s[i] == sizes[i + 1] * s[i + 1] for s in strides):
                sizes[i] *= sizes.pop(i + 1)
                for s in strides:
                    del s[i]
        self.shape, self.written, self.name, self.length = tuple(sizes), written, name, length
        self.sizes = [*map(length, sizes)]
        self._strides = {id(v): tuple(s) for v, s in zip(operands, strides, strict=True)}
        self._entries: dict[tuple[Storage, int, Shape], str] = {}
        self._openings: list[str] = []  # what is done once for each row
        self._rows: dict[tuple[Storage, int, Shape], str] = {}  # entries of rows, by their place
        for view in operands:
            if self._key(view) not in self._entries:
                self._entries[self._key(view)] = self._open(view)

    def _key(self, view: View) -> tuple[Storage, int, Shape]:
        return view.storage, view.offset, self.strides(view)

    def strides(self, view: View) -> Shape:
        """The strides of an operand along the axes of the nest."""
        return self._strides[id(view)]

    def entry(self, view: View) -> str:
        """The entry of an operand in the innermost loop."""
        return self._entries[self._key(view)]

    def _open(self, view: View) -> str:
        """The text of `entry`, after a line has been added to the openings where it needs one."""
        strides, name = self.strides(view), self.name(view.storage)
        if not view.storage.array:
            return name
        inner, n = (strides[-1], self.shape[-1]) if strides else (0, 1)
        reach = (n - 1) * inner
        base = self._index(view.offset + min(reach, 0), strides[:-1])
        if inner == 0:
            entry = f"{name}[{base}]"
            same = strides and view.storage not in self.written  # for the whole row
            return self._opening("one", entry) if same else entry
        if strides == (1,) and view.offset == 0 and view.storage.size == n:
            return f"{name}[j]"  # all of it: no row is needed
        place = view.storage.place, view.offset, strides
        if place not in self._rows:
            size = self.sizes[-1] if inner == 1 else self.length(abs(reach) + 1)
            row = self._opening("row", f"row({name}, {base}, {size})")
            step, j = self.length(abs(inner)), "j" if inner > 0 else f"({self.sizes[-1]} - 1 - j)"
            self._rows[place] = f"{row}[{j if step == '1' else f'{j} * {step}'}]"
        return self._rows[place]

    def _opening(self, hint: str, source: str) -> str:
        made = f"{hint}{len(self._openings)}"
        self._openings.append(f"{made} = {source}")
        return made

    def transposed(self, target: View, source: View) -> list[str]:
        """The lines of a copy that transposes matrices; none if it does not."""
        there, here = self.strides(target), self.strides(source)
        last, across = len(there) - 1, here.index(1) if 1 in here else -1
        if not 0 <= across < last or there[-1] != 1 or target.dtype != source.dtype:
            return []  # `turn` moves numbers as they are
        outer = [k for k in range(last) if k != across]

        def corner(view: View, strides: Shape) -> str:
            around = tuple(s if k in outer else 0 for k, s in enumerate(strides))
            return f"{self.name(view.storage)}, {self._index(view.offset, around)}"

        row, column = self.length(there[across]), self.length(here[last])
        sides = f"{corner(target, there)}, {row}, {corner(source, here)}, {column}"
        turn = f"turn({sides}, {self.sizes[across]}, {self.sizes[last]})"
        return [*self._loops(outer), *indented([turn], len(outer))]

    def _loops(self, axes: Sequence[int]) -> list[str]:
        return [
            f"{'    ' * depth}for i{k} in range({self.sizes[k]}):" for depth, k in enumerate(axes)
        ]

    def lines(
        self, body: Sequence[str], before: Sequence[str] = (), after: Sequence[str] = ()
    ) -> Iterator[str]:
        """The loops around the lines of `body`; `before` and `after` go around the innermost."""
        outer = self._loops(range(len(self.shape) - 1))
        if self.shape:
            body = [f"for j in range({self.sizes[-1]}):", *indented(body)]
        yield from outer
        yield from indented([*self._openings, *before, *body, *after], len(outer))

    def _index(self, offset: int, strides: Shape) -> str:
        """The index of an entry from the indices i0, i1, … of the outer loops."""
        terms = [
            f"i{k} * {self.length(s)}" if s != 1 else f"i{k}" for k, s in enumerate(strides) if s
        ]
        return " + ".join([self.length(offset), *terms] if offset or not terms else terms)
