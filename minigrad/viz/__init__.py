"""Pictures: computation graphs as SVG, curves of a training run. Looks at the graph and never
changes it.
"""

from .diff import Diff, Snapshot, diff, snapshot
from .draw import Drawing, draw
from .flow.diagnose import diagnose
from .flow.record import GradientFlow
from .flow.ruler import gradient_ruler
from .flow.through_time import gradient_through_time
from .memory import MemoryPlan, memory_plan
from .plots import save_figure, style, training_curves
from .profile import Cost, Profile, profile
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
    "Cost",
    "Diff",
    "Drawing",
    "GradientFlow",
    "MemoryPlan",
    "Player",
    "Profile",
    "Review",
    "Snapshot",
    "Trace",
    "confusion_matrix",
    "decision_map",
    "diagnose",
    "diff",
    "draw",
    "feature_maps",
    "filters",
    "gradient_ruler",
    "gradient_through_time",
    "memory_plan",
    "patch_product",
    "play",
    "pooling_winners",
    "profile",
    "review",
    "saliency",
    "save_figure",
    "snapshot",
    "style",
    "trace",
    "training_curves",
]
