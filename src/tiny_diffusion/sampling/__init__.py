"""Sampling: the reverse process that turns masked rows into tokens, and the left-to-right writing of causal models.

It imports ``config``, ``data``, ``model``, ``runtime``, ``files`` and ``errors`` only. Start reading at ``denoise.py``,
which holds the process and its samplers. The functions ``denoise`` and ``left_to_right``
are imported from the modules of their names.
"""

from .canvas import Canvas, Prediction
from .denoise import EQUAL_SHARES, SAMPLERS, DenoisingState, most_steps
from .draw import Numbers, choose, row_generators
from .predictor import Predictor, cast_once

__all__ = [
    "EQUAL_SHARES",
    "SAMPLERS",
    "Canvas",
    "DenoisingState",
    "Numbers",
    "Prediction",
    "Predictor",
    "cast_once",
    "choose",
    "most_steps",
    "row_generators",
]
