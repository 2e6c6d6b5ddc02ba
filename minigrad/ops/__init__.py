"""The operators: each defined once, with shapes, forward, backward and symbol.

Every name in `registry.operators` is public, so a new operator needs no entry here.
"""

from typing import TYPE_CHECKING

from ..graph.registry import operators
from .axes import *  # noqa: F403
from .conv import *  # noqa: F403
from .einsum import *  # noqa: F403
from .elementwise import *  # noqa: F403
from .embedding import *  # noqa: F403
from .functions import *  # noqa: F403
from .gru import *  # noqa: F403
from .indexing import *  # noqa: F403
from .linalg import *  # noqa: F403
from .loss import *  # noqa: F403
from .lstm import *  # noqa: F403
from .norm import *  # noqa: F403
from .pool import *  # noqa: F403
from .recurrent import *  # noqa: F403
from .reduce import *  # noqa: F403
from .shape import *  # noqa: F403
from .statistics import *  # noqa: F403

if not TYPE_CHECKING:  # type checkers take all names of the modules above
    __all__ = sorted(operators)
