"""Pictures: computation graphs as SVG, curves of a training run. Looks at the graph and never changes it."""
from .draw import Drawing, draw
from .plots import save_figure, style, training_curves

__all__ = ["Drawing", "draw", "save_figure", "style", "training_curves"]
