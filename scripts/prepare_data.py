"""Prepare a book; the same as `tiny-diffusion prepare`."""

from command import run

if __name__ == "__main__":
    run("prepare")
