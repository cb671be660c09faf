"""Train a model; the same as `tiny-diffusion train`."""

from command import run

if __name__ == "__main__":
    run("train")
