"""Where random numbers come from."""

from threading import Thread

import pytest

from minigrad.seeds import generator, manual_seed, seeded


def test_a_seeded_block_has_a_generator_of_its_own_and_leaves_the_librarys_as_it_was():
    manual_seed(3)
    expected = [generator().random() for _ in range(2)]
    manual_seed(3)
    first = generator().random()
    with seeded(3):
        assert generator().random() == expected[0]
        manual_seed(3)  # of the block, too
        assert generator().random() == expected[0]
        with pytest.raises(ZeroDivisionError), seeded(8):
            raise ZeroDivisionError
        assert generator().random() == expected[1]
    assert [first, generator().random()] == expected


def test_every_thread_has_a_generator_of_its_own_that_starts_from_0():
    found = []
    with seeded(4):
        thread = Thread(target=lambda: found.append(generator().random()))
        thread.start()
        thread.join()
    assert found == [generator(0).random()]
