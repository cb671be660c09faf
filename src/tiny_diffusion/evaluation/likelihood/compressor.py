"""A compressor as a baseline: PPMd (variant H, as in 7-Zip), primed with the training text."""

from collections.abc import Iterator, Sequence

import pyppmd

PHASES = 32
MEMORY_PER_BYTE, LEAST_MEMORY = 64, 1 << 24


def ppm_bits(training: bytes, windows: Sequence[bytes], order: int) -> Iterator[float]:
    """Yield the bits of each window after ``training``, each from the same primed state.

    The bits are the growth of the compressed size when the window is appended. Sizes are whole bytes, so for a window
    of b bytes the growth is floor(f + b) - floor(f), where the phase f is the fraction of the last byte that the primed
    state fills. With the same f for all windows, rounding would shift all of them alike. So window i is primed with the
    training text minus its first i mod PHASES bytes, which gives as many phases, spread over a byte by chance. Over
    uniform phases the mean growth is exactly b: a window is off by less than a byte, and the mean over many windows by
    about 0.3 / sqrt(PHASES) bytes per window (0.4 bits).
    """
    primed: list[int] = []
    for i, window in enumerate(windows):
        text = training[i % PHASES :]
        if i < PHASES:
            primed.append(compressed_size(text, order))
        yield 8.0 * (compressed_size(text + window, order) - primed[i % PHASES])


def compressed_size(data: bytes, order: int) -> int:
    """Size in bytes of ``data`` compressed by PPMd, with enough memory that its model is never reset."""
    encoder = pyppmd.Ppmd7Encoder(order, max(LEAST_MEMORY, MEMORY_PER_BYTE * len(data)))
    return len(encoder.encode(data)) + len(encoder.flush())
