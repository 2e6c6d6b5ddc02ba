"""How kernels are compiled: the same numbers without a compiler and with any number of threads, and
the disk cache.
"""

import ast
import gc
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numba
import numpy as np
import pytest

import minigrad as mg
from minigrad.kernels import jit

STEP = textwrap.dedent("""
    import numpy as np, minigrad as mg
    r = np.random.default_rng(0)
    x = mg.Variable(r.normal(size=(3, 2, 5, 6)))
    w, b = mg.Variable(r.normal(size=(4, 2, 2, 3))), mg.Variable(r.normal(size=4))
    h = mg.avg_pool2d(mg.max_pool2d(mg.conv2d(x, w, b, padding=1), 2), 2)
    steps = mg.embedding([[0, 1, 0]], h.reshape(3, -1))
    n = steps.shape[-1]
    v, u = mg.Variable(r.normal(size=(3, n)) / n), mg.Variable(r.normal(size=(3, 3)))
    y = mg.rnn(steps, np.zeros((3, 3)), v, u, np.zeros(3), np.zeros(3))
    loss = mg.cross_entropy(y[-1], [0, 2, 1])
    loss.backward()
    numbers = np.concatenate([loss.value.ravel(), *(p.grad.ravel() for p in (x, w, b, v, u))])
""")


def numbers(**environment):
    code = STEP + "print(*map(float, numbers))"
    env = {**os.environ, **environment}
    output = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, encoding="utf-8", check=True
    ).stdout
    return np.array(output.split(), float)


