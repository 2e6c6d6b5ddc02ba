"""Run as a script by `test_jit.py`, with an empty cache: Ctrl-C at every step of compiling, each
time tried again.
"""

import builtins
import itertools
import signal

import numpy as np

import minigrad as mg
from minigrad import nn

moments = set()  # (what is going on, in which function): each is interrupted once
KINDS = "compile", "_object_compiled_hook", "_object_getbuffer_hook"
armed = ["import"]  # what is to be interrupted next


def interrupt(kind, function):
    """Ctrl-C at this moment, once in each attempt."""
    if kind in armed and (kind, function) not in moments:
        armed.clear()
        moments.add((kind, function))
        signal.raise_signal(signal.SIGINT)


def interrupted_import(name, *args, plain=builtins.__import__, **options):
    if name == "numba.core":  # Numba is half loaded
        builtins.__import__ = plain
        interrupt("import", name)
    return plain(name, *args, **options)


def interrupt_compiling():
    """Wherever LLVM calls back with machine code or for it, and where compiling a function
    begins.
    """
    from numba.core import event
    from numba.core.registry import cpu_target

    class Begins(event.Listener):
        def on_start(self, event):
            interrupt("compile", event.data["dispatcher"].py_func.__name__)

        def on_end(self, event):
            pass

    def interrupted(name, plain):
        def hook(module, *args):
            interrupt(name, module.name)
            return plain(module, *args)

        return hook

    event.register("numba:compile", Begins())
    codegen = cpu_target.target_context.codegen()
    codegen._engine.set_object_cache(
        *(interrupted(name, getattr(codegen._library_class, name)) for name in KINDS[1:])
    )


def eager():
    """Kernels compile at their first use. Returns numbers, or None where Ctrl-C was heard."""
    x, w = (
        mg.Variable(np.linspace(-1, 1, 72).reshape(1, 2, 6, 6)),
        mg.Variable(np.linspace(-1, 2, 16).reshape(2, 2, 2, 2)),
    )
    try:
        loss = mg.sum(mg.max_pool2d(mg.conv2d(x, w), 2) ** 2)
        loss.backward()
    except KeyboardInterrupt:
        return None
    return [loss.item(), *w.grad.ravel().tolist()]


def trained(mode):
    model = nn.Sequential(nn.Linear(3, 5, seed=0), nn.Tanh(), nn.Linear(5, 3, seed=1))
    trainer, x = (
        mg.Trainer(model, mg.mse_loss, mg.optim.Adam(model.parameters()), mode=mode),
        np.eye(12, 3),
    )
    history = trainer.fit(x, x**2, epochs=2, batch_size=4, progress=False)
    return None if history.interrupted else history.batch_loss


def until_done(attempt):
    """The result of an attempt in which there was nothing left to interrupt."""
    for kind in itertools.islice(itertools.cycle(KINDS), 300):
        armed[:] = [kind]
        found = attempt()
        interrupted = not armed
        assert (found is None) == interrupted, f"{sorted(moments)}: {found}"
        if found is not None and kind == KINDS[-1]:
            return found
    raise AssertionError("no end")


def main():
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # shells ignore it for what runs in the background
    builtins.__import__ = interrupted_import
    assert eager() is None
    interrupt_compiling()
    numbers = until_done(eager)
    losses = until_done(lambda: trained("compiled"))
    armed.clear()
    np.testing.assert_array_equal(numbers, eager())
    np.testing.assert_allclose(losses, trained("replay"), rtol=1e-5)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    print({kind: sum(each == kind for each, _ in moments) for kind in ("import", *KINDS)})


if __name__ == "__main__":
    main()
