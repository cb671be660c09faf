"""What the scripts beside this file share: one command of the installed package, or how to install it."""

import sys
from pathlib import Path


def run(name: str) -> None:
    """Run ``tiny-diffusion NAME`` with the arguments of this process; exit code 2 when the package is not installed."""
    try:
        from tiny_diffusion.cli import main
    except ModuleNotFoundError as error:
        checkout = Path(__file__).resolve().parents[1]
        advice = f"{sys.executable} -m pip install -e '{checkout}'"
        print(f"error: no module {error.name} in this Python; install the package first: {advice}", file=sys.stderr)
        sys.exit(2)
    main([name, *sys.argv[1:]])
