"""Pictures of graphs, models and training runs; nothing here changes a graph."""

from .diff import Diff, Snapshot, diff, snapshot
from .draw import Drawing, draw
from .errors import told as _told
from .flow.diagnose import diagnose
from .flow.gradient_flow import GradientFlow
from .flow.ruler import gradient_ruler
from .flow.through_time import gradient_through_time
from .memory_plan import MemoryPlan, memory_plan
from .paths import Paths, paths
from .plots import save_figure, style, training_curves
from .profile import Cost, Profile, profile
from .views.confusion import confusion_matrix
from .views.decision import decision_map
from .views.filters import feature_maps, filters
from .views.patch import patch_product
from .views.pooling import pooling_winners
from .views.review import review
from .views.saliency import saliency
from .views.tinted_text import Review
from .walk.evaluation_trace import EvaluationTrace as Trace
from .walk.evaluation_trace import trace
from .walk.play import Player, play

__all__ = [
    "Cost",
    "Diff",
    "Drawing",
    "GradientFlow",
    "MemoryPlan",
    "Paths",
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
    "paths",
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
