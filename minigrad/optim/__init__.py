"""Optimisers, and schedules of their learning rates; PyTorch's names, formulas and defaults."""

from . import lr_scheduler
from .optimizers import SGD, Adam, AdamW, Optimizer, RMSprop, clip_grad_norm

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "clip_grad_norm", "lr_scheduler"]
