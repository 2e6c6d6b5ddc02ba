"""Names that people bring along from other libraries: the error says what they are called here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

_LEAF = "mg.Variable(array) gets a gradient, mg.Constant(array) none"
_CPU = "minigrad computes on the CPU, and needs no devices"
_ARRAYS = "NumPy makes arrays, and operators take them as they are"
_LIST = "a Module finds the modules in its lists and dicts by itself"
#: what nodes have by other names, or not at all
OF_NODES = {
    "clone": "mg.Variable(x.value) is a copy",
    "cpu": _CPU,
    "cuda": _CPU,
    "data": ".value is the array",
    "dim": "did you mean .ndim?",
    "numpy": ".value is the array",
    "permute": "did you mean .transpose?",
    "unsqueeze": "did you mean mg.expand_dims?",
    "view": "did you mean .reshape?",
}
_ELSEWHERE = {
    **OF_NODES,
    **dict.fromkeys(("Parameter", "Tensor", "as_tensor", "from_numpy", "tensor"), _LEAF),
    **dict.fromkeys(("array", "arange", "linspace", "ones", "randn", "zeros"), _ARRAYS),
    **dict.fromkeys(("ModuleDict", "ModuleList"), _LIST),
    "CrossEntropy": "did you mean mg.cross_entropy?",
    "DataLoader": "Trainer.fit takes arrays, or an iterable of batches",
    "F": "its functions are mg.relu, mg.cross_entropy, …",
    "device": _CPU,
    "fit": "mg.Trainer(model, loss, optimizer) has fit, evaluate and predict",
    "float32": "dtypes are NumPy's: np.float32",
    "float64": "dtypes are NumPy's: np.float64",
    "functional": "its functions are mg.relu, mg.cross_entropy, …",
    "inference_mode": "did you mean mg.no_grad?",
}


def missing(owner: str, name: str, places: Mapping[str, str]) -> AttributeError:
    """The error for an attribute that is not there, with the one that was meant, if any is near.

    `places` maps the names that there are to how one writes them.
    """
    from difflib import get_close_matches

    hint = _ELSEWHERE.get(name, "")
    if not hint and not name.startswith("_"):
        near = [name] if name in places else get_close_matches(name, places, 2, 0.7)
        hint = f"did you mean {' or '.join(places[each] for each in near)}?" if near else ""
    return AttributeError(f"{owner} has no attribute {name!r}{'; ' if hint else ''}{hint}")


class Guiding:
    """Base of objects whose `AttributeError` names the attribute that was meant."""

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if hasattr(type(self), name):  # a property, in which another attribute is missing
                return object.__getattribute__(self, name)
            own = {each: f".{each}" for each in dir(self)}
            raise missing(f"{type(self).__name__!r} object", name, own)


class Elsewhere:
    """A name in a class that is not there, although other libraries have it."""

    def __init__(self, name: str) -> None:
        self.name, self.__doc__ = name, OF_NODES[name]  # which `help` shows

    def __get__(self, instance: object, owner: type) -> NoReturn:
        raise missing(f"{owner.__name__!r} object", self.name, {})
