"""Quality against seconds: ``python benchmarks/frontier.py --checkpoint FILE --data-dir FOLDER``, for a dual model.

Texts of 100 tokens from nothing, one at a time as a user asks for them, by each way to write: from left to right, and
by diffusion in few and in many steps, alone and as drafts of which the causal reading takes the best. Few steps settle
places at random, which is best for them; one token per step settles the surest first. ``--ways defaults`` compares two
instead: the default settings, and those that were the default before networks had two readings (diffusion, any word,
as many tokens as asked for); ``--ways sharper`` the default settings at several temperatures, with and without the
least likely tokens; ``--ways counts`` presets without and with counts of the book beside the network. ``--show N``
prints the first N texts of each way.
All ways write text 1, then text 2, and so on, so that other jobs on the machine disturb
them alike; seconds are of the processor, and for 1,000 words. "times" is how much longer than the first way. The
measures are those of ``judges.py``, ``--judge`` too; "copied" is the longest run of words that stands in the training
text. Writes markdown; ``--json FILE`` keeps the figures.
"""

import time
from collections import defaultdict
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from judges import STRANGER, Bench, Judged, pieces
from trained import cell, keep, model_parser, read_model

from tiny_diffusion.config import GenerationConfig
from tiny_diffusion.data.copies import CopyIndex
from tiny_diffusion.evaluation.text_quality.novelty import measure_copying
from tiny_diffusion.writing.writer import Writer

COLUMNS = (
    *("way", "seconds for 1,000 words", "times", "invented, %", "new words, %", "style", "Kneser-Ney ppl", "fresh ppl"),
    *("entropy", "distinct-2", "copied", "two-sample, %", *STRANGER),
)
STEPS = (8, 16, 32, 64)


@dataclass(frozen=True)
class Row:
    """What one way writes, the seconds that 1,000 words take (0: nobody wrote them), and the longest copied run."""

    way: str
    seconds: float
    times: float
    copied: int
    judged: Judged

    def cells(self) -> list[str]:
        """As the table shows it, in the order of ``COLUMNS``."""
        q, accuracy = self.judged, self.judged.two_sample
        return [
            self.way,
            *((f"{self.seconds:.1f}", f"{self.times:.1f}") if self.seconds else "--"),
            cell(None if q.invented is None else 100 * q.invented, 1),
            f"{100 * q.new_words:.1f}",
            f"{q.style:.0f}",
            *(cell(q.perplexity, 1), cell(q.fresh_perplexity, 1), cell(q.entropy, 2), cell(q.distinct_2, 3)),
            f"{self.copied}",
            f"{100 * accuracy.accuracy:.0f} ({100 * accuracy.low:.0f}-{100 * accuracy.high:.0f})",
            *(q.stranger.cells() if q.stranger else "--"),
        ]


def readings() -> dict[str, GenerationConfig]:
    """Ways to write by name; any word may be written, so that invented ones can be counted."""
    plain = GenerationConfig(words="free")
    found = {"causal": plain.model_copy(update={"reading": "causal"})}
    for reading, name in (("masked", "diffusion"), ("drafts", "8 drafts, best")):
        for steps in STEPS:
            how = {"reading": reading, "steps": steps, "sampler": "ancestral"}
            found[f"{name}, {steps} steps"] = plain.model_copy(update=how)
        found[f"{name}, one token per step"] = plain.model_copy(update={"reading": reading})
    return found


def defaults() -> dict[str, GenerationConfig]:
    """The default settings and the old ones."""
    now = GenerationConfig()
    old = {"reading": "masked", "words": "free", "ending": "token"}
    return {"default": now, "old default": now.model_copy(update=old)}


def sharper() -> dict[str, GenerationConfig]:
    """The default settings at other temperatures, with the least likely tokens left out: by top-p or by min-p."""
    now = GenerationConfig()
    least = ({}, {"top_p": 0.95}, {"top_p": 0.9}, {"min_p": 0.01}, {"min_p": 0.02}, {"min_p": 0.05})
    found = {}
    for temperature, without in product((1.0, 0.9, 0.8), least):
        rest = "".join(f", {name.replace('_', '-')} {value}" for name, value in without.items())
        found[f"temperature {temperature}{rest}"] = now.model_copy(update={"temperature": temperature, **without})
    return found


def counts() -> dict[str, GenerationConfig]:
    """The presets ``default`` and ``conservative``, and the default by diffusion, alone and with counts of the book."""
    plain, smooth = GenerationConfig.default(), GenerationConfig.conservative()
    ways = {"default": plain, "conservative": smooth, "masked": plain.model_copy(update={"reading": "masked"})}
    beside = {"": "none", ", with counts": "ngram"}
    return {
        name + more: how.model_copy(update={"expert": e}) for name, how in ways.items() for more, e in beside.items()
    }


WAYS = {"readings": readings, "defaults": defaults, "sharper": sharper, "counts": counts}


def main() -> None:
    """Write with each way in turn, and print a table."""
    parser = model_parser(__doc__)
    parser.add_argument("--samples", type=int, default=24)
    parser.add_argument("--only", nargs="+", metavar="WORD", help="ways whose name holds one of these words")
    parser.add_argument("--ways", choices=WAYS, default="readings", help="what is compared")
    parser.add_argument("--show", type=int, default=0, metavar="N", help="print the first N texts of each way")
    parser.add_argument("--at-once", type=int, default=1, help="texts written at once, where seconds do not matter")
    parser.add_argument("--length", type=int, default=100, help="tokens of a text")
    parser.add_argument("--judge", type=Path, metavar="CHECKPOINT", help="a network of other books, see judges.py")
    arguments = parser.parse_args()
    checkpoint, data, device = read_model(arguments)
    writer = Writer.of(checkpoint, device, Path(arguments.data_dir))
    bench = Bench(data, checkpoint.config.model.vocab_level, arguments.judge)
    ways = WAYS[arguments.ways]()
    chosen = {n: how for n, how in ways.items() if not arguments.only or any(w in n for w in arguments.only)}
    seconds, texts = defaultdict[str, float](float), defaultdict[str, list[str]](list)
    for seed in range(0, arguments.samples, arguments.at_once):
        count = {"seed": seed, "num_samples": arguments.at_once, "length": arguments.length}
        for name, how in chosen.items():
            began = time.process_time()
            found = writer.write("", how.model_copy(update=count))
            seconds[name] += time.process_time() - began
            texts[name] += [text.text for text in found]
    rows: list[Row] = []
    copies = CopyIndex(bench.training)
    print(f"| {' | '.join(COLUMNS)} |")
    print("|---" * len(COLUMNS) + "|")
    texts["held-out text"] = pieces(data.texts("test")[0::2], arguments.length * 3 // 4, arguments.samples)
    for name, each in texts.items():
        took = 1000 * seconds[name] / sum(len(text.split()) for text in each)
        copied = measure_copying(each, copies, data.language, bench.settings).longest_words
        times = took / rows[0].seconds if rows else 1.0
        rows.append(Row(name, took, times, copied, bench.judged(name, each)))
        print(f"| {' | '.join(rows[-1].cells())} |", flush=True)
    for name in chosen:
        print(*(f"\n{name}, seed {seed}: {text}" for seed, text in enumerate(texts[name][: arguments.show])), sep="\n")
    keep(rows, arguments.json)


if __name__ == "__main__":
    main()
