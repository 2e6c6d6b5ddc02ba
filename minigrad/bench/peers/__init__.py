"""The contenders, each run in a process of its own; `worker.py` has the protocol.

Only `on_minigrad` and `on_ranks` import minigrad: another library may be installed in another
Python, which then needs nothing else than NumPy.
"""
