"""What this machine is and what it can do: cores, memory, disk, and the speed of matrix products and copies."""

import os
import platform
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from ..runtime import can_compile, fast_bfloat16, find_device
from ..training.memory import Device

PRODUCT = 1024  # rows and columns of the matrix products that are timed
SMALL_PRODUCT = 256  # for bfloat16 if it is emulated, which is some hundred times slower
COPY_BYTES = 64_000_000
ROUNDS = 5
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # of a container


@dataclass(frozen=True)
class Machine:
    """The machine, and what the program uses of it. Sizes are in bytes; None means unknown."""

    system: str
    processor: str
    cores: int
    threads: int
    load: float | None
    memory: int | None
    memory_free: int | None
    disk_free: int
    device: str
    gpu: str | None
    gpu_memory: int | None
    gpu_memory_free: int | None
    torch: str
    bfloat16: bool
    compiles: bool
    matmul_precision: str
    variables: dict[str, str]

    @property
    def kind(self) -> Device:
        """The memory estimate's name for the place where training runs."""
        return "cuda" if self.gpu else "cpu"

    @property
    def training_memory(self) -> int | None:
        """Free bytes where training runs: of the GPU, otherwise of the machine."""
        return self.gpu_memory_free if self.gpu else self.memory_free


@dataclass(frozen=True)
class Peaks:
    """Measured: operations per second of matrix products, and bytes per second read and written by a copy."""

    float32: float
    bfloat16: float
    bandwidth: float


def look(folder: Path) -> Machine:
    """Find out about the machine; the disk is the one that holds ``folder`` or its nearest existing parent."""
    device, folder = find_device("auto"), folder.resolve()
    gpu = torch.cuda.get_device_properties(device) if device.type == "cuda" else None
    total, free = read_memory()
    names = [n for n in os.environ if n.startswith(("OMP_", "MKL_", "OPENBLAS_", "KMP_", "GOMP_"))]
    return Machine(
        system=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        memory=total,
        memory_free=free,
        disk_free=shutil.disk_usage(next(p for p in (folder, *folder.parents) if p.exists())).free,
        device=str(device),
        gpu=gpu.name if gpu else None,
        gpu_memory=gpu.total_memory if gpu else None,
        gpu_memory_free=torch.cuda.mem_get_info(device)[0] if gpu else None,
        torch=torch.__version__,
        bfloat16=fast_bfloat16(device),
        compiles=can_compile(device),
        matmul_precision=torch.get_float32_matmul_precision(),
        variables={name: os.environ[name] for name in sorted(names)},
    )


def read_memory() -> tuple[int | None, int | None]:
    """Total and free bytes of memory, within the limit of a container if there is one; None if unknown."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None, None
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    info = Path("/proc/meminfo")
    free = None
    if info.exists():
        rows = dict(line.split(":") for line in info.read_text().splitlines())
        free = int(rows["MemAvailable"].split()[0]) * 1024
    for path in map(Path, LIMITS):
        if path.exists() and (text := path.read_text().strip()).isdigit():
            total = min(total, int(text))
            free = None if free is None else min(free, total)
    return total, free


def measure_peaks(device: torch.device) -> Peaks:
    """Time matrix products and copies, about a second in all; bfloat16 on small ones if it is emulated."""
    return Peaks(
        float32=_product_rate(device, torch.float32, PRODUCT),
        bfloat16=_product_rate(device, torch.bfloat16, PRODUCT if fast_bfloat16(device) else SMALL_PRODUCT),
        bandwidth=_bandwidth(device),
    )


def _product_rate(device: torch.device, dtype: torch.dtype, size: int) -> float:
    a = torch.randn(size, size, device=device).to(dtype)
    return 2 * size**3 / _quickest(lambda: a @ a)


def _bandwidth(device: torch.device) -> float:
    source = torch.ones(COPY_BYTES // 4, device=device)
    target = torch.empty_like(source)
    return 2 * COPY_BYTES / _quickest(lambda: target.copy_(source))


def _quickest(compute: Callable[[], torch.Tensor]) -> float:
    """Seconds of the quickest of some rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        compute().flatten()[0].item()  # .item() waits for a GPU
        best = min(best, time.perf_counter() - began)
    return best


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith(("model name", "Model")):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
