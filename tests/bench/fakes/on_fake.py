"""A library for the tests of the benchmark's processes: each mode misbehaves in its own way."""

import os
import sys
import time


def set_threads(threads):
    print("a library that talks on stdout")


def versions():
    coretype = os.environ.get("OPENBLAS_CORETYPE", "unset")
    return {"fake": "1.0", "threads": os.environ["OMP_NUM_THREADS"], "coretype": coretype}


class Training:
    def __init__(self, task, mode):
        if mode == "unmade":
            raise RuntimeError("needs a compiler\nand a second line")
        self.task, self.mode, self.calls = task, mode, 0

    def reset(self):
        pass

    def train(self, steps, seed):
        print("talking while it works")
        self.calls += 1
        if self.mode == "wrong" or (self.mode == "fails later" and self.calls > 4):
            raise ValueError("cannot train")
        if self.mode == "crashes":
            print("Illegal instruction", file=sys.stderr, flush=True)
            os._exit(3)
        if self.mode == "hangs":
            time.sleep(60)
        time.sleep(steps * 1e-4)
        return steps, {"other": 0.75}.get(self.mode, 0.5)


def contender(task, mode):
    return Training(task, mode)
