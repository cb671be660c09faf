"""Train a model; the same as `tiny-diffusion train`."""

import sys

from tiny_diffusion.cli import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
