"""A masked diffusion language model in one file: it learns a text, then writes, and fills a gap.

    python examples/one_file.py                     # about a minute on two cores, on text that Python carries
    python examples/one_file.py book.txt --steps 8000

The method, after Sahoo et al. 2024 ("Simple and Effective Masked Diffusion Language Models"):

- **Noise.** Replace each character by MASK with probability t. At t = 0 the text is whole, at t = 1 it is gone.
- **Training.** Draw t at random, mask the text, and let a transformer that sees both sides guess the hidden characters.
- **Writing.** Start from nothing but MASK. Again and again, pick masked places at random and draw their characters from
  what the network expects there. A gap in a given text is filled in the same way: only the gap is masked.

The package ``tiny_diffusion`` does the same with a tokenizer, a curriculum, faster steps and honest measurements.
"""

import argparse
import math
import time
from pathlib import Path
from pydoc_data.topics import topics

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

MASK = 0  # the characters of the text are numbered from 1
GAP = "_"  # how a masked place is shown, and how a gap is typed


class Block(nn.Module):
    """A transformer block: attention over the whole row (B, T, D), left and right, then a feed-forward layer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.RMSNorm(width), nn.RMSNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        rows, length, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(rows, length, 3, self.heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, T, D / heads)
        seen = F.scaled_dot_product_attention(rotate(q), rotate(k), v)  # no causal mask
        x = x + self.out(seen.transpose(1, 2).reshape(rows, length, width))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


def rotate(x: Tensor) -> Tensor:
    """Tell queries or keys (B, heads, T, D) their places by rotating pairs of numbers (RoPE, Su et al. 2021)."""
    length, half = x.shape[2], x.shape[3] // 2
    angle = torch.arange(length)[:, None] * 10_000 ** (-torch.arange(half) / half)
    a, b = x[..., :half], x[..., half:]
    return torch.cat((a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()), dim=-1)


class Model(nn.Module):
    """Ids (B, T) with some places masked -> logits (B, T, characters). It is not told t: the masks show it."""

    def __init__(self, characters: int, width: int, layers: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(characters + 1, width)
        self.blocks = nn.Sequential(*[Block(width, max(1, width // 32)) for _ in range(layers)])
        self.head = nn.Sequential(nn.RMSNorm(width), nn.Linear(width, characters))

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.blocks(self.embedding(ids)))


def cut(text: Tensor, rows: int, length: int) -> Tensor:
    """Random stretches (rows, length) of the text."""
    starts = torch.randint(0, len(text) - length + 1, (rows, 1))
    return text[starts + torch.arange(length)]


def hidden_loss(model: Model, ids: Tensor, masked: Tensor) -> Tensor:
    """Cross-entropy in nats at each masked place; -1 because MASK, id 0, is never the answer."""
    logits = model(ids.masked_fill(masked, MASK))
    return F.cross_entropy(logits[masked], ids[masked] - 1, reduction="none")


def train(model: Model, text: Tensor, length: int, steps: int, rows: int = 16) -> None:
    """Train for so many steps of AdamW; its learning rate rises for 20 steps and falls to zero over the second half."""
    peak = 0.003
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95))
    began = time.monotonic()
    for step in range(steps):
        ids = cut(text, rows, length)
        t = (torch.rand(1) + torch.arange(rows) / rows) % 1  # a mask rate for each row, spread evenly over 0 to 1
        masked = torch.rand(ids.shape) < t[:, None].clamp(min=1 / length)
        loss = hidden_loss(model, ids, masked).mean()
        loss.backward()
        optimizer.param_groups[0]["lr"] = peak * min(1, (step + 1) / 20, 2 - 2 * step / steps)
        optimizer.step()
        optimizer.zero_grad()
        if step % max(1, steps // 10) == 0:
            print(f"step {step:5}  {time.monotonic() - began:4.0f} s  loss {loss.item():.3f} nats per hidden character")


@torch.no_grad()
def bits_per_character(model: Model, text: Tensor, length: int, rows: int = 256) -> float:
    """An upper bound on the surprise of new text. Hide exactly k of L characters, k uniform from 1 to L; the mean of
    the k surprises, times L characters, is on average at least -log p(text): the bound over all orders of writing."""
    ids = cut(text, rows, length)
    k = 1 + torch.arange(rows) % length
    masked = torch.rand(ids.shape).argsort(1).argsort(1) < k[:, None]
    weights = (1 / k)[:, None].expand_as(ids)[masked]
    return float((hidden_loss(model, ids, masked) * weights).sum() / rows / math.log(2))


@torch.no_grad()
def fill(model: Model, ids: Tensor, steps: int, temperature: float = 0.8) -> list[Tensor]:
    """Fill the masked places of a row (T,) in random order, an equal share per step; the row after each step."""
    places = (ids == MASK).nonzero().squeeze(1)
    places = places[torch.randperm(len(places))]
    states = [ids]
    for chosen in places.tensor_split(max(1, min(steps, len(places)))):
        chances = (model(states[-1][None])[0, chosen].double() / temperature).softmax(-1)
        states.append(states[-1].scatter(0, chosen, 1 + torch.multinomial(chances, 1).squeeze(1)))
    return states


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a masked diffusion model on a text, then write with it.")
    parser.add_argument("book", nargs="?", type=Path, help="a text file in UTF-8; else Python's language reference")
    parser.add_argument("--steps", type=int, default=800, help="training steps")
    parser.add_argument("--length", type=int, default=96, help="characters that the model sees at once")
    parser.add_argument("--width", type=int, default=128, help="numbers per character within the network")
    parser.add_argument("--layers", type=int, default=4, help="transformer blocks")
    parser.add_argument("--gap", default="The value of ________ is not a string.", help="a text with _ to be filled")
    options = parser.parse_args()
    torch.manual_seed(0)
    book = options.book.read_text(encoding="utf-8") if options.book else "\n".join(topics.values())
    book = " ".join(book.replace(GAP, " ").split())
    if len(book) < 20 * options.length:
        parser.error(f"the text has {len(book)} characters; it needs {20 * options.length} or more")
    characters = sorted(set(book) | set(options.gap) - {GAP})
    number = {GAP: MASK} | {c: i for i, c in enumerate(characters, start=1)}
    shown = {i: c for c, i in number.items()}
    text = torch.tensor([number[c] for c in book])
    held_out = len(text) // 10  # the last tenth is never trained on
    model = Model(len(characters), options.width, options.layers)
    train(model, text[:-held_out], options.length, options.steps)
    print(
        f"\nheld-out text: at most {bits_per_character(model, text[-held_out:], options.length):.2f} bits per character"
    )
    states = fill(model, torch.full((options.length,), MASK), steps=options.length)
    for i in (0, 1, 2, 3, 4):
        print("".join(shown[c] for c in states[i * (len(states) - 1) // 4].tolist()))
    print("".join(shown[c] for c in fill(model, torch.tensor([number[c] for c in options.gap]), steps=99)[-1].tolist()))


if __name__ == "__main__":
    main()
