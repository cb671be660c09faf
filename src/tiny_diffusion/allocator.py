"""How the C library treats the memory that tensors free."""

import ctypes
import platform

# mallopt(3) of glibc: blocks of their own from the system at most, and when free memory goes back to it.
M_MMAP_MAX, M_TRIM_THRESHOLD = -4, -1
NEVER = -1
GLIBC = "glibc"


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
