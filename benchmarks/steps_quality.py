"""What fewer steps cost: ``python benchmarks/steps_quality.py --checkpoint FILE --data-dir FOLDER``.

Texts of a context's length, from nothing, at the model's own distribution unless told otherwise. For each sampler and
number of steps: perplexity a token under Kneser-Ney (order 5, fitted on the training text), the entropy of a text's
tokens in nats (mean over texts), distinct token pairs over all pairs, and the longest run of words copied from the
training text. Low perplexity with low entropy is repetition, not quality. The last line is held-out text in pieces of
the same length. Writes markdown; ``--json FILE`` keeps the figures.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from tiny_diffusion.checkpoint import check_same_data, load_checkpoint
from tiny_diffusion.config import GenerationConfig
from tiny_diffusion.data.artefacts import Processed, load_processed
from tiny_diffusion.data.tokenizer import NUM_RESERVED, BookTokenizer
from tiny_diffusion.evaluation.baselines import KneserNey
from tiny_diffusion.evaluation.novelty import longest_copied_run
from tiny_diffusion.runtime import find_device
from tiny_diffusion.sampling.writer import Writer

ORDER = 5


@dataclass(frozen=True)
class Quality:
    """Measures of the texts of one way to write."""

    sampler: str
    steps: int
    perplexity: float
    entropy: float
    distinct_2: float
    copied_words: int
    seconds: float


class Judge:
    """Measures token rows with the training text as the yardstick."""

    def __init__(self, data: Processed, tokenizer: BookTokenizer, level: int) -> None:
        self.tokenizer = tokenizer
        self.source = "\n\n".join(data.texts("train"))
        self.table = KneserNey(ORDER, tokenizer.level_size(level))
        self.table.fit([np.array(tokenizer.encode(text, level)) - NUM_RESERVED for text in data.texts("train")])

    def measure(self, sampler: str, steps: int, rows: list[list[int]], seconds: float) -> Quality:
        """Measures of ``rows`` of ids."""
        nats = np.concatenate([-self.table.log_probs(np.array(row) - NUM_RESERVED) for row in rows])
        pairs = [pair for row in rows for pair in zip(row, row[1:], strict=False)]
        return Quality(
            sampler,
            steps,
            perplexity=float(np.exp(nats.mean())),
            entropy=float(np.mean([entropy(row) for row in rows])),
            distinct_2=len(set(pairs)) / len(pairs),
            copied_words=max(longest_copied_run(self.tokenizer.decode(row), self.source).words for row in rows),
            seconds=seconds,
        )


def entropy(row: list[int]) -> float:
    """Entropy in nats of how often each id stands in ``row``."""
    share = np.unique(np.array(row), return_counts=True)[1] / len(row)
    return float(-(share * np.log(share)).sum())


def main() -> None:
    """Write with each sampler and number of steps, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=Path("outputs/best_model.pt"))
    parser.add_argument("--data-dir", type=Path, default=Path("data/processed"))
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--steps", nargs="+", type=int, default=[4, 8, 16, 32, 64], help="beside one token a step")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--top-p", type=float, default=1.0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    checkpoint, data = load_checkpoint(arguments.checkpoint), load_processed(arguments.data_dir)
    check_same_data(checkpoint, data)
    level, length = checkpoint.config.model.vocab_level, checkpoint.config.model.context
    writer = Writer(checkpoint.build(find_device(arguments.device)), checkpoint.tokenizer)
    judge = Judge(data, checkpoint.tokenizer, level)
    print("| sampler | steps | perplexity | entropy | distinct-2 | copied words | seconds |")
    print("|---|---|---|---|---|---|---|")
    found: list[Quality] = []

    def tell(quality: Quality) -> None:
        found.append(quality)
        q = quality
        print(
            f"| {q.sampler} | {q.steps} | {q.perplexity:.1f} | {q.entropy:.2f} | {q.distinct_2:.3f} | "
            f"{q.copied_words} | {q.seconds:.1f} |",
            flush=True,
        )

    for sampler in ("first_hitting", "ancestral", "confidence"):
        for steps in sorted({*arguments.steps, length}):
            settings = GenerationConfig(
                sampler=sampler,  # type: ignore[arg-type]
                steps=steps,
                temperature=arguments.temperature,
                top_p=arguments.top_p,
                length=length,
                num_samples=arguments.samples,
            ).as_drawn()
            began = time.perf_counter()
            texts = writer.write("", settings)
            tell(judge.measure(sampler, steps, [list(text.ids) for text in texts], time.perf_counter() - began))
    held = [torch.tensor(checkpoint.tokenizer.encode(text, level)).split(length) for text in data.texts("test")]
    rows = [piece.tolist() for pieces in held for piece in pieces if len(piece) == length]
    tell(judge.measure("held-out text", 0, rows[: arguments.samples], 0.0))
    if arguments.json:
        rows_of = [asdict(quality) for quality in found]
        arguments.json.write_text(json.dumps(rows_of, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
