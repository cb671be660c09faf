"""Measure a model; the same as `tiny-diffusion evaluate`."""

import sys

from tiny_diffusion.cli import main

if __name__ == "__main__":
    main(["evaluate", *sys.argv[1:]])
