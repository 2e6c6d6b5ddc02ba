"""Graphs that run again compute what `forward` does: an impure `forward` is refused with a reason,
and changes in between take effect.
"""

import random
import threading

import numpy as np
import pytest

import minigrad as mg
from minigrad import GraphError, nn
from minigrad.run.rebuild import READER
from minigrad.train.runner import StepRunner

rng = np.random.default_rng(0)
X = rng.normal(size=(24, 3)).astype(np.float32)
Y = rng.normal(size=(24, 2)).astype(np.float32)
MODES = ("eager", "replay", "compiled")


class Applied(nn.Module):
    """A dense layer applied to a function of the input; the function may use `count`."""

    def __init__(self, function):
        self.function, self.dense, self.count = function, nn.Linear(3, 2, seed=0), 0
        self.generator, self.table, self.seen = np.random.default_rng(1), None, []

    def forward(self, x):
        return self.dense(self.function(self, x))


def trainer(model, mode="compiled", loss=mg.mse_loss, lr=0.1):
    return mg.Trainer(model, loss, mg.optim.SGD(model.parameters(), lr=lr), mode=mode)


def fit(t, epochs=1, x=X, y=Y, **options):
    return t.fit(
        x, y, **{"epochs": epochs, "batch_size": 6, "progress": False, "shuffle": False, **options}
    )


# ---------------- numbers that Python reads
def without_gradient(x):
    with mg.no_grad():
        return mg.mean(x) * 2


READS = {
    "value": lambda m, x: mg.Constant(np.sort(x.value, axis=0)),
    "item": lambda m, x: x * mg.mean(x).item(),
    "float": lambda m, x: x * float(mg.mean(x)),
    "int": lambda m, x: x * int(mg.sum(x)),
    "asarray": lambda m, x: x * np.asarray(x).mean(),
    "if": lambda m, x: x if mg.mean(x) < 0.1 else 2 * x,
    "parameter": lambda m, x: x / np.abs(m.dense.weight.value).max(),
    "no_grad": lambda m, x: x * without_gradient(x).item(),
    "grad": lambda m, x: x * mg.grad(mg.sum(x * m.dense.weight[0]), m.dense.weight)[0],
    "jvp": lambda m, x: x * mg.jvp(lambda z: mg.sum(z * z), [x], [np.ones(x.shape)])[1],
    "jacobian": lambda m, x: x * mg.jacobian(lambda z: mg.sum(z * z), x),
    "through_float": lambda m, x: x * __import__("math").sin(mg.mean(x)),
}


@pytest.mark.parametrize("mode", ["replay", "compiled"])
@pytest.mark.parametrize("name", READS)
def test_reading_a_number_that_changes_is_refused_with_the_line_and_the_way_out(name, mode):
    model = Applied(READS[name])
    before = model.state_dict()
    with pytest.raises(
        GraphError, match=r"is read as a number while .*mg\.where.*mode=\"eager\""
    ) as caught:
        fit(trainer(model, mode))
    notes = "\n".join(caught.value.__notes__)
    assert "in your line" in notes and "test_rebuilt.py" in notes and "in module Applied" in notes
    assert all((model.state_dict()[key] == array).all() for key, array in before.items())
    if name == "parameter":  # which does not change while the model predicts
        assert trainer(model, mode).predict(X).shape == (24, 2)
        return
    with pytest.raises(GraphError, match="is read as a number"):
        trainer(model, mode).predict(X)


@pytest.mark.parametrize("name", READS)
def test_eager_mode_may_read_any_number(name):
    assert len(fit(trainer(Applied(READS[name]), "eager")).batch_loss) == 4


def test_numbers_that_stay_may_be_read():
    half = mg.Constant(0.5, name="half")

    def scaled(m, x):
        fixed = (half * 2).item() + len(x) + x.shape[1] + float(mg.Constant(2.0))
        return x * fixed * half.value

    losses = [fit(trainer(Applied(scaled), mode)).batch_loss for mode in MODES]
    np.testing.assert_allclose(losses[1:], [losses[0]] * 2, rtol=1e-5)


