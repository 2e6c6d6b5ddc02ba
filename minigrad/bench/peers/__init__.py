"""The contenders, each run in a process of its own; see `worker.py` for how they are spoken to.

Nothing here but `on_minigrad` imports minigrad, so that a contender may live in another Python,
beside which only NumPy is installed.
"""
