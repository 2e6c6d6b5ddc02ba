"""Freed memory stays with the process: a graph that is made and freed again and again costs no page
faults.
"""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import numpy as np
{first}
from resource import RUSAGE_SELF, getrusage

def fill():  # five arrays of 1 MB, as the values of an eager graph
    for array in [np.empty(2**18, np.float32) for _ in range(5)]:
        array[:] = 1

fill(), fill(), fill()
before = getrusage(RUSAGE_SELF).ru_minflt
for _ in range(100):
    fill()
print(getrusage(RUSAGE_SELF).ru_minflt - before)
"""


def faults(first: str) -> int:
    command = [sys.executable, "-c", PROGRAM.format(first=first)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="how glibc gives memory back")
def test_memory_of_a_freed_graph_is_used_again():
    assert faults("import minigrad") < 1000  # 128,000 where each step begins with fresh pages
