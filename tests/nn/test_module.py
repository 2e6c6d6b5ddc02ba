"""Modules: how parameters are found, named, saved and loaded; hooks; training mode."""

import copy
import pickle

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn


class Pair(nn.Module):
    """Two layers in a list and one on its own, with a shared weight."""

    def __init__(self):
        self.layers = [nn.Linear(3, 4, seed=1), nn.Linear(4, 3, seed=2)]
        self.head = nn.Linear(3, 4, seed=3)
        self.head.weight = self.layers[0].weight
        self.scale = mg.Variable(2.0)

    def forward(self, x):
        for layer in self.layers:
            x = mg.tanh(layer(x))
        return self.head(x) * self.scale


def test_parameters_have_pytorch_names_and_shared_ones_come_once():
    names = [name for name, _ in Pair().named_parameters()]
    assert names == [
        "scale",
        "layers.0.weight",
        "layers.0.bias",
        "layers.1.weight",
        "layers.1.bias",
        "head.bias",
    ]
    assert "head.weight" in Pair().state_dict()  # in a checkpoint under both names, as in PyTorch


def test_the_state_is_saved_and_loaded():
    one, other = Pair(), Pair()
    one.scale.value = 5.0
    other.load_state_dict(one.state_dict())
    x = np.ones((2, 3))
    assert np.array_equal(one(x).value, other(x).value)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda s: s.pop("scale"), mg.GraphError, ["Pair", "missing scale"]),
        (lambda s: s.update(extra=np.ones(2)), mg.GraphError, ["unexpected extra"]),
        (lambda s: s.update(scale=np.ones(2)), mg.ShapeError, ["scale", "(2,)", "()"]),
    ],
)
def test_state_that_does_not_fit_changes_nothing(change, error, words):
    model = Pair()
    before = model.state_dict()
    state = {name: array + 1 for name, array in before.items()}
    change(state)
    with pytest.raises(error) as caught:
        model.load_state_dict(state)
    assert all(word in str(caught.value) for word in words)
    assert all(np.array_equal(before[name], array) for name, array in model.state_dict().items())


def test_sequential_is_a_list_whose_slices_share_their_modules():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    assert len(model) == 3
    assert model[:2][0] is model[0]
    assert [name for name, _ in model.named_parameters()] == [
        "0.weight",
        "0.bias",
        "2.weight",
        "2.bias",
    ]


def test_functions_in_a_sequential():
    model = nn.Sequential(nn.Linear(2, 3, seed=0), mg.tanh, lambda x: x * 2)
    plain = nn.Sequential(model[0], nn.Tanh())
    x = np.ones((1, 2))
    np.testing.assert_array_equal(model(x).value, 2 * plain(x).value)
    assert repr(model[1:]) == "Sequential(\n  (0): Lambda(tanh)\n  (1): Lambda(<lambda>)\n)"
    for wrong, words in ((3, "3"), (nn.ReLU, "<class '.*ReLU'>")):
        with pytest.raises(
            TypeError,
            match=f"Sequential: argument 1 is {words}; a Module or a function was expected",
        ):
            nn.Sequential(nn.ReLU(), wrong)


def test_training_mode_reaches_every_module():
    model = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh()))
    assert not any(m.training for m in model.eval().modules())
    assert all(m.training for m in model.train().modules())


def test_to_changes_the_dtype_of_all_parameters():
    model = nn.Linear(2, 1).to(np.float64)
    assert model(np.ones((1, 2))).dtype == np.float64
    with pytest.raises(mg.DTypeError):
        model.to(np.float16)


def test_hooks_see_value_and_gradient_of_the_output_until_removed():
    model, seen = nn.Sequential(nn.Linear(2, 3), nn.Tanh()), []
    handle = model[0].register_forward_hook(
        lambda node, value: seen.append(("forward", value.shape))
    )
    model[0].register_backward_hook(lambda node, grad: seen.append(("backward", grad.shape)))
    model(np.ones((4, 2))).sum().backward()
    assert seen == [("forward", (4, 3)), ("backward", (4, 3))]
    handle.remove()
    model(np.ones((4, 2)))
    assert len(seen) == 2


def test_hooks_registered_after_a_graph_was_built_are_called_in_its_next_run():
    model, seen = nn.Linear(2, 3), []
    graph = mg.Graph(model(np.ones((4, 2))).sum())
    model.register_forward_hook(lambda node, value: seen.append(node))
    graph.forward()
    assert len(seen) == 1


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match="Module defines no forward"):
        nn.Module()(1)


def test_repr_nests():
    text = repr(nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Flatten()))
    assert text == "Sequential(\n  (0): Conv2d(1, 4, kernel_size=3, padding=1)\n  (1): Flatten()\n)"


# ---------------- deep, shared and circular
class Holder(nn.Module):
    """A module that returns the output of its one inner module."""

    def __init__(self, inner):
        self.inner = inner

    def forward(self, x):
        return self.inner(x)


def nested(levels, wrap=nn.Sequential):
    model = nn.Linear(2, 2, seed=0)
    for _ in range(levels):
        model = wrap(model)
    return model


def pickled(thing):
    return pickle.loads(pickle.dumps(thing))


COPIES = pytest.mark.parametrize("duplicate", [copy.deepcopy, pickled], ids=["deepcopy", "pickle"])
DEEP = pytest.mark.parametrize("levels", [300, 3000])
WRAPS = pytest.mark.parametrize("wrap", [nn.Sequential, Holder], ids=["Sequential", "Holder"])


