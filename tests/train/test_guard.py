"""Ctrl-C waits for the end of a step; `test_state.py` sends it at random moments of a training."""

import signal

import pytest

from minigrad.train.guard import StepGuard


def test_ctrl_c_waits_for_the_end_of_a_step_and_a_second_one_does_not():
    done = []
    guard = StepGuard()
    with guard.installed():
        with pytest.raises(KeyboardInterrupt), guard:
            signal.raise_signal(signal.SIGINT)
            done.append("whole")
        with pytest.raises(KeyboardInterrupt), guard:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            done.append("never")
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
            done.append("never")
        with guard:
            done.append("as usual")
    assert done == ["whole", "as usual"]
