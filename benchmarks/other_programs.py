"""Other public programs on the same book, in the same time: ``python benchmarks/other_programs.py --data-dir FOLDER
--minutes 20 [--nanogpt CLONE --flags "..."] [--tiny-diffusion CLONE]``.

Each learns from the training passages alone, by its own code and on one thread, for as many steps as fit into so many
minutes of the processor; a short run measures its pace first. nanoGPT (github.com/karpathy/nanoGPT) is an
autoregressive network of characters; it keeps its best state by the validation text. tiny-diffusion
(github.com/nathan-barry/tiny-diffusion) is a masked diffusion model of characters; it keeps its last state. It knows
ASCII only, so typographic marks become plain ones for it. It never hides the first 16 characters of a window, which are
not charged to it.

Both are scored as in protocol 2: what stands before a character within its passage may be seen, and windows slide, by
half a window or, for diffusion, by all but those 16. Figures are bits for each byte of the test text as it stands.
Writes markdown rows.
"""

import argparse
import importlib.util
import math
import os
import pickle
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tiny_diffusion.data.artefacts import Processed, load_processed
from tiny_diffusion.model.likelihood import exact_masks

PROBE, PROBE_DIFFUSION = 40, 3  # steps that measure the pace
OVERHEAD = 0.92  # share of the time that is left beside validations
PLAIN = str.maketrans({"—": "-", "–": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "…": "."})

ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


