"""Freed memory stays with the process, so that the next tensor of its size faults no page in."""

import platform
import subprocess
import sys

import pytest

from tiny_diffusion import allocator

SCRIPT = """
import resource, sys
import torch
from tiny_diffusion.allocator import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()
rows = torch.ones(10_000_000, requires_grad=True)  # above 32 MB, which glibc gives back however often it is asked for


def count_faults(steps):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(steps):
        rows.sigmoid().square().mean().backward()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


count_faults(3)
print(count_faults(3))
"""


@pytest.mark.long
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_kept_memory_is_not_faulted_in_again() -> None:
    def faults(how: str) -> int:
        done = subprocess.run([sys.executable, "-c", SCRIPT, how], check=True, capture_output=True, text=True)
        return int(done.stdout)

    assert faults("keep") < faults("as it is") / 3


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator.platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: pytest.fail("no library is to be opened"))
    assert allocator.keep_freed_memory() is False


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_released_memory_goes_back_to_the_system() -> None:
    script = """
import torch
from pathlib import Path
from tiny_diffusion.allocator import keep_freed_memory, release_freed_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])

keep_freed_memory()
torch.ones(50_000_000)
before = resident()
assert release_freed_memory()
print(before - resident())
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert int(done.stdout) * 4096 > 150_000_000  # of 200 MB
