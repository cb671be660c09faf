"""Run a command on a CUDA device that is not there: ``python benchmarks/dry_cuda.py [--gb N] -- COMMAND ...``.

Builds a driver and a runtime that hand out memory and launch nothing (``dry_cuda.c``), and runs the command before
them. Numbers are nonsense then, but torch takes the ways that it takes on a GPU: its allocator gives out every block in
order, Triton compiles every kernel, and a wait for the device is a wait. So peak memory, kernels that compile and the
host's time are measured on a machine without a GPU. A command that asks for more than ``--gb`` runs out of memory.
Needs a CUDA build of torch, gcc and nm (Linux). The device counts as one of compute capability 8.6.

    python benchmarks/dry_cuda.py -- python benchmarks/gpu.py
"""

import argparse
import os
import re
import subprocess
import tempfile
from pathlib import Path

import torch

SOURCE = Path(__file__).with_suffix(".c")
LIBRARIES = tuple(
    f"lib{name}.so" for name in ("c10_cuda", "torch_cuda", "torch_cuda_linalg", "torch_python", "caffe2_nvrtc")
)
OWN = re.compile(r"^(cuda[A-Z]|cublas|cu[A-Z]|__cudaLaunch|__cudaGetKernel)\w*$")


def wanted_symbols() -> set[str]:
    """The driver's, the runtime's and cuBLAS's functions that torch calls."""
    folder = Path(torch.__file__).parent / "lib"
    found: set[str] = set()
    for path in (folder / name for name in LIBRARIES):
        if path.exists():
            listed = subprocess.run(["nm", "-D", "--undefined-only", path], check=True, capture_output=True, text=True)
            found |= {line.split()[-1].split("@")[0] for line in listed.stdout.splitlines()}
    return {name for name in found if OWN.match(name)}


def header_folders() -> list[Path]:
    """Where CUDA's headers lie among the installed packages."""
    packages = Path(torch.__file__).parents[1]
    found = {path.parent for path in packages.glob("nvidia/**/driver_types.h")}
    return [*found, *{path.parents[1] for path in packages.glob("*/**/crt/host_defines.h")}]


def build(folder: Path) -> Path:
    """The library in ``folder``: what the source defines, and functions that return 0 for all else."""
    text = SOURCE.read_text(encoding="utf-8")
    rest = sorted(wanted_symbols() - set(re.findall(r"\w+", text)))
    source, library = folder / "dry_cuda.c", folder / "libcuda.so.1"
    source.write_text(text + "".join(f"int {name}() {{ return 0; }}\n" for name in rest), encoding="utf-8")
    includes = [f"-I{path}" for path in header_folders()]
    command = ["gcc", "-w", "-O1", "-shared", "-fPIC", *includes, "-Wl,-soname,libcuda.so.1", "-o", library, source]
    subprocess.run(command, check=True)
    return library


def main() -> None:
    """Build the library, and run the command before it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gb", type=float, default=8.0, help="memory of the device")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    if torch.version.cuda is None:
        raise SystemExit("this torch was built without CUDA")
    with tempfile.TemporaryDirectory() as name:
        library = build(Path(name))
        environment = {
            **os.environ,
            "LD_PRELOAD": str(library),
            "TRITON_LIBCUDA_PATH": name,
            "TRITON_CACHE_DIR": str(Path(name) / "triton"),
            "TORCHINDUCTOR_CACHE_DIR": str(Path(name) / "inductor"),
            "DRY_CUDA_BYTES": str(int(arguments.gb * 1e9)),
        }
        raise SystemExit(subprocess.run(arguments.command, env=environment).returncode)


if __name__ == "__main__":
    main()
