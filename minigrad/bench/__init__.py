"""The benchmark: minigrad beside its peers, on the same data, from the same first values, in turn.

jobs.py, kernels.py, scaling.py    what is timed
peers/                             who is timed, each in a process of its own (process.py)
race.py                            how it is timed: all in turn, round after round
distributed.py, ranks.py           steps shared by several processes under mpiexec
scale.py                           what they cost, and would cost on a thousand machines
ceilings.py, floor.py              what would be possible
sections.py, report.py             what is measured in which order, and where it goes
table.py, shared.py, plots.py      how it is told
"""
