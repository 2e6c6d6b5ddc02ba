"""The benchmark: minigrad beside other libraries, on the same data and from the same weights.

jobs.py                        what is timed
peers/                         the contenders, each in a process of its own (process.py)
race.py                        how measures are timed side by side: in turn, round after round
session.py, sections.py        settings and processes of one run; what is measured in which order
ranks.py, scale.py             steps shared by several processes under mpiexec; a model of the costs
ceilings.py, floor.py          what would be possible
report.py, table.py, overview.py, cluster.py, charts.py    files, tables and figures
"""
