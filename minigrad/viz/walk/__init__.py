"""A graph node by node: the evaluation trace, and a player that steps through the drawing."""
