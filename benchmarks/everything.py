"""All that has learnt one book, multiplied: ``python benchmarks/everything.py CHECKPOINT... --data-dir FOLDER``.

Each checkpoint is read from left to right, whatever its kind and size: dual networks by their causal reading, twins as
they are. Each is a factor with an exponent of its own, beside Kneser-Ney counts of five tokens; the exponents are
fitted on the validation text. ``evaluate --member`` does the same for networks of one kind. Writes a markdown table of
bits per byte of the test text (protocol 1): every network alone, their mean, their product without and with the counts.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from tiny_diffusion.checkpoint import Checkpoint, check_same_data, load_checkpoint
from tiny_diffusion.data.artefacts import load_processed
from tiny_diffusion.data.ngrams import count_tokens
from tiny_diffusion.errors import UserError
from tiny_diffusion.evaluation.likelihood.bound import HeldOut, held_out
from tiny_diffusion.evaluation.likelihood.experts import laws_of, mean_law
from tiny_diffusion.model.product import Laws, fit_exponents
from tiny_diffusion.runtime import find_device
from tiny_diffusion.sampling.counts import ORDER


def check_alike(checkpoints: Sequence[Checkpoint]) -> None:
    """Raise UserError unless all read the same tokens in windows of the same length."""
    kinds = {
        (each.tokenizer.to_json(), each.config.model.vocab_level, each.config.model.context) for each in checkpoints
    }
    if len(kinds) > 1:
        raise UserError("the checkpoints differ in their tokens or in their context")


def bits(nats: torch.Tensor, held: HeldOut) -> float:
    """Bits per byte of tokens that cost ``nats``."""
    return float(nats.double().sum()) / math.log(2) / float(held.bytes.sum())


def under(laws: Sequence[Laws], exponents: Sequence[float]) -> torch.Tensor:
    """Nats of all tokens under the product of the first laws of each window, as many as there are exponents."""
    powers = torch.zeros(len(laws[0].log_probs))
    powers[: len(exponents)] = torch.tensor(exponents)
    return torch.cat([each.nats(powers) for each in laws])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+", type=Path)
    parser.add_argument("--data-dir", type=Path, default=Path("data/processed"))
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    data, device = load_processed(given.data_dir), find_device(given.device)
    checkpoints = [load_checkpoint(path) for path in given.checkpoints]
    for each in checkpoints:
        check_same_data(each, data)
    check_alike(checkpoints)
    first, networks = checkpoints[0], [each.build(device) for each in checkpoints]
    level, context = first.config.model.vocab_level, first.config.model.context
    counts = count_tokens(data.texts("train"), first.tokenizer, level, ORDER)
    fitting, held = (held_out(data.texts(s), first.tokenizer, level, context, 0) for s in ("validation", "test"))
    known, laws = ([*laws_of(networks, counts, each.windows)] for each in (fitting, held))
    alone = [under(laws, [*[0.0] * number, 1.0]) for number in range(len(networks))]
    rows = [(str(path), bits(nats, held), "") for path, nats in zip(given.checkpoints, alone, strict=True)]
    mean = torch.from_numpy(mean_law(np.stack([nats.numpy() for nats in alone])))
    rows.append((f"mean of {len(networks)}", bits(mean, held), ""))
    of_networks = fit_exponents([Laws(each.log_probs[:-1], each.targets) for each in known])
    for name, exponents in (("product", of_networks), ("product with counts", fit_exponents(known))):
        rows.append((name, bits(under(laws, exponents), held), ", ".join(f"{each:.2f}" for each in exponents)))
    print("| test text | bits per byte | exponents |\n|---|---|---|")
    for name, figure, exponents in rows:
        print(f"| {name} | {figure:.3f} | {exponents} |")


if __name__ == "__main__":
    main()
