"""``python -m tiny_diffusion``."""

from .cli import main

main()
