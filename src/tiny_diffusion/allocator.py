"""Memory of the process: what the C library keeps, and what a limit leaves."""

import ctypes
import platform
import sys
from pathlib import Path

from .errors import WorldError

# mallopt(3) of glibc: blocks of their own from the system at most, and when free memory goes back to it.
M_MMAP_MAX, M_TRIM_THRESHOLD = -4, -1
NEVER = -1
GLIBC = "glibc"
# Bytes of address space: what loading torch and its company takes, and what kernels, threads and allocators take beside
# the model. The library of matrix products does not check what it gets: with less than SCRATCH, some runs end by a
# segmentation fault (tests.storm.storm, kind "memory").
LIBRARIES, SCRATCH = 750 * 10**6, 512 * 2**20


def check_address_space(needed: int, what: str) -> None:
    """Raise WorldError where a limit (``ulimit -v``) leaves this process less than ``needed`` bytes; Linux only.

    ``what``: what takes them, in the message.
    """
    if sys.platform != "linux":
        return
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    left = limit - int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    if limit != resource.RLIM_INFINITY and left < needed:
        raise WorldError(
            f"out of memory: the limit of this process leaves {max(0, left) / 1e9:.2f} GB, and {what} need "
            f"{needed / 1e9:.2f} GB; raise the limit (ulimit -v)"
        )


def keep_freed_memory() -> bool:
    """Have the process keep freed memory for its next tensors; whether the C library will.

    glibc hands large blocks back at once, and the system clears every page of the next one anew: a fifth of a training
    step on a CPU. The process then holds what it held at its peak, and slowly more: blocks that are freed do not always
    fit the next ones. So ``release_freed_memory`` now and then. Other C libraries are left as they are.
    """
    if platform.libc_ver()[0] != GLIBC:
        return False
    library = ctypes.CDLL(None)
    return bool(library.mallopt(M_MMAP_MAX, 0) and library.mallopt(M_TRIM_THRESHOLD, NEVER))


def release_freed_memory() -> bool:
    """Give the system all memory that is free now; whether there was any."""
    return platform.libc_ver()[0] == GLIBC and bool(ctypes.CDLL(None).malloc_trim(0))
