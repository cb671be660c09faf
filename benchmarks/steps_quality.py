"""Each sampler by steps: ``python benchmarks/steps_quality.py --checkpoint FILE --data-dir FOLDER [--twin FILE]``.

Texts of a context's length, from nothing, at the model's own distribution unless told otherwise. For each sampler and
number of steps: perplexity a token under Kneser-Ney (order 5, fitted on the training text) and under the
autoregressive twin, the entropy of a text's tokens in nats (mean over texts), distinct word pairs over all pairs, the
longest run of words copied from the training text, the style score, the share of words that the training text lacks
(the last line tells how many are to be expected), and written tokens a second. Low perplexity with low entropy is
repetition, not quality. The last line is held-out text in pieces of the same length. Writes markdown; ``--json FILE``
keeps the figures. ``--samplers entropy --set generation.block=32`` measures some samplers under other settings.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from trained import cell, keep, model_parser, read_model

from tiny_diffusion.checkpoint import load_checkpoint
from tiny_diffusion.config import EvaluationConfig, GenerationConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.copies import CopyIndex
from tiny_diffusion.data.language.words import split_words
from tiny_diffusion.evaluation.style.style import measure_style
from tiny_diffusion.evaluation.text_quality.frontier import Judge
from tiny_diffusion.sampling.denoise import SAMPLERS
from tiny_diffusion.writing.writer import Writer

PRESETS = ("default", "creative", "conservative", "fast")
COLUMNS = (
    *("sampler", "steps", "Kneser-Ney ppl", "twin ppl", "entropy", "distinct-2", "copied words", "style"),
    *("unseen words", "tokens/s"),
)
EVALUATION = EvaluationConfig()


@dataclass(frozen=True)
class Quality:
    """Measures of the texts of one way to write; ``steps`` are those taken, by the mean over texts."""

    way: str
    steps: float
    perplexity: float | None
    twin_perplexity: float | None
    entropy: float | None
    distinct_2: float | None
    copied_words: int
    style: float | None
    unseen_words: float
    tokens_per_second: float


class Yardstick:
    """Measures texts with the training and held-out text of a book."""

    def __init__(self, data: Processed, judge: Judge) -> None:
        self.judge, self.language = judge, data.language
        self.training, self.held = data.texts("train"), data.texts("test")
        self.index = CopyIndex(self.training)
        self.known = {word for text in self.training for word in split_words(text)}

    def measure(self, way: str, steps: float, texts: list[str], rate: float) -> Quality:
        """Measures of ``texts``."""
        point = self.judge.point(None, texts)
        words = [word for text in texts for word in split_words(text)]
        return Quality(
            way,
            steps,
            perplexity=point.perplexity,
            twin_perplexity=point.twin_perplexity,
            entropy=point.entropy,
            distinct_2=point.distinct_2,
            copied_words=max(found.longest for found in self.index.match(texts)),
            style=measure_style(texts, self.held, self.training, self.language, EVALUATION).score,
            unseen_words=sum(word not in self.known for word in words) / max(1, len(words)),
            tokens_per_second=rate,
        )


def ways(
    samplers: list[str], steps: list[int], length: int, base: GenerationConfig
) -> Iterator[tuple[str, GenerationConfig]]:
    """A name and settings for each way to write."""
    for sampler in samplers:
        for count in sorted({*steps, length}):
            yield sampler, base.model_copy(update={"sampler": sampler, "steps": count})


def preset_ways(length: int, samples: int) -> Iterator[tuple[str, GenerationConfig]]:
    """The presets of generation as they are."""
    for name in PRESETS:
        preset: GenerationConfig = getattr(GenerationConfig, name)()
        yield name, preset.as_drawn().model_copy(update={"length": length, "num_samples": samples})


def main() -> None:
    """Write with each sampler and number of steps, and print a table."""
    parser = model_parser(__doc__)
    parser.add_argument("--twin", type=Path)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--samplers", nargs="+", choices=SAMPLERS, default=list(SAMPLERS), metavar="NAME")
    parser.add_argument("--steps", nargs="*", type=int, default=[4, 8, 16, 32, 64], help="beside one token a step")
    parser.add_argument("--presets", action="store_true", help="the presets of generation instead of samplers by steps")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--top-p", type=float, default=1.0)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="generation.block=32, say")
    parser.add_argument("--cpu-time", action="store_true", help="tokens by CPU second, where other jobs are running")
    arguments = parser.parse_args()
    checkpoint, data, device = read_model(arguments)
    level, length = checkpoint.config.model.vocab_level, checkpoint.config.model.context
    writer = Writer(checkpoint.build(device), checkpoint.tokenizer)
    twin = None if arguments.twin is None else load_checkpoint(arguments.twin).build(device)
    judge = Judge(data.texts("train"), checkpoint.tokenizer, level, EVALUATION.judge_order, twin, arguments.samples)
    yardstick, found = Yardstick(data, judge), []
    print(f"| {' | '.join(COLUMNS)} |")
    print("|---" * len(COLUMNS) + "|")

    def tell(quality: Quality) -> None:
        found.append(quality)
        q = quality
        cells = [q.way, f"{q.steps:.0f}", cell(q.perplexity, 1), cell(q.twin_perplexity, 1), cell(q.entropy, 2)]
        cells += [cell(q.distinct_2, 3), str(q.copied_words), cell(q.style, 0)]
        cells += [f"{q.unseen_words:.3f}", f"{q.tokens_per_second:,.0f}"]
        print(f"| {' | '.join(cells)} |", flush=True)

    plain = {"temperature": arguments.temperature, "top_p": arguments.top_p, "num_samples": arguments.samples}
    config = ProjectConfig.default().override(**{f"generation.{key}": value for key, value in plain.items()})
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    base = config.override_from_args(arguments.set).generation.as_drawn().model_copy(update={"length": length})
    tried = ways(arguments.samplers, arguments.steps, length, base)
    if arguments.presets:
        tried = preset_ways(length, arguments.samples)
    for way, settings in tried:
        began = clock()
        texts = writer.write("", settings)
        rate = length * len(texts) / (clock() - began)
        tell(yardstick.measure(way, fmean(text.steps for text in texts), [text.text for text in texts], rate))
    pieces = []
    for text in data.texts("test"):
        ids = checkpoint.tokenizer.encode(text, level)
        pieces += [ids[i : i + length] for i in range(0, len(ids) - length + 1, length)]
    held = [checkpoint.tokenizer.decode(piece) for piece in pieces[: arguments.samples]]
    tell(yardstick.measure("held-out text", 0, held, 0.0))
    keep(found, arguments.json)


if __name__ == "__main__":
    main()