@pytest.mark.parametrize("mode", ["replay", "compiled"])
def test_values_without_gradient_are_recomputed_for_each_batch(mode):
    """A teacher network, a running mean: `no_grad` stops gradients, not the flow of values."""
    function = lambda m, x: x * without_gradient(x)  # noqa: E731
    found, expected = (
        fit(trainer(Applied(function), each), 2).batch_loss for each in (mode, "eager")
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_hooks_may_read_numbers_and_are_not_called_for_the_comparison():
    seen = {}
    for mode in ("eager", "replay"):
        model, seen[mode] = nn.Sequential(nn.Linear(3, 2, seed=0)), []
        model.register_forward_hook(
            lambda node, value, mode=mode: seen[mode].append((node.value.sum(), value.shape))
        )
        fit(trainer(model, mode), 2)
    assert len(seen["replay"]) == 8
    np.testing.assert_allclose(*([s for s, _ in seen[mode]] for mode in seen), rtol=1e-4)


# ---------------- impure without reading numbers
def counted(m, x):
    m.count += 1
    return x * m.count


def counted_for_later(m, x):
    m.count += 1
    return x if m.count < 1000 else 0 * x


def remembered(m, x):
    m.seen.append(len(m.seen))
    return x


IMPURE = {
    "np.random": (lambda m, x: x + np.random.normal(size=3), "Constant"),
    "np.random that rarely matters": (
        lambda m, x: x if np.random.rand() < 0.999 else -x,
        "np.random",
    ),
    "random": (lambda m, x: x * random.random(), "Constant"),
    "random that rarely matters": (lambda m, x: x if random.random() < 0.999 else -x, "random"),
    "a generator": (lambda m, x: x * m.generator.random(), "Constant"),
    "a generator that rarely matters": (
        lambda m, x: x if m.generator.random() < 0.99 else -x,
        "Applied.generator",
    ),
    "a counter": (counted, "Constant.*with the value 1, was .* with the value 2"),
    "a counter that matters later": (counted_for_later, "Applied.count"),
    "a list that grows": (remembered, "Applied.seen"),
    "the arrays behind nodes": (lambda m, x: x * x._data[0], "Constant"),
}


@pytest.mark.parametrize("mode", ["replay", "compiled"])
@pytest.mark.parametrize("name", IMPURE)
def test_an_impure_forward_is_refused(name, mode):
    function, named = IMPURE[name]
    np.random.seed(0)
    model = Applied(function)
    before = model.state_dict()
    with pytest.raises(GraphError, match=rf"Applied.forward .*: .*{named}.*mode=\"eager\""):
        fit(trainer(model, mode))
    assert all((model.state_dict()[key] == array).all() for key, array in before.items())


@pytest.mark.parametrize("name", ["np.random", "a counter", "a counter that matters later"])
@pytest.mark.parametrize("mode", ["replay", "compiled"])
def test_an_impure_forward_is_refused_in_prediction(name, mode, monkeypatch):
    monkeypatch.setattr("minigrad.train.evaluation.EVALUATION_BATCH", 6)
    t = trainer(Applied(IMPURE[name][0]), mode)
    for ask in (lambda: t.predict(X), lambda: t.evaluate(X, Y)):
        with pytest.raises(GraphError, match="does something else when it is called again"):
            ask()
    assert t.predict(X[:6]).shape == (6, 2)  # a single batch is no graph that runs again


def test_an_impure_loss_is_refused():
    with pytest.raises(GraphError, match="with the loss does something else"):
        fit(trainer(nn.Linear(3, 2, seed=0), loss=lambda y, t: mg.mse_loss(y, t) * random.random()))


@pytest.mark.parametrize("mode", MODES)
def test_a_table_that_is_made_at_the_first_call_is_fine(mode):
    def tabled(m, x):
        if m.table is None:
            m.table = np.arange(3.0)
        return x + m.table

    assert len(fit(trainer(Applied(tabled), mode)).batch_loss) == 4


def test_a_users_operator_must_be_pure_to_be_compiled():
    hidden = np.random.default_rng(0)
    noisy = mg.operator(lambda x: x * hidden.random(), lambda g, y, x: g, name="noisy")
    with pytest.raises(GraphError, match="one of the operators noisy does something else"):
        fit(trainer(Applied(lambda m, x: noisy(x))))
    assert (
        len(set(fit(trainer(Applied(lambda m, x: noisy(x)), "replay")).batch_loss)) == 4
    )  # it is called each time


def test_random_numbers_drawn_by_a_loader_are_ignored():
    class Loader:
        def __len__(self):
            return 40

        def __iter__(self):
            for _ in range(40):
                np.random.rand(1000)
                yield X[:6] + np.random.normal(size=(6, 3)), Y[:6]

    assert len(trainer(nn.Linear(3, 2)).fit(Loader(), epochs=2, progress=False).batch_loss) == 80


# ---------------- what happens between two fits
class Net(nn.Module):
    def __init__(self):
        self.first, self.norm = nn.Linear(3, 4, bias=False, seed=0), nn.BatchNorm1d(4)
        self.dropout, self.last = nn.Dropout(0.0, seed=0), nn.Linear(4, 2, seed=1)
        self.scale, self.shift = 1.0, np.zeros(2, np.float32)
        self.fixed = mg.Constant(np.ones(2))

    def forward(self, x):
        h = self.dropout(mg.tanh(self.norm(self.first(x))))
        return self.last(h) * self.scale * self.fixed + self.shift


WEIGHT = mg.Constant(1.0)


def weighted(output, target):
    return mg.mse_loss(output, target) * WEIGHT


def replace(t):
    t.model.last = nn.Linear(4, 2, seed=5)
    t.optimizer = mg.optim.SGD(t.model.parameters(), lr=0.1)


MUTATIONS = {
    "freeze": lambda t: setattr(t.model.first.weight, "requires_grad", False),
    "unfreeze": lambda t: setattr(t.model.first.weight, "requires_grad", True),
    "dropout.p": lambda t: setattr(t.model.dropout, "p", 0.5 - t.model.dropout.p),
    "momentum": lambda t: setattr(t.model.norm, "momentum", 0.7),
    "attribute": lambda t: setattr(t.model, "scale", 3 - t.model.scale),
    "array": lambda t: setattr(t.model, "shift", t.model.shift + 1),
    "array in place": lambda t: t.model.shift.__iadd__(1),
    "layer": replace,
    "optimizer": lambda t: setattr(t, "optimizer", mg.optim.Adam(t.model.parameters(), lr=0.01)),
    "some parameters": lambda t: setattr(
        t, "optimizer", mg.optim.SGD(t.model.last.parameters(), lr=0.1)
    ),
    "loss": lambda t: setattr(t, "loss", mg.mse_loss if t.loss is weighted else weighted),
    "constant": lambda t: setattr(t.model.fixed, "value", t.model.fixed.value * 1.5),
    "constant in the loss": lambda t: setattr(WEIGHT, "value", 2.5 - WEIGHT.value),
    "weights": lambda t: t.model.last.load_state_dict(nn.Linear(4, 2, seed=9).state_dict()),
    "nothing": lambda t: None,
}


def story(mode, mutations, fresh=False):
    """Losses and outputs while changes happen; `fresh` makes a new trainer after each change."""
    WEIGHT.value = 1.0
    model = Net()
    t = trainer(model, mode, weighted)
    told = []
    for name in (*mutations, "nothing"):
        if fresh:
            t = mg.Trainer(t.model, t.loss, t.optimizer, mode=mode)
        told += fit(t, 2, shuffle=True, seed=0).batch_loss
        MUTATIONS[name](t)
        t = mg.Trainer(t.model, t.loss, t.optimizer, mode=mode) if fresh else t
        told += [t.evaluate(X, Y)["loss"], *t.predict(X).ravel()[:4]]
    return np.array(told)


@pytest.mark.parametrize(
    "names",
    [
        ("freeze", "attribute", "unfreeze"),
        ("dropout.p", "momentum", "dropout.p"),
        ("array", "array in place", "constant"),
        ("layer", "constant in the loss", "loss"),
        ("optimizer", "some parameters", "weights"),
    ],
    ids=", ".join,
)
def test_changes_between_two_fits_are_seen_in_every_mode(names):
    expected = story("eager", names)
    for mode, fresh in (("replay", False), ("compiled", False), ("compiled", True)):
        np.testing.assert_allclose(
            story(mode, names, fresh), expected, rtol=2e-4, atol=2e-5, err_msg=f"{mode} {fresh}"
        )


def test_random_sequences_of_changes_agree_in_eager_and_replay():
    chooser = np.random.default_rng(0)
    for _ in range(12):
        names = tuple(chooser.choice(list(MUTATIONS), 4))
        np.testing.assert_allclose(
            story("replay", names), story("eager", names), rtol=2e-4, atol=2e-5, err_msg=str(names)
        )


def at_the_end_of_an_epoch(mode, change):
    model = Net()
    t = trainer(model, mode)
    t.callbacks.append(lambda t, history: change(t) if len(history.epoch_loss) == 1 else None)
    return fit(t, 3, validation=(X, Y)).batch_loss


@pytest.mark.parametrize("mode", ["replay", "compiled"])
@pytest.mark.parametrize("name", ["freeze", "dropout.p", "child", "optimizer", "attribute"])
def test_changes_by_a_callback_are_seen(name, mode):
    change = {**MUTATIONS, "child": lambda t: t.model.norm.eval()}[name]
    np.testing.assert_allclose(
        at_the_end_of_an_epoch(mode, change), at_the_end_of_an_epoch("eager", change), rtol=2e-4
    )


def test_changes_by_a_callback_for_each_batch_are_seen():
    class Scaling:
        def on_batch(self, t, graph):
            t.model.scale += 1.0

    found = {}
    for mode in ("eager", "replay"):
        t = trainer(Net(), mode)
        t.callbacks.append(Scaling())
        found[mode] = fit(t).batch_loss
    np.testing.assert_allclose(found["replay"], found["eager"], rtol=1e-5)


def test_evaluation_leaves_each_module_in_its_own_mode():
    model = Net()
    model.train()
    model.norm.eval()
    t = trainer(model)
    t.evaluate(X, Y)
    t.predict(X)
    assert model.training and not model.norm.training and model.dropout.training


@pytest.mark.parametrize("mode", MODES)
def test_a_checkpoint_loaded_in_a_callback_does_not_reset_the_epochs(mode, tmp_path):
    t = trainer(Net(), mode)
    fit(t)
    mg.save(t, tmp_path / "t.safetensors")
    t.callbacks.append(lambda t, history: mg.load(t, tmp_path / "t.safetensors"))
    assert len(fit(t, 3).epoch_loss) == 3 and t.state.epoch == 3


def test_graphs_of_few_shapes_are_kept():
    model = nn.Linear(3, 2)
    sgd = mg.optim.SGD(model.parameters(), lr=0.1)
    runner = StepRunner(model, mg.mse_loss, sgd, "replay")
    for n in range(1, 25):
        runner.gradients(X[:n], Y[:n], "a test")
    assert len(runner._graphs) == 8


# ---------------- an optimiser over some of the parameters
class Partial(nn.Module):
    """Every way in which an untrained variable may lie between others."""

    def __init__(self):
        self.table, self.dense = nn.Embedding(5, 4, seed=0), nn.Linear(4, 2, seed=0)
        self.free = mg.Variable(np.arange(1.0, 7).reshape(2, 3))

    def forward(self, ids):
        padded = mg.pad(self.free.reshape(3, 2)[1:], ((1, 0), (0, 0)))
        return self.dense(mg.mean(self.table(ids), axis=1)) * mg.mean(padded, axis=0)


@pytest.mark.parametrize("which", ["dense", "table", "free"])
def test_an_optimiser_may_train_some_of_the_parameters(which):
    ids, y = rng.integers(0, 5, (24, 6)), rng.integers(0, 2, 24)
    found = []
    for mode in MODES:
        model = Partial()
        part = getattr(model, which)
        params = [part] if which == "free" else part.parameters()
        t = mg.Trainer(model, mg.cross_entropy, mg.optim.Adam(params, lr=0.1), mode=mode)
        losses = fit(t, 2, ids, y).batch_loss
        found.append(np.concatenate([losses, *(p.value.ravel() for p in model.parameters())]))
    np.testing.assert_allclose(found[1:], [found[0]] * 2, rtol=1e-4)


def test_a_thread_that_ends_while_the_graph_is_rebuilt_is_not_a_change():
    """The thread that reads batches was sometimes taken for a change of NumPy's generator."""
    over, calls = threading.Event(), []
    reader = threading.Thread(target=over.wait, name=READER, daemon=True)

    def ends_the_reader(model, x):
        calls.append(reader.is_alive())
        if len(calls) == 2:
            over.set()
            reader.join()
        return x

    reader.start()
    fit(trainer(Applied(ends_the_reader), "replay"))
    assert calls == [True, True]
