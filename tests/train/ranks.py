"""Run as a script by `test_distributed.py`, under `mpiexec -n 2 python ranks.py FOLDER CASE …`.

Each rank writes what its cases return to FOLDER/rank.json; they may write files to FOLDER, too.
"""

import contextlib
import io
import json
import os
import signal
import sys
from functools import partial
from pathlib import Path

import numpy as np

import minigrad as mg
from minigrad import nn

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(23, 4)), RNG.integers(0, 3, 23)
IDS = RNG.integers(0, 9, (23, 4))
FIT = {"epochs": 2, "seed": 3, "progress": False}
ADAM = partial(mg.optim.Adam, lr=0.01)
CLIPPED = partial(mg.optim.SGD, lr=0.5, momentum=0.9, max_grad_norm=0.5)


def dense():
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))


def words():
    """Each rank looks up other rows of the table; one parameter has no gradient."""
    model = nn.Sequential(nn.Embedding(9, 3), nn.Flatten(), nn.Linear(12, 3))
    model[2].bias.requires_grad = False
    return model


def normed():
    return nn.Sequential(
        nn.BatchNorm1d(4), nn.Linear(4, 6), nn.Tanh(), nn.Dropout(0.3, seed=5), nn.Linear(6, 3)
    )


def trainer(
    make=dense, loss=mg.cross_entropy, optimizer=ADAM, mode="replay", distributed=True, callbacks=()
):
    with mg.default_dtype("float64"):
        mg.manual_seed(0)
        model = make()
    return mg.Trainer(
        model,
        loss,
        optimizer(model.parameters()),
        mode=mode,
        distributed=distributed,
        callbacks=callbacks,
    )


def told(made, *histories):
    """The numbers of a training, as JSON that is equal only if they are equal to the bit."""
    state = {
        name: array.ravel().tolist()
        for name, array in made.state_dict().items()
        if not name.startswith("buffers.")
    }
    names = ("batch_loss", "epoch_loss", "validation_loss", "accuracy")
    return {
        **state,
        **{name: [x for history in histories for x in getattr(history, name)] for name in names},
    }


def fitted(x, y, batch_size, **options):
    made = trainer(**options)
    return told(made, made.fit(x, y, batch_size=batch_size, validation=(x[:9], y[:9]), **FIT))


# ---------------- the same on any number of ranks
def steps(folder, distributed=True):
    maps = [np.load(folder.parent / name, mmap_mode="r") for name in ("x.npy", "y.npy")]
    one = {"distributed": distributed}
    return {
        "a last batch of 3": fitted(X, Y, 5, optimizer=CLIPPED, **one),
        "a last batch of 1": fitted(X[:21], Y[:21], 5, **one),
        "one batch": fitted(X, Y, 23, mode="eager", **one),
        "rows of a table": fitted(IDS, Y, 4, make=words, **one),
        "compiled": fitted(
            IDS[:21], Y[:21], 5, make=words, mode="compiled", optimizer=CLIPPED, **one
        ),
        "memory maps": fitted(*maps, 5, **one),
    }


def steps_of_one(folder):
    return steps(folder, distributed=False)


# ---------------- what each rank does for itself
def shares(folder):
    """Batch norm, dropout and a random seed, on each rank."""
    masks, made = [], trainer(normed)

    def look(node, value):
        if made.model.training:
            masks.append(np.flatnonzero(value == 0).tolist())

    made.model[3].register_forward_hook(look)
    bars = io.StringIO()
    with contextlib.redirect_stderr(bars):
        history = made.fit(X[:21], Y[:21], batch_size=7, epochs=1, shuffle=False, seed=3)
    statistics = [
        made.model[0].running_mean.value.tolist(),
        made.model[0].running_var.value.tolist(),
    ]
    chance = trainer()
    lost = chance.fit(X, Y, batch_size=7, epochs=1, progress=False, seed=None)
    return {
        "masks": masks,
        "statistics": statistics,
        "bars": bars.getvalue(),
        "history": told(made, history),
        "evaluate": made.evaluate(X, Y),
        "no seed": told(chance, lost),
    }


def modes(folder):
    """Batch norm and dropout."""
    return [fitted(X[:18], Y[:18], 6, make=normed, mode=mode) for mode in ("replay", "compiled")]


