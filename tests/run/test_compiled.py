"""The compiled step: generated source and machine code compute what the rules do."""

from __future__ import annotations

import ast
import sys
import types

import numpy as np
import pytest
from arranged import CALLS
from generated_source import in_python, nothing, plain_python
from operators import TABLE
from oracle import assert_close, cases

import minigrad as mg
from minigrad import kernels, models, nn
from minigrad.errors import GraphError
from minigrad.graph.settings import state_kept
from minigrad.run.compiled import CompiledStep

CASES, OTHERS = [], []  # those with a gradient, and those without
for case in cases(TABLE):
    (CASES if case.run(np.float64)[0].requires_grad else OTHERS).append(case)
ONE_EACH = list({id(case.row): case for case in CASES}.values())


def assert_source_agrees(loss, variables):
    """The generated source of the loss has its value and the gradients that the variables have."""
    with state_kept():  # dropout draws its last mask again
        step = CompiledStep(
            mg.topological_sort(loss), nothing(), mg.optim.SGD(variables, lr=0.1), 1
        )
    with np.errstate(all="ignore"):
        found, gradient = in_python(step)
    assert_close(found, loss.value)
    for x in variables:
        assert_close(gradient(x), x.grad)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_source_of_every_operator_computes_what_the_rule_does(case):
    with mg.default_dtype(np.float64):
        y, xs = case.run(np.float64)
        assert_source_agrees(
            mg.sum(y * case.cotangent(y.shape)), [x for x in xs if x.grad is not None]
        )


@pytest.mark.parametrize("case", OTHERS, ids=str)
def test_the_source_of_every_operator_without_a_gradient(case):
    with mg.default_dtype(np.float64):
        y, _ = case.run(np.float64)
        weight = mg.Variable(np.arange(1.0, 1 + max(y.size, 24)))  # argmax picks from it
        loss = mg.sum(weight[y] if y.dtype.kind == "i" else weight[: y.size].reshape(y.shape) * y)
        loss.backward()
        assert_source_agrees(loss, [weight])


@pytest.mark.parametrize("call", CALLS)
def test_the_source_of_what_is_copied_turned_picked_and_ordered(call):
    rng = np.random.default_rng(0)
    x = mg.Variable(rng.normal(size=(2, 3, 4)), dtype=np.float64)
    y = call(mg, x)
    loss = mg.sum(y * rng.normal(size=y.shape))
    loss.backward()
    assert_source_agrees(loss, [x])


@pytest.mark.parametrize("case", ONE_EACH, ids=str)
def test_the_source_of_a_gradient_of_gradients(case):
    with mg.default_dtype(np.float64):
        y, xs = case.run(np.float64)
        used = [x for x in xs if x.grad is not None]
        loss = sum(
            (mg.sum(g * mg.sin(g)) for g in mg.grad(mg.sum(y * y), used, create_graph=True)),
            mg.sum(y),
        )
        for x in used:
            x.zero_grad()
        loss.backward()
        assert_source_agrees(loss, used)


def test_a_gradient_that_two_nodes_share_is_not_added_to_in_place():
    """b and h share the gradient of their sum; then a slice of h adds to the gradient of h."""
    with mg.default_dtype(np.float64):
        a, c = (mg.Variable(np.arange(1.0, 5.0) / n) for n in (5, 7))
        b = mg.tanh(a)
        h = b * c
        part = mg.sum(h[0:2] * 3)
        loss = part + mg.sum((b + h) * 2)
        loss.backward()
        assert_source_agrees(loss, [a, c])


# ---------------- whole steps
def steps_in_python(step, x, y, count):
    """The losses of so many steps, run as plain Python on the arena."""
    losses = np.zeros(count)
    with plain_python(step):
        made = step.run(x, y, np.arange(len(x)), losses)
    return losses[:made]


