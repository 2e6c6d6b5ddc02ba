"""The mutation gate: rules whose gradient is wrong by 0.1 %, one at a time, and whether the
generated checks see it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from operators import TABLE
from proof.generate import Drawn, drawn

from minigrad.graph import rule as rules
from minigrad.graph.node import GraphNode
from minigrad.graph.registry import all_rules, by_name
from minigrad.graph.rule import Elementwise, Rule

FACTOR = 1.001
EXAMPLES = 8
Tamper = Callable[[int, Any], Any]


@cache
def generated(rule: str) -> tuple[Drawn, ...]:
    """Cases of all rows of a rule; their answers from JAX are asked for once, whatever the number
    of mutants. The cases where every operand has entries come first.
    """
    found: list[Drawn] = []
    for row in (row for row in TABLE if row.name == rule):

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(drawn(row))
        def keep(case: Drawn) -> None:
            found.append(case)

        keep()
    return tuple(sorted(found, key=lambda case: -min(x.size for x in case.operands)))


# ---------------- wrong rules
@contextmanager
def tampered(name: str, tamper: Tamper) -> Iterator[None]:
    """The rule with each gradient that it gives, of input i, replaced by `tamper(i, gradient)`."""
    rule = by_name(name)
    if isinstance(rule, Elementwise):
        before = rule.derivatives
        rule.derivatives = tuple(d and _after(d, i, tamper) for i, d in enumerate(before))
        try:
            yield
        finally:
            rule.derivatives = before
        return

    def backward(node: Any, grads: Any, *rest: Any) -> None:
        type(rule).backward(rule, node, grads, *rest)
        for i, grad in enumerate(grads):
            if grad is not None:
                grad[...] = tamper(i, grad)

    rule.backward = backward  # type: ignore[method-assign]
    try:
        yield
    finally:
        del rule.backward


def _after(derivative: Callable[..., Any], i: int, tamper: Tamper) -> Callable[..., Any]:
    return lambda *args, **attributes: tamper(i, derivative(*args, **attributes))


def everywhere(gradient: Any) -> Any:
    return gradient * FACTOR


def in_one_entry(gradient: Any) -> Any:
    """The last entry only."""
    found = np.array(gradient)
    found.flat[-1:] *= FACTOR
    return found


@contextmanager
def replaced(owner: Any, name: str, new: Callable[..., Any]) -> Iterator[None]:
    """`owner.name(*args)` is `new(the old one, *args)`."""
    own, old = name in vars(owner), getattr(owner, name)
    setattr(owner, name, lambda *args, **options: new(old, *args, **options))
    try:
        yield
    finally:
        setattr(owner, name, old) if own else delattr(owner, name)


@dataclass(frozen=True)
class Mutant:
    """What is wrong, how to make it so, and the rule whose generated cases must tell."""

    name: str
    rule: str
    apply: Callable[[], Any]


def of_rule(rule: str) -> list[Mutant]:
    """One for each gradient that the rule gives on its generated cases, wrong everywhere or in one
    entry.
    """
    return [
        Mutant(
            f"{rule}, gradient {i}, {how.__name__}",
            rule,
            lambda i=i, how=how: tampered(
                rule, lambda j, gradient: how(gradient) if i == j else gradient
            ),
        )
        for i in gradients_of(rule)
        for how in (everywhere, in_one_entry)
    ]


@cache
def gradients_of(rule: str) -> tuple[int, ...]:
    """Which inputs get a gradient in the generated cases. Fails where the rule's own description
    names more.
    """
    seen: set[int] = set()
    for case in generated(rule):
        with tampered(rule, lambda i, gradient: (seen.add(i), gradient)[1]):
            case.run(np.float64)
    described = (
        by_name(rule).derivatives
        if isinstance(by_name(rule), Elementwise)
        else by_name(rule).vjp_formulas
    )
    missing = {i for i, formula in enumerate(described) if formula} - seen
    assert not missing and seen, f"{rule}: no generated case asks for the gradients {missing}"
    return tuple(sorted(seen))


def _scaled_sum(sum_to: Any, cotangent: Any, shape: tuple[int, ...]) -> Any:
    return sum_to(cotangent if cotangent.shape == shape else cotangent * FACTOR, shape)


def _scaled_addition(receive: Any, node: Any, cotangent: Any, owned: bool) -> None:
    receive(node, cotangent if node.grad is None else cotangent * FACTOR, owned)


def _scaled_entries(vjp: Any, node: Any, g: Any) -> None:
    vjp(node, g if node.inputs[0].grad is None else g * FACTOR)


#: what all rules share on the way back
PLUMBING = [
    Mutant("broadcasting undone", "add", lambda: replaced(rules, "sum_to", _scaled_sum)),
    Mutant(
        "a second contribution",
        "multiply",
        lambda: replaced(GraphNode, "receive", _scaled_addition),
    ),
    Mutant(
        "a second contribution to an entry",
        "getitem",
        lambda: replaced(by_name("getitem"), "vjp", _scaled_entries),
    ),
]


def every_mutant() -> list[Mutant]:
    return [
        *PLUMBING,
        *(mutant for name, rule in all_rules().items() if _gives(rule) for mutant in of_rule(name)),
    ]


def _gives(rule: Rule) -> bool:
    return rule.differentiable and any(row.name == rule.name for row in TABLE)


# ---------------- the gate
def survivors(mutants: list[Mutant], check: Callable[[Drawn], None]) -> list[str]:
    """The mutants on whose cases the check finds nothing wrong."""
    return [mutant.name for mutant in mutants if not killed(mutant, check)]


def killed(mutant: Mutant, check: Callable[[Drawn], None]) -> bool:
    for case in generated(mutant.rule):
        try:
            with mutant.apply():
                check(case)
        except AssertionError:
            return True
    return False
