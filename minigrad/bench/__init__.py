"""The benchmark: minigrad beside other libraries, on the same data and from the same weights.

jobs.py                   what is timed
peers/                    the contenders, each in a process of its own (process.py)
race.py                   how measures are timed side by side: in turn, round after round
disturbance.py            how much other programs take meanwhile, and when a round is made again
session.py, sections.py   settings and processes of one run; what is measured in which order
records.py                the results: one flat list, which tables, figures and chapters read
scale.py                  a model of the costs of steps that several processes share
ceilings.py, floor.py     what would be possible
report.py, tables.py, charts.py    a whole run; tables; figures
"""
