"""The command line, and the only part of the project that prints: one click command per module.

It may import every other package, those with torch only within functions, so that help comes at once.
Start with ``main.py``, whose table COMMANDS names the module of each command.
"""

from .main import main

__all__ = ["main"]
