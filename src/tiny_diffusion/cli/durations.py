"""Lengths of time as people write them."""

import math
import re

from ..errors import UserError

_FORM = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def read_duration(text: str, name: str) -> float:
    """Seconds of ``90s``, ``20m``, ``2h`` or ``1h30m``; raises UserError, naming the flag ``name``, for all else."""
    match = _FORM.fullmatch(text.strip().lower())
    seconds = 0
    if match is not None:
        hours, minutes, rest = (int(part) if part else 0 for part in match.groups())
        seconds = 3600 * hours + 60 * minutes + rest
    if seconds == 0:
        raise UserError(f"{name} {text!r} is no length of time above 0; write it like 90s, 20m, 2h or 1h30m")
    return float(seconds)


def show_duration(seconds: float) -> str:
    """Seconds as a short text: 42s, 3m10s, 2h05m, 12 days; ``?`` for not a number."""
    if math.isnan(seconds):
        return "?"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 172_800:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86_400} days"
