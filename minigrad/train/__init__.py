"""Training, checkpoints, and the choice between models."""

from .checkpoint import load, save
from .history import History
from .selection import FoldError, GridResult, Recipe, Scores, cross_validate, grid_search
from .trainer import Trainer

__all__ = [
    "FoldError",
    "GridResult",
    "History",
    "Recipe",
    "Scores",
    "Trainer",
    "cross_validate",
    "grid_search",
    "load",
    "save",
]
