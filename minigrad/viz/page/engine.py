"""Runs in a process of its own: graphs in DOT on standard input, for each the engine's JSON on
standard output.

The engine that pygraphviz bundles holds Python's lock while it works, and may work for hours; as a
process it can be stopped. Started by its path, so that nothing of minigrad (and no Numba) is
imported here.
"""

import re
import sys

import pygraphviz

if __name__ == "__main__":
    for text in re.split(r"(?m)^(?=digraph )", sys.stdin.buffer.read().decode()):
        if text.strip():
            graph = pygraphviz.AGraph(string=text)
            sys.stdout.buffer.write(graph.draw(format="json", prog="dot"))