def small_step(optimizer, parts=1, **options):
    """A step of a small network in float64 on batches of 6, and an equal trainer in replay mode."""
    built = []
    for _ in range(2):
        model = nn.Sequential(nn.Linear(3, 4, seed=0), nn.Tanh(), nn.Linear(4, 1, seed=1)).to(
            np.float64
        )
        built.append((model, optimizer(model.parameters(), **options)))
    (model, mine), (twin, other) = built
    x, y = (
        mg.Constant(np.zeros((6 // parts, n)), name=name, dtype=np.float64)
        for n, name in ((3, "x"), (1, "y"))
    )
    order = mg.topological_sort(mg.mse_loss(model(x), y))
    return (
        model,
        CompiledStep(order, {"x": x, "y": y}, mine, parts),
        mg.Trainer(twin, mg.mse_loss, other, mode="replay"),
    )


X, Y = np.random.default_rng(0).normal(size=(18, 3)), np.random.default_rng(1).normal(size=(18, 1))


def in_groups(make):
    """An optimiser with a group for the weights and one for each bias."""

    def grouped(params, **options):
        first, second, third, last = params
        groups = [first, third], [second], [last]
        own = {}, {"lr": 0.02, "weight_decay": 0.1}, {"weight_decay": 0.2}
        return make([{"params": p, **o} for p, o in zip(groups, own, strict=True)], **options)

    return grouped


OPTIMIZERS = [
    (mg.optim.SGD, {"lr": 0.1}),
    (mg.optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
    (mg.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (mg.optim.Adam, {"lr": 0.1, "weight_decay": 0.01}),
    (mg.optim.AdamW, {"lr": 0.1}),
    (mg.optim.RMSprop, {"lr": 0.01}),
    (mg.optim.Adam, {"lr": 0.1, "max_grad_norm": 0.1}),
    (in_groups(mg.optim.SGD), {"lr": 0.1}),
    (in_groups(mg.optim.SGD), {"lr": 0.1, "momentum": 0.9, "max_grad_norm": 0.1}),
    (in_groups(mg.optim.AdamW), {"lr": 0.1}),
]


@pytest.mark.parametrize("parts", [1, 2, 3])
@pytest.mark.parametrize(("optimizer", "options"), OPTIMIZERS)
def test_the_source_of_every_optimiser_trains_as_it_does(optimizer, options, parts):
    model, step, twin = small_step(optimizer, parts, **options)
    losses = steps_in_python(step, X, Y, 3)
    history = twin.fit(X, Y, epochs=1, batch_size=6, shuffle=False, progress=False)
    np.testing.assert_allclose(losses, history.batch_loss, rtol=1e-12)
    for p, q in zip(model.parameters(), twin.model.parameters(), strict=True):
        np.testing.assert_allclose(p.value, q.value, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("clip", [None, 0.5])
def test_groups_are_updated_in_stretches_and_by_threads(clip):
    """A group ends within a stretch of parameters; frozen ones belong to none."""
    found, rng = [], np.random.default_rng(2)
    x, y = rng.normal(size=(64, 70)), rng.normal(size=(64, 5))
    for mode in ("replay", "compiled"):
        model = nn.Sequential(nn.Linear(70, 300, seed=0), nn.Tanh(), nn.Linear(300, 5, seed=1)).to(
            np.float64
        )
        first, second, third, last = model.parameters()
        second.requires_grad = False
        groups = [
            {"params": [first]},
            {"params": [second], "lr": 1.0},
            {"params": [last, third], "lr": 0.003, "weight_decay": 0.1},
        ]
        adam = mg.optim.Adam(groups, lr=0.01, max_grad_norm=clip)
        run = mg.Trainer(model, mg.mse_loss, adam, mode=mode)
        losses = run.fit(x, y, epochs=3, batch_size=32, progress=False).batch_loss
        found.append([losses, *(p.value for p in model.parameters())])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-12)


class Gated(nn.Module):
    """Sequences to logits: an LSTM, whose last cell state is used, too, and a GRU on top of it."""

    def __init__(self):
        self.lstm, self.gru, self.dense = nn.LSTM(28, 8), nn.GRU(8, 8), nn.Linear(8, 10)

    def forward(self, x):
        states, (_, cells) = self.lstm(mg.transpose(x, (1, 0, 2)))
        return self.dense(self.gru(states)[0][-1] + cells[0])


MODELS = {
    "mlp": (models.mlp, (2,), (1,), mg.mse_loss, 1),
    "cnn": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(576, 10)
        ),
        (1, 28, 28),
        (),
        mg.cross_entropy,
        2,
    ),
    "textcnn": (
        lambda: models.TextCNN(50, 4, 3, length=34),
        (34,),
        (1,),
        mg.binary_cross_entropy,
        1,
    ),
    "rnn": (lambda: models.RowRNN(28, 16), (28, 28), (), mg.cross_entropy, 2),
    "gated": (lambda: Gated(), (28, 28), (), mg.cross_entropy, 2),
}


def model_step(name):
    """The compiled step of a model for batches of 4, not run."""
    make, features, target, loss, _ = MODELS[name]
    model = make()
    x = mg.Constant(
        np.zeros((4, *features)), name="x", dtype=np.int64 if name == "textcnn" else None
    )
    y = mg.Constant(
        np.zeros((4, *target)), name="y", dtype=np.int64 if loss is mg.cross_entropy else None
    )
    optimizer = mg.optim.SGD(model.parameters(), lr=0.1)
    return CompiledStep(mg.topological_sort(loss(model(x), y)), {"x": x, "y": y}, optimizer, 1)


def test_machine_code_of_operators_that_are_not_elementwise():
    """Cumulative sums and products, einsum, indexing with arrays that come with a batch."""

    class Running(nn.Module):
        def __init__(self):
            self.inner, self.weight = (
                nn.Linear(3, 4, seed=0),
                mg.Variable(np.linspace(-1, 1, 12).reshape(4, 3)),
            )

        def forward(self, x):
            h = mg.tanh(self.inner(x))
            h = mg.cumsum(h, axis=1) + mg.cumprod(h, axis=1) + mg.prod(h, axis=1, keepdims=True)
            return mg.einsum("ni,ij->nj", h[:, np.array([3, 0, 0, 1])], self.weight)

    def picked(logits, ids):
        return -mg.mean(mg.log_softmax(logits)[np.arange(len(logits)), ids])

    losses = []
    for mode in ("replay", "compiled"):
        model = Running()
        t = mg.Trainer(model, picked, mg.optim.SGD(model.parameters(), lr=0.1), mode=mode)
        losses.append(fit(t, X.astype(np.float32), np.arange(18) % 3, epochs=3, seed=0).batch_loss)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


class Saturated(nn.Module):
    """tanh of weights where its slope is 0 in float32, and one where it is not."""

    def __init__(self):
        self.weight = mg.Variable([10.0, 20.0, -15.0, 0.5], dtype=np.float32)

    def forward(self, x):
        return mg.mean(mg.tanh(self.weight) * x, axis=1, keepdims=True)


def test_saturated_weights_stay_where_they_are():
    """Adam makes full steps for any gradient that is not zero."""
    weights = []
    for mode in ("eager", "replay", "compiled"):
        model = Saturated()
        t = mg.Trainer(model, mg.mse_loss, mg.optim.Adam(model.parameters(), lr=0.1), mode=mode)
        fit(t, np.ones((160, 4), np.float32), np.zeros((160, 1), np.float32), batch_size=1)
        weights.append(model.weight.value)
    np.testing.assert_array_equal(weights[0][:3], [10, 20, -15])
    assert weights[0][3] != 0.5
    np.testing.assert_allclose(weights[1:], [weights[0]] * 2, rtol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_arrays_that_are_live_together_do_not_share_memory(name):
    step = model_step(name)
    lives = {}
    for i, group in enumerate(step.arena.groups):
        for view in (view for statement in group for view in statement.touches):
            lives[view.storage] = (lives.get(view.storage, (i, i))[0], i)
    held = [(s, *lives[s]) for s in step.trace.program.storages if s in lives and s.array]
    for k, (one, first, last) in enumerate(held):
        for other, start, end in held[:k]:
            apart = one.end <= other.start or other.end <= one.start
            taken_over = (one.start, one.size) == (other.start, other.size) and (
                first == end or last == start
            )  # entry by entry, in one loop
            assert one.array != other.array or apart or last < start or end < first or taken_over
    assert sum(rows.size for rows in step.arena.V.values()) < sum(
        s.size for s in step.trace.program.storages
    )  # memory is shared


@pytest.mark.parametrize("name", MODELS)
def test_machine_code_trains_as_replay_does_and_is_deterministic(name):
    make, features, target, loss, parts = MODELS[name]
    rng = np.random.default_rng(0)
    ids = name == "textcnn"
    x = (
        rng.integers(0, 50, (45, *features))
        if ids
        else rng.normal(size=(45, *features)).astype(np.float32)
    )
    y = rng.integers(0, 2, (45, *target))
    y = y if loss is mg.cross_entropy else y.astype(np.float32)
    runs = []
    for mode in ("replay", "compiled", "compiled"):
        mg.manual_seed(0)
        model = make()
        trainer = mg.Trainer(model, loss, mg.optim.Adam(model.parameters(), lr=1e-2), mode=mode)
        history = trainer.fit(
            x, y, epochs=2, batch_size=20, progress=False
        )  # the last batch has 5 samples
        runs.append((history.batch_loss, [p.value.copy() for p in model.parameters()], trainer))
    replay, compiled, again = runs
    np.testing.assert_allclose(compiled[0], replay[0], rtol=2e-4)
    for p, q, r in zip(replay[1], compiled[1], again[1], strict=True):
        np.testing.assert_allclose(q, p, rtol=2e-3, atol=2e-4)
        np.testing.assert_array_equal(q, r)
    step = compiled[2].compile(x, y, batch_size=20)
    assert step.parts == min(parts, kernels.jit.threads(20)) and len(compiled[0]) == 6


# ---------------- the edges
def trainer(model=None, **options):
    model = model or nn.Sequential(nn.Linear(3, 4, seed=0), nn.Tanh(), nn.Linear(4, 1, seed=1))
    return mg.Trainer(
        model, mg.mse_loss, mg.optim.SGD(model.parameters(), lr=0.1), mode="compiled", **options
    )


def fit(t, x=X, y=Y, **options):
    return t.fit(x, y, **{"epochs": 1, "batch_size": 6, "progress": False, **options})


def test_the_source_names_the_nodes():
    source = trainer().compile(X, Y, batch_size=6).source
    assert "# n3 linear (6, 4)" in source and "# back through n4 tanh (6, 4)" in source


#: each would be code or a syntax error if it were in the source as it is
HOSTILE = [
    "a\nsprung()",
    "a\r\nsprung()",
    "a\x0csprung()\n",
    '"""\nsprung()\n"""',
    "'''\nsprung()",
    "\\\nsprung()",
    "a\\",
    "\u2028sprung()",
    "\x85sprung()",
    "\0",
    "\ud800",
    "{loss}",
    "%s",
    "def",
    " ",
    "ä b",
    "sprung",
    "np",
    "losses",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_enter_the_source_only_as_identifiers_and_comments(name):
    class Named(nn.Module):
        def __init__(self):
            setattr(self, name, nn.Linear(3, 2, seed=0))
            self.shift = mg.Variable(np.ones(2), name=name)
            self.fixed = mg.Constant(np.ones(2), name=name)

        def forward(self, x):
            twice = mg.operator(lambda x: 2 * x, lambda g, y, x: 2 * g, name=name)
            y = twice(getattr(self, name)(x) * self.shift + self.fixed)
            y.name = name
            return y

    model = Named()
    trainer = mg.Trainer(model, mg.mse_loss, mg.optim.SGD(model.parameters(), lr=0.01))
    source = trainer.compile(np.ones((4, 3)), np.ones((4, 2)), batch_size=4).source
    assert all(c.isprintable() or c == "\n" for c in source)
    calls = {
        ast.unparse(node.func) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)
    }
    assert "sprung" not in calls
    model.to(np.float64)
    with mg.default_dtype(np.float64):
        model.fixed = mg.Constant(np.ones(2), name=name)
        loss = mg.mse_loss(model(np.ones((4, 3))), np.ones((4, 2)))
        loss.backward()
        assert_source_agrees(loss, model.parameters())


def test_a_name_that_looks_like_code_trains():
    twice = mg.operator(lambda x: 2 * x, lambda g, y, x: 2 * g, name="a\nsprung()\n\ud800")
    losses = []
    for mode in ("replay", "compiled"):
        model = nn.Linear(3, 2, seed=0)
        optimizer = mg.optim.SGD(model.parameters(), lr=0.01)
        trainer = mg.Trainer(
            model, lambda output, y: mg.mse_loss(twice(output), y), optimizer, mode=mode
        )
        losses.append(
            trainer.fit(
                np.ones((4, 3)), np.ones((4, 2)), epochs=2, batch_size=2, progress=False
            ).batch_loss
        )
    np.testing.assert_allclose(*losses, rtol=1e-5)


@pytest.mark.parametrize("module", ["train-2", "class", "a b", "a\nb", ""])
def test_a_kernel_that_no_import_can_name_is_refused(module, monkeypatch):
    def kernel(p, g, lr):
        p -= lr * g

    class Own(mg.optim.SGD):
        pass

    kernel.__module__ = module
    monkeypatch.setitem(sys.modules, module, types.SimpleNamespace(kernel=kernel))
    monkeypatch.setattr(Own, "kernel", staticmethod(kernel))
    model = nn.Linear(3, 2)
    trainer = mg.Trainer(model, mg.mse_loss, Own(model.parameters(), lr=0.1))
    with pytest.raises(
        mg.GraphError, match=r"Own.kernel is no function that can be imported by its name"
    ):
        trainer.compile(np.ones((4, 3)), np.ones((4, 2)), batch_size=2)


def test_hooks_are_refused_with_the_mode_to_use():
    with pytest.raises(GraphError, match='use mode="replay"'):
        trainer(callbacks=[mg.viz.GradientFlow()])
    t = trainer()
    t.model[1].register_forward_hook(lambda node, value: None)
    with pytest.raises(
        GraphError, match='has a hook, which no compiled step calls; use mode="replay"'
    ):
        fit(t)


def test_what_cannot_be_compiled_is_named_and_nothing_has_changed():
    class Odd(nn.Module):
        def __init__(self):
            self.inner = nn.Linear(3, 4, seed=0)

        def forward(self, x):
            return mg.sum(
                self.inner(x)[:, mg.Constant([True, False, True, False], dtype=bool)],
                axis=1,
                keepdims=True,
            )

    t = trainer(Odd())
    before = t.model.state_dict()
    with pytest.raises(GraphError, match='getitem: .*cannot be compiled; use mode="replay"'):
        fit(t)
    assert all((t.model.state_dict()[name] == array).all() for name, array in before.items())


def test_a_method_of_arrays_that_has_no_compiled_form_is_named():
    odd = mg.operator(lambda x: x.ravel().reshape(x.shape) * 2, lambda g, y, x: (g * 2,))

    class Odd(nn.Module):
        def __init__(self):
            self.inner = nn.Linear(3, 1, seed=0)

        def forward(self, x):
            return odd(self.inner(x))

    t = trainer(Odd())
    with pytest.raises(
        GraphError, match=r'operator: an array\'s \.ravel cannot be compiled; use mode="replay"'
    ):
        fit(t)


def plain(p, g, lr, decay):
    """A kernel that is not compiled."""


def test_an_optimiser_that_steps_in_python_is_refused_by_name():
    class Mine(mg.optim.SGD):
        def step(self):
            super().step()

    class Nameless(mg.optim.SGD):
        kernel = property(lambda self: lambda p, g, lr, decay: None)

    class Plain(mg.optim.SGD):
        kernel = property(lambda self: plain)

    model = nn.Sequential(nn.Linear(3, 1, seed=0))
    for optimizer, words in (
        (Mine, "Mine has a step of its own"),
        (Nameless, "Nameless.kernel is no function"),
        (Plain, "the step does not compile .*plain"),
    ):
        with pytest.raises(GraphError, match=f'{words}.*use mode="replay"'):
            fit(mg.Trainer(model, mg.mse_loss, optimizer(model.parameters(), lr=0.1)))


def test_ids_out_of_range_are_refused_before_the_first_step():
    model = models.TextCNN(50, 4, 3, length=34)
    t = mg.Trainer(
        model, mg.binary_cross_entropy, mg.optim.SGD(model.parameters(), lr=0.1), mode="compiled"
    )
    ids, y = np.zeros((20, 34), int), np.zeros((20, 1))
    ids[19, 3] = 50
    before = model.state_dict()
    with pytest.raises(IndexError, match="embedding: .*id 50 is out of range"):
        fit(t, ids, y, batch_size=10)
    assert all((model.state_dict()[name] == array).all() for name, array in before.items())


class Reading(nn.Module):
    """Means of the embeddings of the ids that `look` finds in a batch."""

    def __init__(self, look):
        self.look, self.embedding, self.dense = (
            look,
            nn.Embedding(5, 3, seed=0),
            nn.Linear(3, 1, seed=0),
        )

    def forward(self, x):
        return self.dense(mg.mean(self.embedding(self.look(x)), axis=1))


def test_computed_ids_are_checked_in_each_step():
    ids, y = np.zeros((20, 2, 4), int), np.zeros((20, 1))
    ids[17, 1, 3] = 5  # in a full batch, but not in its first part
    model = Reading(lambda x: x.reshape(-1, 8)[:, 2:])
    t = mg.Trainer(model, mg.mse_loss, mg.optim.SGD(model.parameters(), lr=0.1), mode="compiled")
    with pytest.raises(IndexError, match="embedding: .*id 5 is out of range"):
        fit(t, ids, y, batch_size=10)
    ids[17, 1, 3], ids[17, 0, 1] = 0, 7  # in a column that nobody looks at
    fit(t, ids, y, batch_size=10)


def test_fed_indices_are_checked_before_the_first_step():
    def picked(logits, ids):
        return -mg.mean(mg.log_softmax(logits)[np.arange(len(logits)), ids])

    model = nn.Sequential(nn.Linear(3, 4, seed=0))
    t = mg.Trainer(model, picked, mg.optim.SGD(model.parameters(), lr=0.1), mode="compiled")
    ids = np.arange(18) % 4
    ids[13] = 4
    with pytest.raises(IndexError, match="getitem: .*index 4 is out of"):
        fit(t, X, ids)


def test_indices_computed_from_parameters_are_compiled():
    losses = []
    for mode in ("eager", "compiled"):
        model = Reading(lambda x: mg.argmax(model.dense(x), axis=-1))  # noqa: B023 - called within the loop
        t = mg.Trainer(model, mg.mse_loss, mg.optim.SGD(model.parameters(), lr=0.1), mode=mode)
        losses.append(fit(t, np.ones((6, 2, 3)), np.ones((6, 1))).batch_loss)
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_a_loss_that_is_not_finite_stops_before_its_step_and_names_the_node():
    t, x = trainer(), X.copy()
    x[13] = np.nan  # in the third batch
    with pytest.raises(
        GraphError, match="the loss is nan in epoch 1, batch 3; first bad node: number 0"
    ):
        fit(t, x, shuffle=False)
    assert all(np.isfinite(p.value).all() for p in t.model.parameters())


def test_parameters_remain_the_models(tmp_path):
    t = trainer()
    fit(t)
    mg.save(t, tmp_path / "t.safetensors")
    saved = t.model.state_dict()
    fit(t)
    moved = t.model.state_dict()
    assert all((moved[name] != saved[name]).any() for name in saved)
    mg.load(t, tmp_path / "t.safetensors")  # into the arena, where the next step finds it
    fit(t)
    assert all((t.model.state_dict()[name] == moved[name]).all() for name in saved)
    assert np.isfinite(t.evaluate(X, Y)["loss"]) and t.predict(X).shape == (18, 1)


def test_frozen_and_unused_parameters_stay_as_they_are():
    class Part(nn.Module):
        def __init__(self):
            self.used, self.frozen, self.idle = (nn.Linear(3, 3, seed=i) for i in range(3))
            self.frozen.weight.requires_grad = False

        def forward(self, x):
            return mg.sum(self.frozen(self.used(x)), axis=1, keepdims=True)

    t = trainer(Part())
    before = t.model.state_dict()
    fit(t)
    changed = {
        name for name, array in t.model.state_dict().items() if (array != before[name]).any()
    }
    assert changed == {"used.weight", "used.bias", "frozen.bias"}


def test_a_step_runs_without_a_writable_cache(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setattr(
        "minigrad.kernels.cache.steps_folder", lambda: str(tmp_path / "file" / "steps")
    )
    t = trainer(nn.Sequential(nn.Linear(3, 1, seed=0)))
    assert len(fit(t).batch_loss) == 3


def test_a_step_that_only_machine_code_refuses_is_made_in_replay(monkeypatch):
    """A loss that overflows in machine code only: rounding differs between the modes."""
    t, run = trainer(), CompiledStep.run
    refused = []

    def refuse_once(step, x, y, order, losses, schedule):
        if len(losses) and not refused:
            refused.append(losses[0])
            return 0
        return run(step, x, y, order, losses, schedule)

    monkeypatch.setattr(CompiledStep, "run", refuse_once)
    twin = trainer()
    twin.mode = "replay"
    np.testing.assert_allclose(fit(t).batch_loss, fit(twin).batch_loss, rtol=1e-5)
    assert refused and t.optimizer.steps == 3


def test_another_max_grad_norm_compiles_another_step():
    t = trainer()
    first = t.compile(X, Y, batch_size=6)
    t.optimizer.max_grad_norm = 0.1
    second = t.compile(X, Y, batch_size=6)
    assert "clip_norm(g" in second.source and "clip_norm(g" not in first.source


def test_a_refused_step_leaves_running_statistics_and_masks_unchanged():
    mg.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1))
    x, y, losses = (
        np.ones((12, 3), np.float32),
        np.zeros((12, 1), np.float32),
        np.zeros(3, np.float32),
    )
    x[5] = np.inf  # in the second batch
    step = mg.Trainer(model, mg.mse_loss, mg.optim.SGD(model.parameters(), lr=0.1)).compile(
        x, y, batch_size=4
    )
    assert step.run(x, y, np.arange(12), losses) == 1
    assert (
        model[1].num_batches_tracked.value == 1 and np.isfinite(model[1].running_mean.value).all()
    )
    assert model[2].stream.value[1] == 1
