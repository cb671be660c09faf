"""Train a masked diffusion language model on one book, then write, continue and fill gaps in its style.

``from tiny_diffusion import Writer``; torch is imported with it, and not before.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .writing.results import Refused, Written
    from .writing.writer import Writer

__all__ = ["Refused", "Writer", "Written"]

_HOMES = {"Refused": ".writing.results", "Writer": ".writing.writer", "Written": ".writing.results"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name], __name__), name)
