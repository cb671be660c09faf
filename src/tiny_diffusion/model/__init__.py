"""The network and its maths: the transformer, masked diffusion with its likelihood bound, and the autoregressive twin.

It may import ``config`` and ``runtime`` only: no data, no files, no training loop.
Start reading with ``transformer`` (the backbone) and ``loss`` (masked diffusion), whose noise is in ``schedule``.
"""

from .autoregressive import autoregressive_nats, next_token_loss, next_token_losses
from .layers import KeyValueCache
from .likelihood import chain_rule, likelihood_bound
from .loss import diffusion_loss
from .schedule import SCHEDULES, CosineSchedule, LinearSchedule, MaskSchedule
from .transformer import MASK_ID, Transformer

__all__ = [
    "MASK_ID",
    "SCHEDULES",
    "CosineSchedule",
    "KeyValueCache",
    "LinearSchedule",
    "MaskSchedule",
    "Transformer",
    "autoregressive_nats",
    "chain_rule",
    "diffusion_loss",
    "likelihood_bound",
    "next_token_loss",
    "next_token_losses",
]
