"""Measure a model; the same as `tiny-diffusion evaluate`."""

from command import run

if __name__ == "__main__":
    run("evaluate")
