"""Write text; the same as `tiny-diffusion generate`."""

from command import run

if __name__ == "__main__":
    run("generate")
