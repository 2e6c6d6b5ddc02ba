"""Ctrl-C that waits for the end of a block."""

import signal
import threading

import pytest

from minigrad.interrupts import interrupts_deferred

heard = []


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


def test_it_is_raised_at_the_end_of_the_block_and_as_usual_after_it():
    done = []
    with pytest.raises(KeyboardInterrupt), interrupts_deferred():
        ctrl_c()
        ctrl_c()
        done.append(1)
    assert done and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with interrupts_deferred():
        pass


def test_the_end_of_an_inner_block_is_a_place_for_it():
    done = []
    with pytest.raises(KeyboardInterrupt), interrupts_deferred():
        with interrupts_deferred():
            ctrl_c()
            done.append("inner")
        done.append("outer")
    assert done == ["inner"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_it_replaces_an_error_that_came_of_it():
    with pytest.raises(KeyboardInterrupt) as caught, interrupts_deferred():
        ctrl_c()
        raise RuntimeError("lost")
    assert str(caught.value.__context__) == "lost"


@pytest.mark.parametrize("handler", [lambda *_: heard.append(1), signal.SIG_IGN])
def test_a_programs_own_handler_stays(handler):
    heard.clear()
    before = signal.signal(signal.SIGINT, handler)
    try:
        with interrupts_deferred():
            ctrl_c()
            assert not heard
        assert len(heard) == callable(handler) and signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_nothing_changes():
    found = []

    def work():
        with interrupts_deferred():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGINT)]
