"""A mask schedule of your own: how often does training show each share of hidden tokens?

    python examples/own_schedule.py data/processed          # about a minute; data/processed comes from prepare

At time t a token is visible with probability alpha(t), which falls from 1 at t = 0 to 0 at t = 1. The masks of
training, the weights of the loss and the samplers' steps all ask the same object, so a new schedule is one class.
"""

import argparse
from pathlib import Path

import torch
from torch import Generator, Tensor

from tiny_diffusion import Writer
from tiny_diffusion.config import GenerationConfig, ModelConfig
from tiny_diffusion.data.artefacts import load_processed
from tiny_diffusion.data.tokenizer import NUM_RESERVED
from tiny_diffusion.model.loss import diffusion_loss
from tiny_diffusion.model.schedule import CosineSchedule, LinearSchedule, MaskSchedule, uniform_time_masks
from tiny_diffusion.model.transformer import Transformer


class SquareSchedule(MaskSchedule):
    """alpha(t) = 1 - t^2: rows with few hidden tokens are shown more often than under the linear schedule."""

    def alpha(self, t: Tensor) -> Tensor:
        """Chance that a token is visible at ``t``."""
        return 1 - t**2

    def derivative(self, t: Tensor) -> Tensor:
        """Derivative of ``alpha``."""
        return -2 * t

    def rate(self, t: Tensor) -> Tensor:
        """Chance that a token is masked at ``t``."""
        return t**2

    def time(self, rate: float) -> float:
        """The time at which the mask rate is ``rate``."""
        return rate**0.5


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a small model under three mask schedules.")
    parser.add_argument("data", nargs="?", type=Path, default=Path("data/processed"), help="folder that prepare wrote")
    parser.add_argument("--steps", type=int, default=300, help="training steps for each schedule")
    options = parser.parse_args()
    data, shape = load_processed(options.data), ModelConfig.smoke()
    stream = torch.tensor(data.tokenizer.encode("\n\n".join(data.texts("train")), shape.vocab_level))
    vocabulary = NUM_RESERVED + data.tokenizer.level_size(shape.vocab_level)

    for schedule in (LinearSchedule(), CosineSchedule(), SquareSchedule()):
        torch.manual_seed(0)
        numbers, hidden, losses = Generator().manual_seed(0), 0.0, []
        model = Transformer(shape, vocabulary, NUM_RESERVED, schedule)
        optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
        for _ in range(options.steps):
            starts = torch.randint(0, len(stream) - shape.context, (16, 1), generator=numbers)
            ids = stream[starts + torch.arange(shape.context)]
            masked, t = uniform_time_masks(ids, schedule, numbers)
            # Weighted like this, the expected loss is the same likelihood bound under every schedule.
            loss = diffusion_loss(model, ids, masked, t, weighting="bound") / ids.numel()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            hidden += float(masked.float().mean()) / options.steps
            losses.append(loss.item())
        last = losses[-len(losses) // 4 :]
        bound = sum(last) / len(last)
        print(f"{type(schedule).__name__}: {hidden:.0%} of the tokens hidden, bound {bound:.2f} nats per token")
        [text] = Writer(model, data.tokenizer).write("", GenerationConfig(sampler="ancestral", steps=32, length=32))
        print(f"  {' '.join(text.text.split())}")


if __name__ == "__main__":
    main()
