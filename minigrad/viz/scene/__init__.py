"""From a graph to a `Picture`: what is shown and what is said of it, as plain data without
coordinates or colours.
"""
