"""Pictures: computation graphs as SVG, curves of a training run. Looks at the graph and never changes it."""
from .draw import Drawing, draw
from .flow.diagnose import diagnose
from .flow.record import GradientFlow
from .flow.ruler import gradient_ruler
from .flow.through_time import gradient_through_time
from .plots import save_figure, style, training_curves
from .views import (
    Review,
    confusion_matrix,
    decision_map,
    feature_maps,
    filters,
    patch_product,
    pooling_winners,
    review,
    saliency,
)
from .walk.play import Player, play
from .walk.trace import Trace, trace

__all__ = [
    "Drawing", "GradientFlow", "Player", "Review", "Trace", "confusion_matrix", "decision_map", "diagnose", "draw",
    "feature_maps", "filters", "gradient_ruler", "gradient_through_time", "patch_product", "play", "pooling_winners",
    "review", "saliency", "save_figure", "style", "trace", "training_curves",
]  # fmt: skip