def processor_seconds() -> float:
    """What this process and the programs that it ran have taken of the processor."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def text_of(data: Processed, split: str) -> str:
    """The passages of a split as one text."""
    return "\n\n".join(data.texts(split))


def load_module(name: str, path: Path) -> ModuleType:
    """The module in the file ``path``, as ``name``."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def half_windows(ids: Tensor, block: int) -> Iterator[tuple[Tensor, int]]:
    """Windows of ``ids`` that predict at most ``block`` of them, and how many predictions windows before have made."""
    for start in range(0, max(1, len(ids) - 1 - block // 2), block // 2):
        yield ids[start : start + block + 1], block // 2 if start else 0


def train_nanogpt(clone: Path, data: Processed, flags: Sequence[str], minutes: float) -> tuple[dict[str, int], int]:
    """Train by its own ``train.py``; returns the numbers of the characters, and the steps."""
    characters = sorted(set("".join(text_of(data, split) for split in ("train", "validation", "test"))))
    numbers = {character: number for number, character in enumerate(characters)}
    folder = clone / "data" / "book"
    folder.mkdir(exist_ok=True)
    for split, name in (("train", "train.bin"), ("validation", "val.bin")):
        np.array([numbers[c] for c in text_of(data, split)], np.uint16).tofile(folder / name)
    (folder / "meta.pkl").write_bytes(pickle.dumps({"vocab_size": len(characters)}))
    given = ["--dataset=book", "--out_dir=out-book", "--device=cpu", "--compile=False", "--eval_iters=20", *flags]
    command = [sys.executable, "train.py", "config/train_shakespeare_char.py", *given]

    def seconds(steps: int, interval: int = 250) -> float:
        limits = [f"--max_iters={steps}", f"--lr_decay_iters={steps}", f"--eval_interval={interval}"]
        before = processor_seconds()
        subprocess.run([*command, *limits], cwd=clone, check=True, capture_output=True, env=ONE_THREAD)
        return processor_seconds() - before

    pace = -(seconds(PROBE) - seconds(3 * PROBE)) / (2 * PROBE)
    possible = OVERHEAD * 60 * minutes / pace
    rounds = max(4, round(possible / 250))  # validations, the last one after the last step
    interval = max(1, int(possible / rounds))
    seconds(interval * rounds, interval)
    return numbers, interval * rounds


def score_nanogpt(clone: Path, data: Processed, numbers: dict[str, int]) -> tuple[int, float]:
    """Parameters, and nats of the test text."""
    kept = torch.load(clone / "out-book" / "ckpt.pt", weights_only=True)
    code = load_module("nanogpt", clone / "model.py")
    model = code.GPT(code.GPTConfig(**kept["model_args"]))
    model.load_state_dict(kept["model"])
    model.eval()
    nats = 0.0
    with torch.no_grad():
        for text in data.texts("test"):
            ids = torch.tensor([numbers[c] for c in "\n" + text])  # the line feed is seen and not scored
            for window, done in half_windows(ids, model.config.block_size):
                logits, _ = model(window[None, :-1], window[None, 1:])
                losses = F.cross_entropy(logits[0], window[1:], reduction="none")
                nats += float(losses[done:].double().sum())
    return sum(p.numel() for p in model.parameters()), nats


def train_tiny_diffusion(code: Any, data: Processed, batch: int, minutes: float, folder: Path) -> tuple[Any, int]:
    """Train by its own loop, with its own settings but for rows per step; returns the model and the steps."""
    (folder / "book.txt").write_text(text_of(data, "train").translate(PLAIN), encoding="utf-8")
    config = code.DiffusionConfig()
    model = code.DiffusionTransformer(config)
    model.init_weights()
    noise = code.MaskedDiffusionSchedule(config.diffusion_steps, config.mask_token_id, config.context_len)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, weight_decay=0.01)  # as its ``main`` does
    loader = code.get_data_loader(folder / "book.txt", batch, config.sequence_len, torch.device("cpu"))
    rows = (each.contiguous() for each in loader)  # else its loss fails on a CPU
    began = processor_seconds()
    for _ in range(PROBE_DIFFUSION):
        code.train_step(model, next(rows), noise, optimizer)
    pace = (processor_seconds() - began) / PROBE_DIFFUSION
    steps = int(60 * minutes / pace)
    code.train(model, rows, noise, optimizer, num_steps=steps - PROBE_DIFFUSION, sample_interval=steps)
    return model, steps


@torch.no_grad()
def score_tiny_diffusion(code: Any, model: Any, data: Processed, draws: int = 16) -> float:
    """Nats of the test text by the any-order bound, with its first 16 characters of each passage for nothing."""
    model.eval()
    config, generator, nats = model.config, torch.Generator().manual_seed(0), 0.0
    seen = config.context_len
    for text in data.texts("test"):
        ids = code.encode_text(text.translate(PLAIN))
        for start in range(0, max(1, len(ids) - seen), config.sequence_len - seen):
            window = ids[start : start + config.sequence_len]
            hidden = len(window) - seen
            masked = F.pad(exact_masks(hidden, draws, generator), (seen, 0))
            rows = window.repeat(draws, 1)
            count = masked.sum(1)
            level = (count / hidden * config.diffusion_steps).ceil().long() - 1
            logits = model(rows.masked_fill(masked, config.mask_token_id), level)
            losses = F.cross_entropy(logits.transpose(1, 2), rows, reduction="none") * masked
            nats += float((losses.sum(1).double() / count).mean() * hidden)
    return nats


def tell(name: str, parameters: int, steps: int, seconds: float, nats: float, data: Processed) -> None:
    """Print a row of the table."""
    bits = nats / math.log(2) / sum(len(text.encode("utf-8")) for text in data.texts("test"))
    print(f"| {name} | {parameters / 1e6:.1f}M | {steps:,} | {seconds / 60:.1f} | {bits:.3f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=Path("data/processed"))
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--nanogpt", type=Path, help="folder of a clone")
    parser.add_argument("--flags", default="", help="of nanoGPT's train.py, beside its settings for characters")
    parser.add_argument("--tiny-diffusion", type=Path, help="folder of a clone")
    parser.add_argument("--rows", type=int, default=64, help="of tiny-diffusion's batches")
    given = parser.parse_args()
    torch.set_num_threads(1)
    data, began = load_processed(given.data_dir), processor_seconds()
    print("| program | parameters | steps | minutes | bits per byte |\n|---|---|---|---|---|", flush=True)
    if given.nanogpt:
        numbers, steps = train_nanogpt(given.nanogpt, data, shlex.split(given.flags), given.minutes)
        seconds = processor_seconds() - began
        parameters, nats = score_nanogpt(given.nanogpt, data, numbers)
        tell(f"nanoGPT {given.flags}", parameters, steps, seconds, nats, data)
    if given.tiny_diffusion:
        sys.path.insert(0, str(given.tiny_diffusion))
        code, began = load_module("training", given.tiny_diffusion / "training.py"), processor_seconds()
        model, steps = train_tiny_diffusion(code, data, given.rows, given.minutes, given.tiny_diffusion)
        seconds, parameters = processor_seconds() - began, sum(p.numel() for p in model.parameters())
        name = f"tiny-diffusion, {given.rows} rows a step"
        tell(name, parameters, steps, seconds, score_tiny_diffusion(code, model, data), data)


if __name__ == "__main__":
    main()
