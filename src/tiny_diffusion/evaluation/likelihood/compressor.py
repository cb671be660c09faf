"""PPMd (variant H, as in 7-Zip) primed with the training text: what a good general compressor needs for a window."""

from collections.abc import Iterator, Sequence

import pyppmd

PHASES = 32
MEMORY_PER_BYTE, LEAST_MEMORY = 64, 1 << 24


def ppm_bits(training: bytes, windows: Sequence[bytes], order: int) -> Iterator[float]:
    """Bits of each window after ``training``, one by one, each from the same primed state.

    The bits are the growth of the compressed size when the window is appended. A size is in whole bytes, so the
    growth is floor(f + b) - floor(f) for a window of b bytes, where the phase f is how much of the last byte the
    primed state fills. With one f for all windows the rounding would be one and the same push in every window. So
    window i is primed with the training text less its first i mod PHASES bytes, which gives as many phases, spread
    over a byte as chance has it. Over uniform phases the mean growth is b exactly: a window is off by less than a
    byte, and the sum of many windows by about 0.3 / sqrt(PHASES) bytes a window (0.4 bits).
    """
    primed: list[int] = []
    for i, window in enumerate(windows):
        text = training[i % PHASES :]
        if i < PHASES:
            primed.append(compressed_size(text, order))
        yield 8.0 * (compressed_size(text + window, order) - primed[i % PHASES])


def compressed_size(data: bytes, order: int) -> int:
    """Bytes that PPMd makes of ``data``; memory enough that its model never starts afresh."""
    encoder = pyppmd.Ppmd7Encoder(order, max(LEAST_MEMORY, MEMORY_PER_BYTE * len(data)))
    return len(encoder.encode(data)) + len(encoder.flush())
