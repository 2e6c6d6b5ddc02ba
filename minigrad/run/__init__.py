"""Ways to run a finished graph."""
