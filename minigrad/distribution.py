"""The name of the distribution, which differs from the import name `minigrad`.

On the package index `minigrad` is another project.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

PACKAGE = Path(__file__).parent
#: the distribution; its package and its command are called `minigrad`
NAME = "minigrad-numba"


def install_hint(extra: str = "") -> str:
    """The command that installs minigrad, or one of its extras, for messages."""
    return f'pip install "{NAME}[{extra}]"' if extra else f"pip install {NAME}"


def check() -> None:
    """Raise `ImportError` where the other distribution has overwritten files of this package."""
    for other in metadata.distributions(name="minigrad", path=[str(PACKAGE.parent)]):
        if any(file.parts[0] == PACKAGE.name for file in other.files or ()):
            raise ImportError(
                f"{PACKAGE} has files of another distribution, minigrad {other.version}, which has "
                f"the same import name: "
                f"pip uninstall minigrad, then pip install --force-reinstall --no-deps {NAME}"
            )
