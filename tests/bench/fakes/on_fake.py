"""A library for the tests of the benchmark's processes: each mode misbehaves in its own way."""

import os
import sys
import time

from peers.task import Runner

print("a library that talks on stdout")
VERSIONS = {
    "fake": "1.0",
    "threads": os.environ["OMP_NUM_THREADS"],
    "coretype": os.environ.get("OPENBLAS_CORETYPE", "unset"),
}


class FakeRunner(Runner):
    def __init__(self, task, mode):
        super().__init__(task, mode)
        if mode == "unmade":
            raise RuntimeError("needs a compiler\nand a second line")

    def run(self, steps, seed):
        print("talking while it works")
        if self.mode == "wrong" or (self.mode == "fails later" and seed > 1000):
            raise ValueError("cannot train")
        if self.mode == "crashes":
            print("Illegal instruction", file=sys.stderr, flush=True)
            os._exit(3)
        if self.mode == "hangs":
            time.sleep(60)
        time.sleep(steps * 1e-4)
        return steps, {"other": 0.75}.get(self.mode, 0.5)


RUNNERS = (FakeRunner,)
