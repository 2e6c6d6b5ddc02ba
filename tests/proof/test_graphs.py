"""Random graphs of several hundred nodes: eager, replayed and compiled, their values and gradients
are those of JAX.
"""

import os

import numpy as np
from generated_source import in_python, nothing
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from oracle import assert_close
from proof.generate import drawn
from proof.grown import ROWS, Grown
from proof.mutants import generated
from proof.tally import COUNTS

import minigrad as mg
from minigrad.graph.settings import state_kept
from minigrad.run.compiled import CompiledStep

GRAPHS = int(os.environ.get("MINIGRAD_GRAPHS", "3"))
STEPS = 60
CASES = st.sampled_from(ROWS).flatmap(lambda row: drawn(row, ("C",), ("float64",)))


def close(found, expected):
    """Rounding differs and grows on a long way."""
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8 * scale)


def compiled(grown, loss):
    with mg.default_dtype(np.float64), state_kept():
        return CompiledStep(
            mg.topological_sort(loss), nothing(), mg.optim.SGD(grown.leaves, lr=1.0), 1
        )


class Graphs(RuleBasedStateMachine):
    """Each step applies an operator to what is there; at the end all ways to run the graph must
    agree.
    """

    @initialize(seed=st.integers(0, 2**16))
    def begin(self, seed):
        self.grown = Grown(seed)

    @rule(case=CASES)
    def apply(self, case):
        self.grown.apply(case)

    @rule(shape=st.sampled_from([(), (2,), (1, 3), (2, 2, 1)]))
    def another_leaf(self, shape):
        self.grown.leaf(shape)

    def teardown(self):
        grown, loss = self.grown, self.grown.loss()
        reference = grown.reference()
        self.eager(loss, *reference([x.value.copy() for x in grown.leaves]))
        self.in_compiled_mode(loss)
        for x in grown.leaves:
            x.value = grown.rng.normal(size=x.shape)
        self.replayed(loss, *reference([x.value.copy() for x in grown.leaves]))
        COUNTS["random graphs"] += 1
        COUNTS["nodes in them"] += len(mg.topological_sort(loss))

    def eager(self, loss, values, grads):
        loss.backward()
        self.compare(values, grads)

    def compare(self, values, grads):
        for node, value in zip(self.grown.nodes, values, strict=True):
            close(node.value, value)
        for x, grad in zip(self.grown.leaves, grads, strict=True):
            close(x.grad, grad)

    def replayed(self, loss, values, grads):
        """With other numbers in the leaves; twice, which gives the same bits."""
        graph, seen = mg.Graph(loss), []
        for _ in range(2):
            with state_kept():  # dropout draws its last mask again
                graph.zero_grad()
                graph.forward()
                graph.backward()
            self.compare(values, grads)
            seen.append([x.grad.copy() for x in self.grown.leaves])
        for one, other in zip(*seen, strict=True):
            np.testing.assert_array_equal(one, other)

    def in_compiled_mode(self, loss):
        grads = [x.grad.copy() for x in self.grown.leaves]
        with np.errstate(all="ignore"):
            found, gradient = in_python(compiled(self.grown, loss))
        close(found, loss.value)
        for x, grad in zip(self.grown.leaves, grads, strict=True):
            close(gradient(x), grad)


def test_random_graphs():
    run_state_machine_as_test(
        Graphs,
        settings=settings(
            max_examples=GRAPHS,
            stateful_step_count=STEPS,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        ),
    )


def test_machine_code_of_a_random_graph():
    """A small one, for compiling takes seconds. The step subtracts the gradient, and so shows
    it.
    """
    grown = Grown(1)
    pool = [
        case
        for name in ("multiply", "sigmoid", "softmax", "matmul", "sum", "transpose")
        for case in generated(name)
    ]
    for i in grown.rng.choice(len(pool), 7, replace=False):
        grown.apply(pool[i])
    loss = grown.loss()
    loss.backward()
    step, before, losses = (
        compiled(grown, loss),
        [x.value.copy() for x in grown.leaves],
        np.zeros(1),
    )
    grads = [x.grad.copy() for x in grown.leaves]
    assert step.run(np.zeros((1, 1)), np.zeros((1, 1)), np.arange(1), losses) == 1
    assert_close(losses[0], loss.value)
    for x, old, grad in zip(grown.leaves, before, grads, strict=True):
        close(old - x.value, grad)
