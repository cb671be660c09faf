"""A sampler of your own: fill every second place first, then the places between, which see both neighbours.

    python examples/own_sampler.py outputs/best_model.pt

A sampler is a function over a ``Canvas``. It looks at masked places (one pass of the network), draws tokens for them,
settles those that it likes, and yields how many steps are still to come.
"""

import argparse
from collections.abc import Iterator

import torch

from tiny_diffusion import Writer
from tiny_diffusion.config import GenerationConfig
from tiny_diffusion.sampling.canvas import Canvas
from tiny_diffusion.sampling.denoise import SAMPLERS


def every_second(canvas: Canvas, steps: int) -> Iterator[int]:
    """Settle even places in the first half of the steps and odd places in the second, from left to right."""
    rows, length = canvas.ids.shape
    place = torch.arange(length, device=canvas.ids.device)
    rank = (place // 2 + place % 2 * length).expand(rows, length)  # even places before odd ones
    total = canvas.masked.sum(1)  # (rows,): tokens to settle in each row
    for step in range(steps):
        due = total * (step + 1) // steps - (total - canvas.masked.sum(1))  # an equal share per step
        order = rank.masked_fill(~canvas.masked, 2 * length).argsort(1).argsort(1)
        where = canvas.masked & (order < due[:, None])
        if where.any():
            prediction = canvas.look(where)
            canvas.settle(where, canvas.draw(prediction, where))
        yield steps - step - 1


def main() -> None:
    parser = argparse.ArgumentParser(description="Write with a sampler of your own and with the default one.")
    parser.add_argument("checkpoint", nargs="?", default="outputs/best_model.pt")
    parser.add_argument("--length", type=int, default=60, help="tokens to write")
    options = parser.parse_args()
    writer = Writer.load(options.checkpoint)

    # From here on the name works wherever the library samples. `model_copy` takes a name that the config does not list.
    SAMPLERS["every_second"] = every_second
    settings = GenerationConfig(length=options.length, steps=options.length, seed=1)
    for name in ("every_second", settings.sampler):
        [text] = writer.write("", settings.model_copy(update={"sampler": name}))
        sure = sum(text.confidence) / len(text.confidence)
        print(f"{name} ({text.steps} steps, mean probability {sure:.2f}):\n{text.text.strip()}\n")


if __name__ == "__main__":
    main()