def test_without_the_compiler():
    scope = {}
    exec(STEP, scope)
    np.testing.assert_allclose(
        numbers(NUMBA_DISABLE_JIT="1"), scope["numbers"], rtol=1e-4, atol=1e-6
    )


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="one thread only")
def test_number_of_threads():
    """To rounding: weight gradients are summed per thread. With the same number of threads, to the
    bit.
    """
    results, before = [], numba.get_num_threads()
    try:
        for threads in (1, 2, 2):
            numba.set_num_threads(threads)
            scope = {}
            exec(STEP, scope)
            results.append(scope["numbers"])
    finally:
        numba.set_num_threads(before)
    np.testing.assert_allclose(results[0], results[1], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(results[1], results[2])


@jit.jit
def formulas(x, y, out):
    one = x.dtype.type(1)
    for i in range(x.size):
        out[0, i] = one / x[i]
        out[1, i] = y[i] / x[i]
        out[2, i] = one / np.sqrt(x[i])
        out[3, i] = y[i] / np.sqrt(x[i])
        out[4, i] = x[i] / np.sqrt(x[i])
        out[5, i] = x[i] - (x[i] - y[i])
        out[6, i] = y[i] / x[0]
        out[7, i] = np.log(np.exp(x[i]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("times", [1, 40])  # one by one, and in vectors
def test_formulas_keep_nan_infinity_and_subnormal_numbers(dtype, times):
    """A compiler that may reassociate, or take reciprocals, gets 1 / √0 and ∞ - (∞ - y) wrong."""
    edges = [0.0, 1e-39, np.inf, 3e38, np.nan, -1.0, -1e-39, 0.3, -np.inf, 2.0, 1e-45, 120.0]
    y, first = np.tile(np.roll(np.array(edges, dtype), 5), times), [1e-39, 0.0, np.inf, 3e38]
    for x0 in first:  # what a whole loop is divided by
        x = np.tile(np.array(edges, dtype), times)
        x[0] = x0
        found, expected = np.full((8, x.size), 666, dtype), np.empty((8, x.size), dtype)
        formulas(x, y, found)
        with np.errstate(all="ignore"):
            formulas.py_func(x, y, expected)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-7)


@jit.jit(reassociate=True)
def total(x):
    s = x.dtype.type(0)
    for i in range(x.size):
        s += x[i]
    return s


def test_sums_in_any_order_keep_nan_and_infinity():
    x = np.linspace(0, 1, 1000)
    assert total(x) == pytest.approx(x.sum(), rel=1e-12)
    for odd in (np.inf, np.nan):
        x[500] = odd
        np.testing.assert_equal(total(x), odd)


def test_shards_cover_everything_once():
    for items in range(9):
        for shards in range(1, 5):
            cuts = [jit.shard(s, shards, items) for s in range(shards)]
            assert [i for lo, hi in cuts for i in range(lo, hi)] == list(range(items))
    assert jit.threads(0) == 1


def test_cache_that_cannot_be_written(tmp_path):
    """A folder that is a file: kernels compile all the same."""
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    code = "import numpy as np, minigrad as mg; print(mg.embedding([1], np.eye(2)).value.tolist())"
    env = {**os.environ, "NUMBA_CACHE_DIR": str(blocked)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, encoding="utf-8"
    )
    assert done.stdout.strip() == "[[0.0, 1.0]]", done.stderr


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_views_of_any_kind_reach_the_kernels_as_they_expect():
    """One compiled version per dtype: no layout of the user's arrays asks for another."""
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype(np.float32)
    mg.max_pool2d(x.transpose(0, 3, 1, 2), 2)
    count = len(mg.max_pool2d(x, 2).rule.forward.__globals__["kernels"].pool.max_forward.signatures)
    for view in (x[::-1], x[:, ::2], np.broadcast_to(x[:1], x.shape), np.asfortranarray(x)):
        mg.max_pool2d(view, 2)
    assert (
        len(mg.max_pool2d(x, 2).rule.forward.__globals__["kernels"].pool.max_forward.signatures)
        == count
    )


LIBRARY = """
import numpy as np
from minigrad.kernels.jit import compiled_separately, jit

@compiled_separately
def double(a):
    for i in range(a.size):
        a[i] *= 2

@compiled_separately
def more(a, times):
    for _ in range(times):
        double(a)
    return a.size

@jit
def inlined(a, times):
    return more(a, times) + 1

@jit
def outer(a, times):
    return inlined(a, times)
"""


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_what_a_kernel_calls_by_symbol_is_there_when_it_is_loaded(tmp_path, dtype):
    """Compiled in one process and loaded in the next, through a kernel that was compiled into its
    caller.
    """
    (tmp_path / "library.py").write_text(LIBRARY, encoding="utf-8")
    code = (
        f"import numpy as np, library; a = np.ones(3, {dtype!r}); print(library.outer(a, 3), "
        f"a.tolist(), "
        "sum(library.outer.stats.cache_hits.values()))"
    )
    env = {
        **os.environ,
        "NUMBA_CACHE_DIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
    }
    for hits in (0, 1):
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, encoding="utf-8"
        )
        assert done.stdout.split() == ["4", "[8.0,", "8.0,", "8.0]", str(hits)], done.stderr


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_whole_numbers_of_all_kinds_call_one_function():
    def grown(a, by):
        a[0] += by

    made = jit.jit(grown)
    kernel = jit.compiled_separately(made)

    @jit.jit
    def call(a, small):
        kernel(a, small)
        kernel(a, 3)
        kernel(a, np.uint64(4))
        return a[0]

    assert call(np.ones(1), np.int32(2)) == 10
    assert len(made.signatures) == 1


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_garbage_is_looked_for_less_often_while_compiling_and_as_usual_after_it():
    class Watch(numba.core.event.Listener):
        seen = ()

        def on_start(self, event):
            self.seen += (gc.get_threshold(),)

        def on_end(self, event):
            pass

    usual, watch = gc.get_threshold(), Watch()
    inner = jit.jit(lambda a: a + 1)
    with numba.core.event.install_listener("numba:compile", watch):
        assert jit.jit(lambda a: inner(a))(2) == 3
        with pytest.raises(numba.TypingError):
            jit.jit(lambda a: a.nothing)(2)
    assert set(watch.seen) == {
        tuple(100 * n for n in usual)
    }  # what has been compiled before may come from the disk
    assert gc.get_threshold() == usual


# ---------------- threads, processes and Ctrl-C
def script(name, *arguments, **environment):
    """What a script beside this file prints."""
    command = [sys.executable, str(Path(__file__).with_name(name)), *arguments]
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing has threads")
@pytest.mark.parametrize(
    ("layer", "ways"),
    [("workqueue", ("first", "threading", "fork")), ("omp", ("multiprocessing", "fork"))],
)
def test_trainings_in_threads_and_forked_processes_have_the_numbers_of_trainings_in_turn(
    layer, ways
):
    assert script("trainings.py", *ways, NUMBA_THREADING_LAYER=layer) == f"{layer} the same numbers"


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_ctrl_c_at_any_step_of_compiling_is_heard_and_the_next_attempt_works(tmp_path):
    counts = ast.literal_eval(script("interrupted.py", NUMBA_CACHE_DIR=str(tmp_path)))
    assert counts.pop("import") == 1
    assert min(counts.values()) >= 5 and sum(counts.values()) >= 20
