"""Loop fusion: assignments over the same entries become groups, each of which is one loop nest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .symbolic import Assign, Expr, Shape, Statement, View, formula, same

_REACH = 6  # groups that an assignment may pass on its way to one that it fits into


def fuse(statements: Sequence[Statement]) -> list[list[Statement]]:
    """The statements in groups; groups of several assign formulas over entries of one shape.

    What one of them writes, the others read or write only at the same place.
    """
    groups: list[list[Statement]] = []
    for s in statements:
        if not _joined(groups[-_REACH:], s):
            groups.append([s])
    return groups


def _joined(groups: list[list[Statement]], s: Statement) -> bool:
    """Add an assignment to the last group that it fits into, if it may pass those after that."""
    new = formula(s)
    for group in reversed(groups) if new else ():
        members = [old for old in map(formula, group) if old]
        reshaped = _reshaped(new, members[0].target.shape) if new and members else None
        if reshaped and _fits(members, reshaped):
            group.append(reshaped)
            return True
        if new and _depends(group, new):
            return False
    return False


def _reshaped(s: Assign, shape: Shape) -> Assign | None:
    """The same assignment over another shape, if all of its arrays are contiguous."""
    size = s.target.size
    if s.target.shape == shape:
        return s
    if size != math.prod(shape):
        return None
    if any(not view.contiguous or view.size not in (1, size) for view in s.touches):
        return None

    def reshaped(x: Any) -> Any:
        if isinstance(x, View):
            return x.reshape(shape if x.size == size else (1,) * len(shape))
        return Expr(x.op, [reshaped(y) for y in x.args]) if isinstance(x, Expr) else x

    return replace(s, target=s.target.reshape(shape), args=(reshaped(s.value),))


def _depends(group: Sequence[Statement], new: Assign) -> bool:
    """May the order of the group and the assignment matter?"""
    touched = {view.storage for view in new.touches}
    written = {view.storage for s in group for view in s.writes}
    read = {view.storage for s in group for view in s.touches}
    return bool(touched & written) or new.target.storage in read


def _fits(group: Sequence[Assign], new: Assign) -> bool:
    first = group[0]
    if _transposes(new) or _transposes(first) or new.target.shape != first.target.shape:
        return False
    pairs = ((a, b, old) for old in group for a in old.touches for b in new.touches)
    return (first.target.contiguous and new.target.contiguous) and all(
        same(a, b)
        for a, b, old in pairs
        if a.storage is b.storage and (a is old.target or b is new.target)
    )


def _transposes(s: Assign) -> bool:
    """Is it a copy that transposes a matrix? `Nest.transposed` writes it as a call."""
    strides = s.value.strides if isinstance(s.value, View) else ()
    return len(strides) > 1 and strides[-1] != 1 and 1 in strides[:-1]
