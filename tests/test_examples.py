"""The examples in notebooks/examples: each runs, and learns something, in a short version of it.

What each reaches at full length is printed by `python notebooks/examples/<name>.py`.
"""

import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "notebooks" / "examples"

#: arguments of `main`, and whether its result is better than that of a network that has not learnt
SHORT = {
    "variational_autoencoder": ({"epochs": 3}, lambda nats: nats < 230),  # 543 with even odds
    "gan": ({"steps": 600}, lambda found: found[0] < 0.45 and found[1] > 0.2),
    "denoising_autoencoder": ({"epochs": 2}, lambda left: left < 0.5),
    "sentiment": ({"samples": 2000, "epochs": 2, "tests": 200}, lambda share: share > 0.65),
    "characters": ({"samples": 400, "epochs": 1}, lambda bits: bits < 5.5),  # 7 bits to begin with
    "physics": ({"steps": 300}, lambda error: error < 2),
    "adversarial": ({"epochs": 2}, lambda found: found[0] > 0.7 > found[1]),
}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_examples_learn(path):
    arguments, better = SHORT[path.stem]
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = module.main(**arguments)
    assert better(found), found


def test_all_examples_are_here():
    assert {path.stem for path in FOLDER.glob("*.py")} == set(SHORT)