def refused(folder):
    """The errors that all ranks raise; each leaves the trainer unchanged."""
    made = trainer()
    before, rank = told(made), made.ranks.rank
    last = rank == made.ranks.size - 1
    fit = {"batch_size": 8, **FIT}
    batches = [(X, Y)]

    def summed(output, target):
        return mg.cross_entropy(output, target) * output.shape[0]

    calls = {
        "iterable": lambda: made.fit(batches, epochs=1),
        "iterable on one": lambda: made.fit(batches, **FIT) if last else made.fit(X, Y, **fit),
        "few": lambda: made.fit(X, Y, **{**fit, "batch_size": made.ranks.size - 1}),
        "seed": lambda: made.fit(X, Y, **{**fit, "seed": 3 + last}),
        "data": lambda: made.fit(X[last:], Y[last:], **{**fit, "epochs": 2 + last}),
        "resume": lambda: made.fit(X, Y, **fit, resume=last),
        "optimizer": lambda: trainer(optimizer=CLIPPED if last else ADAM).fit(X, Y, **fit),
        "sum": lambda: trainer(loss=summed).fit(X, Y, **fit),
    }
    said = {}
    for name, call in calls.items():
        try:
            call()
        except Exception as error:
            said[name] = f"{type(error).__name__}: {error}"
    assert told(made) == before
    return said


# ---------------- Ctrl-C and resuming
def interrupted(folder):
    """Ctrl-C reaches the last rank alone, within an epoch and after the last step."""
    done = []

    def press(made, history):
        if made.ranks.rank == made.ranks.size - 1 and made.state.epoch == 4:
            signal.raise_signal(signal.SIGINT)

    class Press:
        def on_batch(self, made, graph):
            done.append(1)
            if made.ranks.rank == made.ranks.size - 1 and len(done) == 4:
                signal.raise_signal(signal.SIGINT)

    whole, cut = trainer(normed), trainer(normed, callbacks=[Press(), press])
    fit = {"batch_size": 8, "seed": 3, "progress": False, "epochs": 4}
    expected = whole.fit(X, Y, **fit)
    parts = [cut.fit(X, Y, **fit)]
    parts.append(cut.fit(X, Y, resume=True, **fit))
    return {
        "steps": [len(part.batch_loss) for part in parts],
        "interrupted": [part.interrupted for part in parts],
        "same": told(whole, expected) == told(cut, *parts),
    }


def endless(folder):
    """Save after each epoch until one of the ranks is killed."""
    made = trainer(
        normed,
        callbacks=[
            lambda trained, history: mg.save(trained, folder / f"{made.ranks.rank}.safetensors")
        ],
    )
    (folder / f"{made.ranks.rank}.pid").write_text(str(os.getpid()), encoding="utf-8")
    made.fit(X, Y, batch_size=8, epochs=10**6, seed=3, progress=False)


def resumed(folder):
    whole, again = trainer(normed), trainer(normed)
    mg.load(again, folder / "0.safetensors")
    begun = again.state.epoch
    fit = {"batch_size": 8, "seed": 3, "progress": False, "epochs": begun + 2}
    expected, rest = whole.fit(X, Y, **fit), again.fit(X, Y, resume=True, **fit)
    return {
        "begun": begun,
        "rest": told(again, rest),
        "expected": told(whole, expected),
        "left": sorted(path.name for path in folder.glob("*.safetensors")),
    }


# ---------------- the end of a job
class Fails:
    """An exception in the fourth step of the last rank."""

    def __init__(self, error):
        self.error, self.left = error, 4

    def on_batch(self, made, graph):
        self.left -= 1
        if not self.left and made.ranks.rank == made.ranks.size - 1:
            raise self.error


def error(folder):
    trainer(callbacks=[Fails(ArithmeticError("no more"))]).fit(X, Y, batch_size=8, **FIT)


def ctrl_c(folder):
    """The error of a second Ctrl-C, which does not wait."""
    trainer(callbacks=[Fails(KeyboardInterrupt())]).fit(X, Y, batch_size=8, **FIT)


def outside(folder):
    made = trainer()
    if made.ranks.rank == made.ranks.size - 1:
        raise ArithmeticError("no more")
    made.fit(X, Y, batch_size=8, **FIT)


def main(folder, *cases):
    from mpi4py import MPI

    found = {case: globals()[case](folder) for case in cases}
    (folder / f"{MPI.COMM_WORLD.rank}.json").write_text(
        json.dumps({"size": MPI.COMM_WORLD.size, **found}), encoding="utf-8"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
