"""Shows how a text comes out of the noise: animated in a terminal, as a GIF, and as an HTML page.

It may import ``data``, ``sampling`` and ``writing``, but knows nothing of models. Start with ``frames``, which turns
the states of a run into pieces of text; ``terminal``, ``gif`` and ``page`` draw them.
"""

from .frames import Frame, Piece, Recording, final_frame
from .gif import check_gif, write_gif
from .page import write_page
from .terminal import Stage, can_animate, play

__all__ = [
    "Frame", "Piece", "Recording", "Stage", "can_animate", "check_gif", "final_frame", "play", "write_gif",
    "write_page",
]  # fmt: skip
