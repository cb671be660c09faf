"""The network and its maths: the transformer, masked diffusion with its likelihood bound, and the autoregressive twin.

It may import ``config`` and ``runtime`` only: no data, no files, no training loop.
Start reading with ``transformer`` (the backbone) and ``diffusion`` (noise and loss).
"""

from .autoregressive import autoregressive_nats, next_token_loss, next_token_losses
from .diffusion import MASK_ID, diffusion_loss
from .layers import KeyValueCache
from .likelihood import chain_rule, likelihood_bound
from .schedule import SCHEDULES, CosineSchedule, LinearSchedule, MaskSchedule
from .transformer import Transformer

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
