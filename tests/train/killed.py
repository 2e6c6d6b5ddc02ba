"""Run as a script by `test_atomic.py`: kill processes while they save, and check the files."""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

import minigrad as mg
from minigrad import nn


def model(number):
    """One whose every number is this."""
    made = nn.Linear(400, 300, seed=0)
    for parameter in made.parameters():
        parameter.value[...] = number
    return made


def main(folder, kills):
    path, rng, seen, most = folder / "m.safetensors", np.random.default_rng(0), set(), 0
    two = model(0.0), model(1.0)
    mg.save(two[0], path)
    for _ in range(kills):
        child = os.fork()
        if not child:
            while True:
                mg.save(two[1], path)
                mg.save(two[0], path)
        time.sleep(rng.uniform(0.001, 0.025))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        numbers = {
            float(x) for array in load_file(path).values() for x in np.unique(array)
        }  # it can be loaded, so it is complete
        assert len(numbers) == 1, "two versions in one file"
        seen |= numbers
        most = max(most, len(list(folder.iterdir())) - 1)
    mg.save(two[0], path)
    print(
        f"versions {len(seen)}, left at most {most}, in the end {len(list(folder.iterdir())) - 1}"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
