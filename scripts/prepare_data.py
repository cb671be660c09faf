"""Prepare a book; the same as `tiny-diffusion prepare`."""

import sys

from tiny_diffusion.cli import main

if __name__ == "__main__":
    main(["prepare", *sys.argv[1:]])
