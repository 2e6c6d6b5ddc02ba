"""The operators: each defined once, with shapes, forward, backward and symbol.

Every name in `registry.operators` is public, so a new operator needs no entry here.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from ..graph.registry import operators
from .arrange import *
from .conv import *
from .elementwise import *
from .indexing import *
from .linalg import *
from .loss import *
from .masks import *
from .norm import *
from .recurrent import *
from .reduce import *
from .shape import *

if not TYPE_CHECKING:  # type checkers take all names of the modules above
    __all__ = sorted(operators)
    elementwise = import_module(".elementwise", __name__)  # hidden by the decorator of that name
