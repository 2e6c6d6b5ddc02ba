"""Machine code is found by a fingerprint of the function: a change in anything that it reads is
noticed, in one process and on disk.
"""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from minigrad.run.fingerprint import fingerprint


def made(source, **given):
    space = dict(given)
    exec(textwrap.dedent(source), space)
    return space["f"]


CALLS = "def f(p): p -= g(p)"
CLOSURE = "def h(a):\n    def f(p): p -= a\n    return f\n"
PLAIN = "def f(p, g):\n    p -= g"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (made(PLAIN), made(PLAIN.replace("-=", "+="))),
        (made("def f(p): p -= 2"), made("def f(p): p -= 3")),
        (made("def f(p): p -= A", A=2), made("def f(p): p -= A", A=3)),
        (made("def f(p): p -= A[0]", A=np.ones(2)), made("def f(p): p -= A[0]", A=np.zeros(2))),
        (made(CALLS, g=made("def f(p): return 2 * p")), made(CALLS, g=made("def f(p): return p"))),
        (made("def f(p, a=1): p -= a"), made("def f(p, a=2): p -= a")),
        (made("def f(p, *, a=1): p -= a"), made("def f(p, *, a=2): p -= a")),
        (made(CLOSURE + "f = h(1)"), made(CLOSURE + "f = h(2)")),
        (
            made("def f(p): p[:] = [A * x for x in p]", A=2),
            made("def f(p): p[:] = [A * x for x in p]", A=3),
        ),
        (made("def f(p): p -= h.x", h=np), made("def f(p): p -= h.x", h=os)),
    ],
    ids=range(10),
)
def test_different_functions_have_different_fingerprints(one, other):
    assert fingerprint(one) != fingerprint(other) and fingerprint(one) == fingerprint(one)


def test_the_place_of_a_function_does_not_matter():
    assert fingerprint(made(PLAIN)) == fingerprint(made("\n\n# a comment\n" + PLAIN))


def test_mutually_recursive_functions_have_a_fingerprint():
    space = {}
    exec("def f(n): return g(n)\ndef g(n): return f(n)", space)
    assert len(fingerprint(space["f"])) == 16


STEP = """
import importlib, sys
import numpy as np
import minigrad as mg
from minigrad import nn
import their_kernels

class Own(mg.optim.SGD):
    @property
    def kernel(self):
        return their_kernels.update

def weight(mode):
    model = nn.Linear(2, 1, seed=0)
    t = mg.Trainer(model, mg.mse_loss, Own(model.parameters(), lr=0.1), mode=mode)
    t.fit(np.ones((4, 2)), np.zeros((4, 1)), epochs=1, batch_size=4, progress=False)
    return model.weight.value.sum()
"""


@pytest.mark.parametrize("change", ["global", "body", "helper"])
def test_a_changed_kernel_is_recompiled(change, tmp_path):
    """In one process, where the module is loaded again, and in the next one, which finds machine
    code on the disk.
    """
    source = """
from numba import njit
FACTOR = 1.0

@njit
def helper(x):
    return x

@njit
def update(p, g, lr, decay):
    for i in range(p.size):
        p[i] -= lr * FACTOR * helper(g[i])
"""
    changed = {
        "global": source.replace("FACTOR = 1.0", "FACTOR = 2.0"),
        "helper": source.replace("return x", "return 2 * x"),
        "body": source.replace("p[i] -=", "p[i] -= 2.0 *"),
    }[change]
    (tmp_path / "their_kernels.py").write_text(source, encoding="utf-8")
    (tmp_path / "changed.txt").write_text(changed, encoding="utf-8")
    script = STEP + textwrap.dedent("""
        import pathlib
        print(weight("replay"), weight("compiled"))
        here = pathlib.Path(their_kernels.__file__)
        here.write_text(here.with_name("changed.txt").read_text(encoding="utf-8"))
        importlib.reload(their_kernels)
        print(weight("replay"), weight("compiled"))
    """)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    told = []
    for code in (script, STEP + 'print(weight("replay"), weight("compiled"))'):
        command = [sys.executable, "-c", code]
        done = subprocess.run(
            command, env=environment, capture_output=True, encoding="utf-8", check=True
        )
        told += [tuple(map(float, line.split())) for line in done.stdout.splitlines()]
    first, second, third = told
    for pair in told:
        assert pair[0] == pytest.approx(pair[1], rel=1e-5)
    assert second == third and abs(first[0] - second[0]) > 0.01
