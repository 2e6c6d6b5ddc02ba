"""What a program says more than it must: assignments that nobody reads, and a ReLU that a kernel
can do on the way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from .lookup import looked_up
from .traced import Assign, Buffer, Call, Expr, MatMul, Reduce, Statement, View, views


def reads(s: Statement) -> Iterator[View]:
    """The views that a statement reads, or may read."""
    if isinstance(s, Assign | Reduce):
        yield from views(s.value)
    elif isinstance(s, MatMul):
        yield from (s.a, s.b) if s.bias is None else (s.a, s.b, s.bias)
    elif isinstance(s, Call):
        yield from (x for x in s.args if isinstance(x, View))


def touches(s: Statement) -> Iterator[View]:
    """The views that a statement reads or writes."""
    if isinstance(s, Assign | Reduce):
        yield s.target
    elif isinstance(s, MatMul):
        yield s.out
    yield from reads(s)


def simplify(statements: Sequence[Statement], kept: Collection[Buffer]) -> list[Statement]:
    """The same program without what is superfluous; what is written into the buffers `kept` is for
    others to read.
    """
    made = _biased(_rectified(statements))
    by_buffer: dict[int, list[Statement]] = {}
    for s in made:
        for key in {id(view.buffer) for view in touches(s)}:
            by_buffer.setdefault(key, []).append(s)
    made = looked_up(made, lambda view: by_buffer[id(view.buffer)])
    return _without_dead_assignments(made, {id(buffer) for buffer in kept})


def gathered_in_pieces(
    statements: Sequence[Statement], samples: View
) -> tuple[list[Statement], View, Assign | None]:
    """Samples (n, pieces, …) that are read once only, to be turned to (pieces, n, …), as those who
    train a recurrent layer do: the program without that statement, the turned array, which becomes
    the input, and the statement. Samples are brought together from all over memory for each batch
    anyway; their pieces are put where they are needed. Else all as it was.
    """
    mine = [s for s in statements if any(view.buffer is samples.buffer for view in touches(s))]
    turn = mine[0] if len(mine) == 1 else None
    if (
        not isinstance(turn, Assign)
        or not turn.exchanges(0, 1)
        or turn.value.buffer is not samples.buffer
    ):
        return list(statements), samples, None
    new = turn.target
    whole = new.size == samples.size == new.buffer.size and new.shape[1] == samples.shape[0]
    if not whole or new.buffer.kind != "value":
        return list(statements), samples, None
    new.buffer.kind, new.buffer.name = samples.buffer.kind, samples.buffer.name
    return [s for s in statements if s is not turn], new, turn


def _rectified(statements: Sequence[Statement]) -> list[Statement]:
    """A call of a kernel that can end in a ReLU, and the ReLU that alone reads its result, as one
    call.
    """
    uses = Counter(
        id(buffer) for s in statements for buffer in {view.buffer for view in touches(s)}
    )
    made: list[Statement] = []
    for s in statements:
        before = made[-1] if made else None
        if (
            isinstance(before, Call)
            and isinstance(s, Assign)
            and getattr(before.kernel, "rectifies", False)
        ):
            raw = _relu_of(s)
            if raw is not None and uses[id(raw.buffer)] == 2 and s.target.contiguous:
                mine = [
                    i
                    for i, x in enumerate(before.args)
                    if isinstance(x, View) and x.buffer is raw.buffer
                ]
                if len(mine) == 1 and before.args[mine[0]].size == s.target.size:
                    args = list(before.args)
                    args[mine[0]], args[-1] = s.target.reshape(before.args[mine[0]].shape), 0.0
                    made[-1] = Call(before.kernel, tuple(args), before.note)
                    continue
        made.append(s)
    return made


def _biased(statements: Sequence[Statement]) -> list[Statement]:
    """A product of matrices and the addition of a row to all of its rows, as one statement."""
    made: list[Statement] = []
    for s in statements:
        before = made[-1] if made else None
        if isinstance(before, MatMul) and isinstance(s, Assign) and _in_blocks(before):
            bias = _row_added(s, before.out)
            if bias is not None and before.bias is None:
                made[-1] = replace(before, bias=bias)
                continue
        made.append(s)
    return made


def _in_blocks(s: MatMul) -> bool:
    """Is the product worked out in blocks of rows, not as sums along them?"""
    return s.a.contiguous and s.b.contiguous and s.out.shape[1] > 1


def _row_added(s: Assign, out: View) -> View | None:
    """The row that `s` adds to all rows of the matrix `out`, if that is all it does."""
    value, target = s.value, s.target
    if not (
        isinstance(value, Expr)
        and value.op == "add"
        and all(isinstance(x, View) for x in value.args)
    ):
        return None
    old, row = value.args
    same = all(
        v.buffer is out.buffer and v.offset == out.offset and v.contiguous and v.size == out.size
        for v in (old, target)
    )
    columns = out.shape[1]
    fits = (
        row.shape in ((columns,), (1, columns))
        and target.shape[-1:] == (columns,)
        and row.contiguous
    )
    return row.reshape(columns) if same and fits else None


def _relu_of(s: Assign) -> View | None:
    """What `s` takes the larger of and 0, all of a buffer."""
    value = s.value
    if not (isinstance(value, Expr) and value.op == "maximum" and isinstance(value.args[0], View)):
        return None
    raw, least = value.args
    whole = raw.contiguous and raw.size == raw.buffer.size and raw.shape == s.target.shape
    return raw if whole and isinstance(least, int | float) and least == 0 else None


def by_rows(statements: Sequence[Statement]) -> tuple[list[Statement], list[Call]]:
    """The gradient of a table of which a batch touches few rows is not written from zero: such
    calls are replaced, and those come second that set back to zero what they have added, from the
    same samples.
    """
    uses = Counter(id(view.buffer) for s in statements for view in touches(s))
    made, clearing = [], []
    for s in statements:
        if isinstance(s, Call) and hasattr(s.kernel, "touches_rows"):
            *_, ids, grad = s.args
            if (
                grad.buffer.kind == "gradient"
                and uses[id(grad.buffer)] == 1
                and ids.buffer.kind == "input"
            ):
                more, clear = s.kernel.touches_rows
                s = Call(more, s.args, s.note)
                clearing.append(Call(clear, (ids, grad), s.note))
        made.append(s)
    return made, clearing


def _without_dead_assignments(
    statements: Sequence[Statement], kept: Collection[int]
) -> list[Statement]:
    """From the end to the start: an assignment to a buffer that no later statement reads is left
    out.
    """
    needed, left = set(kept), []
    for s in reversed(statements):
        if (
            isinstance(s, Assign)
            and s.target.buffer.kind == "value"
            and id(s.target.buffer) not in needed
        ):
            continue
        needed |= {id(view.buffer) for view in reads(s)}
        left.append(s)
    return left[::-1]
