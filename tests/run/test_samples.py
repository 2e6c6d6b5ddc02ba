"""Arrays of samples, alone, in a tuple or by name."""

import numpy as np

from minigrad.run import samples

A, B = np.arange(6).reshape(3, 2), np.ones(3)


def test_each_keeps_the_structure():
    assert samples.each(len, A) == 3
    assert samples.each(len, (A, B)) == (3, 3)
    assert samples.each(len, {"a": A}) == {"a": 3}
    pairs = samples.each(lambda x, y: (x.size, y.size), (A, B), (B, A))
    assert pairs == ((6, 3), (3, 6))


def test_names_and_calls():
    assert list(samples.named(x=A, y=(A, B), z={"k": A}, none=())) == ["x", "y0", "y1", "z0"]
    assert samples.call(lambda *args, **named: (len(args), [*named]), {"a": A}) == (0, ["a"])
    assert samples.call(lambda *args: len(args), (A, B)) == 2
    assert samples.call(lambda *args: len(args), A) == 1


def test_samples_are_taken_together():
    first, second = samples.take((A, B), [2, 0])
    assert first.tolist() == [[4, 5], [0, 1]] and second.tolist() == [1, 1]
    assert samples.count({"a": A}) == 3


def test_kinds_differ_in_structure_shape_and_dtype():
    found = [samples.kinds(s) for s in (A, (A,), {"a": A}, {"b": A}, A.T, A.astype(float), (A, B))]
    assert len(set(found)) == len(found)
    assert samples.kinds(A[:1]) == samples.kinds(A)
