"""The contenders, each run in a process of its own; `worker.py` has the protocol.

Only `on_minigrad` and `on_ranks` import minigrad: the memory and the start of the others are their
own.
"""
