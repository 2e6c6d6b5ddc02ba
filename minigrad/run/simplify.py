"""Passes over a program: fused kernels, dead-store elimination, sparse gradients, input layouts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from .lookup import fuse_lookups
from .symbolic import Assign, Call, Expr, Statement, Storage, Users, View, formula, users_of


def simplify(statements: Sequence[Statement], results: Collection[Storage]) -> list[Statement]:
    """The same program in fewer statements; `results` are read after it."""
    users, made = users_of(statements), list[Statement]()
    for s in statements:
        fused = _fused(made[-1], s, users) if made else None
        if fused:
            made[-1] = fused
        else:
            made.append(s)
    made = fuse_lookups(made, users_of(made))
    return _without_dead_stores(made, results)


def _fused(before: Statement, s: Statement, users: Users) -> Statement | None:
    """One statement in place of two that follow each other, where there is one for both."""
    after = formula(s)
    if after is None or not isinstance(after.value, Expr):
        return None
    if isinstance(before, Call) and getattr(before.kernel, "rectifies", False):
        return _with_relu(before, after, users)
    if isinstance(before, Assign) and before.op == "matmul":
        return _with_bias(before, after)
    return None


def _with_relu(call: Call, s: Assign, users: Users) -> Call | None:
    """A kernel that can end in a ReLU, and the ReLU that alone reads its result."""
    raw, least = s.value.args[0], s.value.args[-1]
    target, args = s.target, list(call.args)
    relu = s.value.op == "maximum" and isinstance(least, int | float) and least == 0
    if not (relu and isinstance(raw, View)):
        return None
    places = [i for i, x in enumerate(args) if isinstance(x, View) and x.storage is raw.storage]
    alone = raw.whole and len(users[raw.storage]) == 2 and len(places) == 1
    if not (alone and raw.shape == target.shape and target.contiguous):
        return None
    (i,) = places
    if args[i].size != target.size:
        return None
    args[i], args[-1] = target.reshape(args[i].shape), 0.0
    return replace(call, args=tuple(args))


def _with_bias(product: Assign, s: Assign) -> Assign | None:
    """A matrix product, and the addition of a row to all of its rows."""
    (a, b, *bias), out, target = product.args, product.target, s.target
    if s.value.op != "add" or not all(isinstance(x, View) for x in s.value.args):
        return None
    (old, row), n = s.value.args, out.shape[1]
    in_blocks = a.contiguous and b.contiguous and n > 1  # not as sums along rows
    in_place = all(x.storage is out.storage and x.whole for x in (old, target, out))
    fits = row.shape in ((n,), (1, n)) and target.shape[-1:] == (n,) and row.contiguous
    if bias or not (in_blocks and in_place and fits):
        return None
    return replace(product, args=(a, b, row.reshape(n)))


def _without_dead_stores(
    statements: Sequence[Statement], results: Collection[Storage]
) -> list[Statement]:
    """From last to first, drop assignments to storages that no later statement reads."""
    needed, kept = set(results), list[Statement]()
    for s in reversed(statements):
        target = s.target.storage if isinstance(s, Assign) else None
        if target is None or not target.computed or target in needed:
            needed |= {view.storage for view in s.reads}
            kept.append(s)
    return kept[::-1]


def sparse_gradients(statements: Sequence[Statement]) -> tuple[list[Statement], list[Call]]:
    """Gradients of tables of which a batch touches few rows are not written from zero.

    The calls that do so are replaced; further calls set back to zero, from the same samples, the
    rows that a step has added to.
    """
    users, made, clearing = users_of(statements), list[Statement](), list[Call]()
    for s in statements:
        if isinstance(s, Call) and hasattr(s.kernel, "touches_rows"):
            *_, ids, grad = s.args
            fed, own = ids.storage.kind == "input", grad.storage.kind == "parameter gradient"
            if fed and own and len(users[grad.storage]) == 1:
                more, clear = s.kernel.touches_rows
                s = replace(s, kernel=more)
                clearing.append(Call((ids, grad), s.note, clear))
        made.append(s)
    return made, clearing


def swapped_input(statements: Sequence[Statement], samples: View) -> Assign | None:
    """The statement that swaps axes 0 and 1 of the samples, if nothing else reads them.

    Models that begin with a recurrent layer turn samples (n, steps, …) to (steps, n, …). As samples
    are gathered from all over memory for each batch anyway, they are gathered in that order.
    """
    users = users_of(statements).get(samples.storage, [])
    swap = formula(users[0]) if len(users) == 1 else None
    if swap is None or not swap.swaps(0, 1):
        return None
    target = swap.target
    whole = target.whole and target.storage.computed and target.size == samples.size
    return swap if whole and target.shape[1] == len(samples) else None
