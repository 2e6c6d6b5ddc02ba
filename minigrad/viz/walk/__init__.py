"""A graph node by node: the trace table of the textbooks, and a player that steps through the
drawing.
"""
