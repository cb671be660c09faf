"""Write text; the same as `tiny-diffusion generate`."""

import sys

from tiny_diffusion.cli import main

if __name__ == "__main__":
    main(["generate", *sys.argv[1:]])
