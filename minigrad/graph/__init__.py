"""The computation graph: what a value is, in which order it flows, who is told. No mathematics
lives here.
"""

from .memory import keep_freed_memory

keep_freed_memory()