@DEEP
@WRAPS
def test_deep_models(levels, wrap, tmp_path):
    """Walks over a model need no more of Python's stack for a deep one."""
    model, other = nested(levels, wrap), nested(levels, wrap)
    assert len(model.modules()) == levels + 1 and len(model.parameters()) == 2
    part = "0" if wrap is nn.Sequential else "inner"
    assert list(model.state_dict()) == [
        ".".join([part] * levels + [name]) for name in ("weight", "bias")
    ]
    assert not any(module.training for module in model.eval().modules())
    lines = repr(model).splitlines()
    assert len(lines) == 2 * levels + 1 and lines[levels].strip() == f"({part}): Linear(2, 2)"
    model.parameters()[0].value += 1
    other.load_state_dict(model.state_dict())
    assert np.array_equal(other.parameters()[0].value, model.parameters()[0].value)
    mg.save(model, tmp_path / "m.safetensors")
    mg.load(nested(levels, wrap), tmp_path / "m.safetensors")
    model.to(np.float64).zero_grad()


@DEEP
@WRAPS
@COPIES
def test_deep_models_are_copied(levels, wrap, duplicate):
    model = nested(levels, wrap)
    other = duplicate(model)
    assert list(other.state_dict()) == list(model.state_dict())
    assert not {id(module) for module in other.modules()} & {
        id(module) for module in model.modules()
    }
    other.parameters()[0].value += 1
    assert not np.array_equal(other.parameters()[0].value, model.parameters()[0].value)


@WRAPS
def test_calls_may_be_nested_as_deeply_as_python_allows(wrap):
    x = np.ones((1, 2))
    assert np.array_equal(nested(300, wrap)(x).value, nested(0)(x).value)
    with pytest.raises(
        mg.GraphError, match=f"{wrap.__name__}: its forward nests calls more deeply than Python"
    ):
        nested(3000, wrap)(x)
    assert len(nn.Linear(2, 2)(x).scope) == 1  # no scope is left open


def circular():
    model = Holder(Holder(nn.Linear(2, 2)))
    model.itself, model.inner.above = model, [model]
    return model


def test_a_module_that_holds_itself_is_found_once():
    model = circular()
    names = ["", "inner", "inner.inner"]
    assert [name for name, _ in model.named_modules()] == names and len(model.modules()) == 3
    assert list(model.state_dict()) == ["inner.inner.weight", "inner.inner.bias"]
    assert "(itself): Holder(…)" in repr(model) and "(above.0): Holder(…)" in repr(model)
    assert model.eval()(np.ones((1, 2))).shape == (1, 2)


@COPIES
def test_a_copy_holds_itself_where_the_original_does(duplicate):
    first = circular()
    second, part = duplicate((first, first.inner))
    assert second is not first
    assert second.itself is second and second.inner.above[0] is second and second.inner is part


@COPIES
def test_a_subclass_may_define_how_it_is_copied(duplicate):
    model = nested(120, Forgetful)
    model.scratch = [1]
    other = duplicate(model)
    assert other.scratch is None and other.inner.scratch is None and len(other.modules()) == 121


class Forgetful(Holder):
    """A module that defines the state of its copies."""

    scratch = None

    def __getstate__(self):
        return {**vars(self), "scratch": None}


def test_sixty_levels_that_share_their_parts():
    """In linear time: there are 2^60 paths, but only one module per level."""
    model = nn.Linear(2, 2)
    for _ in range(60):
        model = nn.Sequential(model, model)
    assert len(model.eval().modules()) == 61 and len(model.parameters()) == 2
    assert len(copy.deepcopy(model).modules()) == 61


def test_two_parameters_of_one_name_are_refused():
    """One of them would be missing from every file."""
    model = nn.Module()
    model.parts = {1: nn.Linear(2, 2), "1": nn.Linear(2, 2)}
    with pytest.raises(
        mg.GraphError, match=r"Module: two parameters or buffers have the name 'parts.1.weight'"
    ):
        model.state_dict()
    model.parts["1"] = model.parts[1]
    assert list(model.state_dict()) == ["parts.1.weight", "parts.1.bias"]


def test_children_are_modules_and_named_children_pairs():
    one, two = nn.ReLU(), nn.Tanh()
    model = nn.Sequential(one, nn.Sequential(two), one)
    assert list(model.children()) == [one, model[1]]  # each once, as in PyTorch
    assert [name for name, _ in model.named_children()] == ["0", "1"]
    assert [name for name, _ in Pair().named_children()] == ["layers.0", "layers.1", "head"]
    assert list(one.children()) == []
    assert repr(model).count("ReLU") == 2


def test_an_error_names_its_module():
    model = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh(), nn.Linear(4, 2)))
    with pytest.raises(mg.ShapeError) as caught:
        model(np.ones((2, 3)))
    assert caught.value.__notes__[1:] == ["in module 1.1 · Linear"]
    with pytest.raises(mg.ShapeError) as caught:
        nn.Linear(4, 2)(np.ones((2, 3)))
    assert caught.value.__notes__[1:] == ["in module Linear"]


def test_tied_parameters_are_saved_and_loaded(tmp_path):
    one, other = Pair(), Pair()
    one.head.weight.value += 1
    mg.save(one, tmp_path / "p.safetensors")
    mg.load(other, tmp_path / "p.safetensors")  # a number without axes among them
    assert other.head.weight is other.layers[0].weight
    assert all(
        np.array_equal(array, other.state_dict()[name]) for name, array in one.state_dict().items()
    )
