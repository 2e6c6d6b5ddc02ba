"""`pytest -m mutation`: every backward rule, made wrong by 0.1 %, is caught by the checks that are
generated for it.
"""

from unittest import mock

import pytest
import test_optim
from proof.checks import agrees_with_differences, agrees_with_jax, examine
from proof.mutants import FACTOR, PLUMBING, every_mutant, generated, of_rule, survivors
from proof.tally import COUNTS

SMOKE = ["divide", "linear", "matmul", "rnn"]
pytestmark = pytest.mark.usefixtures("no_gc")


def gate(mutants, check=examine, what="mutants made and killed"):
    """No mutant survives; counts what it killed."""
    left = survivors(mutants, check)
    assert not left, f"{len(left)} of {len(mutants)} mutants survive: {'; '.join(left)}"
    COUNTS[what] += len(mutants)


def test_a_few_mutants_are_killed():
    gate(
        [*PLUMBING, *(mutant for rule in SMOKE for mutant in of_rule(rule))],
        what="mutants of a few rules killed",
    )


@pytest.mark.mutation
def test_every_mutant_is_killed():
    gate(every_mutant())


@pytest.mark.mutation
@pytest.mark.parametrize(
    "check",
    [
        agrees_with_differences,
        lambda case: agrees_with_jax(case, *case.run(case.dtype)),
    ],
    ids=["differences", "JAX"],
)
def test_either_oracle_would_do(check):
    mutants = [
        mutant
        for mutant in every_mutant()
        if "one_entry" not in mutant.name and mutant not in PLUMBING
    ]
    gate(mutants, check, "of them by one oracle alone")


# ---------------- the gate itself can fail
def test_what_is_not_mutated_passes():
    for rule in SMOKE:
        for case in generated(rule):
            examine(case)


def test_a_check_that_does_not_look_at_gradients_lets_every_mutant_live():
    mutants = of_rule("matmul")
    assert survivors(mutants, lambda case: case.run(case.dtype)) == [
        mutant.name for mutant in mutants
    ]


def test_a_mutant_is_undone():
    (mutant, *_), case = of_rule("matmul"), generated("matmul")[0]
    with pytest.raises(AssertionError), mutant.apply():
        examine(case)
    examine(case)


# ---------------- optimisers
def wrong(number):
    """By 0.1 %; what is switched on or off, the other way round."""
    return 1.0 - number if number in (0.0, 1.0) else number * FACTOR


@pytest.mark.mutation
@pytest.mark.parametrize("make", {case[0]: None for case in test_optim.CASES})
def test_every_number_of_every_optimiser_matters(make):
    """Each number that it hands to its kernel, wrong in each of its cases until one tells."""
    cases = [case for case in test_optim.CASES if case[0] is make]
    honest, p = make.scalars, test_optim.mg.Variable(0.0)
    count = max(len(make([p], lr=0.1, **options).ahead(1)) for *_, options in cases)
    for i in range(count):

        def scalars(self, step, group, i=i):
            numbers = enumerate(honest(self, step, group))
            return tuple(wrong(x) if j == i else x for j, x in numbers)

        with mock.patch.object(make, "scalars", scalars):
            assert any(map(deviates, cases)), (
                f"{make.__name__}: its number {i} may be wrong by 0.1 %"
            )
    COUNTS["wrong numbers of optimisers found"] += count


def deviates(case):
    try:
        test_optim.test_five_steps_follow_the_formula(*case, test_optim.np.float64, 1e-12)
    except AssertionError:
        return True
    return False
