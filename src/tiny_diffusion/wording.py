"""Counts and lengths of time, as people write and read them."""

import math
import re

from .errors import UserError

# Hours, minutes and seconds, each of them optional.
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def counted(number: int, noun: str) -> str:
    """``1 word``, ``2,000 words``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def duration(seconds: float) -> str:
    """Seconds as a short text: 42s, 3m10s, 2h05m, 12 days."""
    if math.isnan(seconds):
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 172_800:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86_400} days"


def read_duration(text: str, name: str) -> float:
    """Seconds of ``90s``, ``20m``, ``2h`` or ``1h30m``; ``name`` is the flag that a complaint names.

    Raises:
        UserError: the text is no length of time, or the length is 0.
    """
    match = _DURATION.fullmatch(text.strip().lower())
    hours, minutes, rest = (int(part or 0) for part in match.groups()) if match is not None else (0, 0, 0)
    seconds = 3600 * hours + 60 * minutes + rest
    if seconds == 0:
        raise UserError(f"{name} {text!r} is no length of time above 0; write it like 90s, 20m, 2h or 1h30m")
    return float(seconds)
