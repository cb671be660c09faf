"""Quality against seconds: ``python benchmarks/frontier.py --checkpoint FILE --data-dir FOLDER``, for a dual model.

Texts of 100 tokens from nothing, one at a time as a user asks for them, by each way to write: from left to right, and
by diffusion in few and in many steps, alone and as drafts of which the causal reading takes the best. Few steps settle
places at random, which is best for them; one token per step settles the surest first. All ways write text 1, then text
2, and so on, so that other jobs on the machine disturb them alike; seconds are of the processor, and for 1,000 words.
"times" is how much longer than the causal way. The measures are those of ``judges.py``. Writes markdown; ``--json
FILE`` keeps the figures.
"""

import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from judges import Bench, Judged, pieces
from trained import cell, keep, model_parser, read_model

from tiny_diffusion.config import GenerationConfig
from tiny_diffusion.writing.writer import Writer

COLUMNS = (
    *("way", "seconds for 1,000 words", "times", "invented, %", "new words, %", "style", "fresh ppl", "entropy"),
    "two-sample, %",
)
STEPS = (8, 16, 32, 64)


@dataclass(frozen=True)
class Row:
    """What one way writes, and the seconds that 1,000 words take."""

    way: str
    seconds: float
    judged: Judged


def ways() -> dict[str, GenerationConfig]:
    """Settings by name; any word may be written, so that invented ones can be counted."""
    plain = GenerationConfig(length=100, words="free")
    found = {"causal": plain.model_copy(update={"reading": "causal"})}
    for reading, name in (("masked", "diffusion"), ("drafts", "8 drafts, best")):
        for steps in STEPS:
            how = {"reading": reading, "steps": steps, "sampler": "ancestral"}
            found[f"{name}, {steps} steps"] = plain.model_copy(update=how)
        found[f"{name}, one token per step"] = plain.model_copy(update={"reading": reading})
    return found


def main() -> None:
    """Write with each way in turn, and print a table."""
    parser = model_parser(__doc__)
    parser.add_argument("--samples", type=int, default=24)
    parser.add_argument("--only", nargs="+", metavar="WORD", help="ways whose name holds one of these words")
    arguments = parser.parse_args()
    checkpoint, data, device = read_model(arguments)
    writer = Writer.of(checkpoint, device, Path(arguments.data_dir))
    bench = Bench(data, checkpoint.config.model.vocab_level)
    chosen = {n: how for n, how in ways().items() if not arguments.only or any(w in n for w in arguments.only)}
    seconds, texts = defaultdict[str, float](float), defaultdict[str, list[str]](list)
    for seed in range(arguments.samples):
        for name, how in chosen.items():
            began = time.process_time()
            found = writer.write("", how.model_copy(update={"seed": seed}))
            seconds[name] += time.process_time() - began
            texts[name] += [text.text for text in found]
    rows = []
    print(f"| {' | '.join(COLUMNS)} |")
    print("|---" * len(COLUMNS) + "|")
    texts["held-out text"] = pieces(data.texts("test")[0::2], 75, arguments.samples)
    for name, each in texts.items():
        q = bench.judged(name, each)
        rows.append(Row(name, 1000 * seconds[name] / sum(len(text.split()) for text in each), q))
        took, times = rows[-1].seconds, rows[-1].seconds / rows[0].seconds
        accuracy = f"{100 * q.two_sample.accuracy:.0f} ({100 * q.two_sample.low:.0f}-{100 * q.two_sample.high:.0f})"
        cells = [
            name,
            *((f"{took:.1f}", f"{times:.1f}") if took else "--"),
            cell(None if q.invented is None else 100 * q.invented, 1),
        ]
        cells += [f"{100 * q.new_words:.1f}", f"{q.style:.0f}", cell(q.fresh_perplexity, 1), cell(q.entropy, 2)]
        print(f"| {' | '.join([*cells, accuracy])} |", flush=True)
    keep(rows, arguments.json)


if __name__ == "__main__":
    main()
