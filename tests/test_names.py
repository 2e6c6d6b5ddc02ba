"""Names of other libraries: the error says what they are called here."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: mg.Tensor, "module 'minigrad' has no attribute 'Tensor'; mg.Variable(array) gets"),
        (lambda: mg.relu_, "did you mean mg.relu"),
        (lambda: mg.Linear, "did you mean mg.nn.Linear?"),
        (lambda: mg.Adam, "did you mean mg.optim.Adam?"),
        (lambda: mg.optim.StepLR, "did you mean mg.optim.lr_scheduler.StepLR?"),
        (lambda: mg.zeros, "NumPy makes arrays"),
        (lambda: nn.relu, "module 'minigrad.nn' has no attribute 'relu'; did you mean mg.relu?"),
        (lambda: nn.functional, "its functions are mg.relu, mg.cross_entropy, …"),
        (lambda: nn.Liner, "did you mean mg.nn.Linear or"),
        (lambda: mg.optim.adam, "did you mean mg.optim.Adam"),
        (lambda: nn.ReLU().cuda(), "'ReLU' object has no attribute 'cuda'; minigrad computes on"),
        (lambda: nn.ReLU().parameter(), "did you mean .parameters"),
        (lambda: sgd().zero_grads(), "'SGD' object has no attribute 'zero_grads'; did you mean"),
        (lambda: mg.Variable(1.0).numpy(), "'Variable' object has no attribute 'numpy'; .value is"),
        (lambda: mg.exp(1.0).view(1), "did you mean .reshape?"),
    ],
)
def test_who_asks_for_a_foreign_name_is_told_ours(ask, said):
    with pytest.raises(AttributeError) as caught:
        ask()
    assert said in str(caught.value)


def sgd():
    return mg.optim.SGD([mg.Variable(1.0)], lr=0.1)


def test_what_has_no_likeness_and_what_is_private_gets_no_hint():
    for ask in (lambda: mg.xyzzy, lambda: mg._reluu, lambda: nn.ReLU()._forward):
        with pytest.raises(AttributeError, match=r"has no attribute '\w+'$"):
            ask()


def test_a_property_that_fails_keeps_its_own_error():
    class Net(nn.Module):
        @property
        def width(self):
            return self.absent

    with pytest.raises(AttributeError, match="'absent'"):
        Net().width  # noqa: B018


def test_hasattr_says_no():
    assert not hasattr(mg, "Tensor") and not hasattr(nn.ReLU(), "cuda")
    assert not hasattr(mg.Variable(np.ones(2)), "numpy")
