"""Kernels without the room `simd`: chosen with MINIGRAD_SIMD=0, or because it does not start."""

import os
import subprocess
import sys
import textwrap

import numba
import numpy as np
import pytest

from minigrad.kernels import simd

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")

#: a few training steps in each mode
TRAINING = textwrap.dedent("""
    import numpy as np, sys, warnings
    {before}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        import minigrad as mg
        from minigrad import nn
        from minigrad.kernels import simd
    r = np.random.default_rng(0)
    x, y = r.normal(size=(24, 2, 5, 6)).astype(np.float32), r.integers(0, 3, 24)
    losses = []
    for mode in {modes}:
        mg.manual_seed(0)
        model = {model}
        optimizer = mg.optim.Adam(model.parameters(), lr=1e-2)
        trainer = mg.Trainer(model, mg.cross_entropy, optimizer, mode=mode)
        losses += trainer.fit(x, y, epochs=2, batch_size=8, progress=False).batch_loss
    prefix = "minigrad.kernels.simd."
    print(simd.ON, sorted(name for name in sys.modules if name.startswith(prefix)))
    print(*losses)
    for warning in caught:
        print(warning.message)
""")
LINEAR = "nn.Sequential(nn.Flatten(), nn.Linear(60, 3))"
LAYERS = "nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Flatten()"
CNN = f"nn.Sequential({LAYERS}, nn.Linear(16, 3))"


def trained(model, modes, before="", **environment):
    """Whether the room is on, which of its modules were loaded, the losses, and warnings."""
    done = subprocess.run(
        [sys.executable, "-c", TRAINING.format(before=before, model=model, modes=modes)],
        env={**os.environ, **environment},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    state, losses, *warnings = done.stdout.splitlines()
    on, _, modules = state.partition(" ")
    return on == "True", modules, np.array(losses.split(), float), warnings


@pytest.mark.parametrize("mode", ["eager", "replay", "compiled"])
def test_plain_kernels_compute_the_same_with_nothing_undocumented(mode):
    on, _, expected, warnings = trained(CNN, [mode], MINIGRAD_SIMD="1")
    assert on and not warnings
    for _ in range(2):  # compiled, and then from the disk
        on, modules, found, warnings = trained(CNN, [mode], MINIGRAD_SIMD="0")
        assert not on and modules == "['minigrad.kernels.simd.plain']" and not warnings
        np.testing.assert_allclose(found, expected, rtol=1e-4)


BROKEN = {
    "ImportError": "import numba.core.caching as m; del m.CompileResultCacheImpl",
    "AttributeError": "import llvmlite.ir as m; del m.IRBuilder.shuffle_vector",
    "TypingError": """
import numba.extending as m
plain = m.intrinsic
def refusing(function):
    return plain(function) if function.__name__ == "call" else plain(lambda context, *args: None)
m.intrinsic = refusing
""",
}


@pytest.mark.parametrize("error", BROKEN)
def test_where_the_internals_of_numba_have_changed_plain_kernels_run_after_one_warning(
    error, tmp_path
):
    on, _, expected, _ = trained(LINEAR, ["replay"], MINIGRAD_SIMD="0")
    on, _, found, warnings = trained(
        LINEAR, ["replay"], BROKEN[error], MINIGRAD_SIMD="1", NUMBA_CACHE_DIR=str(tmp_path)
    )
    assert not on and len(warnings) == 1
    assert "plain kernels run instead" in warnings[0] and error in warnings[0]
    np.testing.assert_array_equal(found, expected)


def test_the_trial_notices_wrong_numbers(monkeypatch):
    if not simd.ON:
        pytest.skip("there is no machine code")
    from minigrad.kernels.simd import machine, trial

    trial.trial(machine)
    idle = numba.extending.register_jitable(lambda goal, g0, source, s0, count: None)
    monkeypatch.setattr(machine, "add_row", idle)
    with pytest.raises(ArithmeticError):
        trial.trial(machine)
