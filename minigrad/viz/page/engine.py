"""Runs in a process of its own: DOT on standard input, the engine's JSON on standard output.

The engine that pygraphviz bundles holds Python's lock while it works, and may work for hours; as a
process it can be stopped. Started by its path, so that nothing of minigrad (and no Numba) is
imported here.
"""

import sys

import pygraphviz

if __name__ == "__main__":
    graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
    sys.stdout.buffer.write(graph.draw(format="json", prog="dot"))
