"""Training, checkpoints, and the choice between models."""

from . import metrics
from .callbacks import CSVLogger, EarlyStopping, LogEpochs, SaveBest
from .checkpoint import load, save
from .history import History
from .selection import FoldError, GridResult, Recipe, Scores, cross_validate, grid_search
from .trainer import Trainer

__all__ = [
    "CSVLogger",
    "EarlyStopping",
    "FoldError",
    "GridResult",
    "History",
    "LogEpochs",
    "Recipe",
    "SaveBest",
    "Scores",
    "Trainer",
    "cross_validate",
    "grid_search",
    "load",
    "metrics",
    "save",
]
