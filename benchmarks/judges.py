"""What the judges of text say of texts whose quality is known: ``python benchmarks/judges.py --data-dir FOLDER
[--model NAME=CHECKPOINT ...] [--other-books FILE ...]``.

Half of the held-out passages are the yardstick; the texts to be judged come from the other half or from elsewhere, cut
into as many pieces of as many words. "held-out": as they are. "shuffled": the words of each sentence in random order,
marks in place. "looping": the first twelve words again and again. "copied": training text. "word salad": words of the
training text at random. Then other books, and models at the default settings of measurement. Columns: the style score
with the lowest of its parts, the accuracy of the two-sample test with its interval (50 is the aim), perplexity per
token under Kneser-Ney of the training text and under the fresh judge, the entropy of tokens, distinct-2, words that are
new to the book, and invented ones. With ``--judge CHECKPOINT``, a network that learnt from other books alone
(``train --curriculum.shelf_epochs``), two more: the bits per byte that its causal reading pays, and how many fewer they
are with at least 8 tokens before each than with 2 or 3: what context saves. Writes markdown; ``--json FILE`` keeps the
figures.
"""

import argparse
import math
import random
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from trained import cell, keep

from tiny_diffusion.checkpoint import Checkpoint, check_same_data, load_checkpoint
from tiny_diffusion.config import EvaluationConfig, GenerationConfig
from tiny_diffusion.data.artefacts import Processed, load_processed
from tiny_diffusion.data.language.segmentation import split_sentences
from tiny_diffusion.data.reading.encoding import decode
from tiny_diffusion.data.tokenizer import BOS
from tiny_diffusion.evaluation.style.prose import read_prose
from tiny_diffusion.evaluation.style.style import measure_style
from tiny_diffusion.evaluation.text_quality.coherence import invented_share, unseen_share
from tiny_diffusion.evaluation.text_quality.frontier import Judge
from tiny_diffusion.evaluation.text_quality.samples import whole_sentences
from tiny_diffusion.evaluation.text_quality.two_sample import TwoSample, measure_two_sample
from tiny_diffusion.model.autoregressive import token_losses_in_batches
from tiny_diffusion.runtime import find_device
from tiny_diffusion.writing.writer import Writer

WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
STRANGER = ("bits per byte by other books", "saved by context")
COLUMNS = (
    *("text", "style", "lowest part", "two-sample, %", "Kneser-Ney ppl", "fresh ppl", "entropy", "distinct-2"),
    *("new words, %", "invented, %", *STRANGER),
)


@dataclass(frozen=True)
class Judged:
    """What the judges say of one kind of text."""

    name: str
    style: float
    lowest: str
    two_sample: TwoSample
    perplexity: float | None
    fresh_perplexity: float | None
    entropy: float | None
    distinct_2: float | None
    new_words: float
    invented: float | None
    stranger: "Strange | None"


@dataclass(frozen=True)
class Strange:
    """What texts cost a network of other books, in bits per byte, and how many of them context saves it."""

    bits: float
    saved: float

    def cells(self) -> tuple[str, str]:
        """As a table shows them under ``STRANGER``."""
        return f"{self.bits:.3f}", f"{self.saved:.3f}"


class Stranger:
    """A network of other books. It reads each token after few and after more of the tokens before it.

    Where words fit each other, those further back help to foretell the next one; where they do not, they hardly help.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint, self.model = checkpoint, checkpoint.build(find_device("cpu"))

    def judge(self, texts: list[str]) -> Strange:
        """``saved``: by a context of 8 to 15 tokens instead of 2 or 3."""
        few, more, most = (self._bits(texts, tokens) for tokens in (2, 8, 64))
        return Strange(most, few - more)

    def _bits(self, texts: list[str], tokens: int) -> float:
        """Bits per byte, each token after at least ``tokens`` others, fewer than twice as many, or all there are."""
        config, windows, seen = self.checkpoint.config.model, list[torch.Tensor](), list[int]()
        for text in texts:
            ids = torch.tensor(self.checkpoint.tokenizer.encode(text, config.vocab_level))
            for start in range(0, len(ids), tokens):
                windows.append(ids[max(0, start - tokens) : start + tokens])
                seen.append(min(start, tokens))
        nats = 0.0
        for owner, losses in token_losses_in_batches(self.model, windows, BOS, 32):
            nats += sum(float(row[seen[number] :].sum()) for number, row in zip(owner.tolist(), losses, strict=True))
        return nats / math.log(2) / sum(len(text.encode()) for text in texts)


class Bench:
    """The judges, with the half of the held-out passages that they compare with."""

    def __init__(self, data: Processed, level: int, judge: Path | None = None) -> None:
        self.data, self.settings = data, EvaluationConfig()
        self.training, self.held = data.texts("train"), data.texts("test")[1::2]
        self.judge = Judge(self.training, data.tokenizer, level, self.settings.judge_order, held=self.held)
        self.stranger = judge and Stranger(load_checkpoint(judge))
        self.known = frozenset(read_prose(self.training, data.language).all_words)

    def judged(self, name: str, texts: list[str]) -> Judged:
        """Judge texts as ``evaluate`` does."""
        language = self.data.language
        whole = [whole_sentences(text, language) for text in texts]
        style = measure_style(whole, self.held, self.training, language, self.settings)
        point, prose = self.judge.point(None, texts), read_prose(whole, language)
        return Judged(
            name,
            style.score,
            min(style.parts, key=lambda part: part.score).name,
            measure_two_sample(texts, self.held, self.training, language, self.settings),
            point.perplexity,
            point.fresh_perplexity,
            point.entropy,
            point.distinct_2,
            unseen_share(prose, self.known),
            invented_share(prose, self.known, language),
            self.stranger and self.stranger.judge(texts),
        )


def shuffled(text: str, language: str, rng: random.Random) -> str:
    """``text`` with the words of each sentence in random order and its marks in their places."""
    sentences = []
    for sentence in split_sentences(" ".join(text.split()), language):
        words = WORD.findall(sentence)
        rng.shuffle(words)
        sentences.append(WORD.sub(lambda _, words=words: words.pop(), sentence))  # type: ignore[misc]
    return " ".join(sentences)


def pieces(texts: list[str], words: int, count: int) -> list[str]:
    """``count`` pieces of ``words`` words between spaces, evenly spread over texts; fewer if there are not so many."""
    found = []
    for text in texts:
        ends = [match.span() for match in re.finditer(r"\S+", text)]
        found += [text[ends[i][0] : ends[i + words - 1][1]] for i in range(0, len(ends) - words + 1, words)]
    count = min(count, len(found))
    return [found[i * len(found) // count] for i in range(count)]


def book(path: Path) -> str:
    """The paragraphs of a file, without the licence of Project Gutenberg and the front matter."""
    text = decode(path.read_bytes(), str(path))[0]
    parts = re.split(r"\*\*\* ?(?:START|END)[^\n]*", text)
    text = parts[1] if len(parts) > 1 else text
    paragraphs = [" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text)]
    paragraphs = [paragraph for paragraph in paragraphs if len(paragraph.split()) > 3]
    return "\n\n".join(paragraphs[len(paragraphs) // 10 :])


def anchors(data: Processed, words: int, count: int) -> dict[str, list[str]]:
    """Texts of known quality, by name."""
    rng = random.Random(0)
    held = pieces(data.texts("test")[0::2], words, count)
    training = " ".join(data.texts("train")).split()
    return {
        "held-out": held,
        "shuffled": [shuffled(text, data.language, rng) for text in held],
        "looping": [" ".join((text.split()[:12] * words)[:words]) for text in held],
        "copied": pieces(data.texts("train"), words, count),
        "word salad": [" ".join(rng.choices(training, k=words)) for _ in held],
    }


def main() -> None:
    """Judge all texts, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=Path("data/processed"))
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--other-books", action="append", type=Path, default=[])
    parser.add_argument("--no-anchors", action="store_true", help="other books and models only")
    parser.add_argument("--words", type=int, default=110, help="in each text that is no model's")
    parser.add_argument("--level", type=int, default=2, help="vocabulary level of the perplexities")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--judge", type=Path, metavar="CHECKPOINT", help="a network of other books")
    arguments = parser.parse_args()
    data = load_processed(arguments.data_dir)
    bench, found = Bench(data, arguments.level, arguments.judge), []
    count, tokens = bench.settings.samples, bench.settings.sample_tokens
    texts = {} if arguments.no_anchors else anchors(data, arguments.words, count)
    texts |= {path.stem: pieces([book(path)], arguments.words, count) for path in arguments.other_books}
    for name, _, path in (each.partition("=") for each in arguments.model):
        checkpoint = load_checkpoint(Path(path))
        check_same_data(checkpoint, data)
        writer = Writer(checkpoint.build(find_device("cpu")), checkpoint.tokenizer, lines=checkpoint.keeps_lines)
        how = GenerationConfig().as_drawn().model_copy(update={"num_samples": count, "length": tokens})
        texts[name] = [text.text for text in writer.write("", how)]
    print(f"| {' | '.join(COLUMNS)} |")
    print("|---" * len(COLUMNS) + "|")
    for name, each in texts.items():
        q = bench.judged(name, each)
        found.append(q)
        told = f"{100 * q.two_sample.accuracy:.0f} ({100 * q.two_sample.low:.0f}-{100 * q.two_sample.high:.0f})"
        cells = [name, f"{q.style:.0f}", q.lowest if q.style < 100 else "-", told, cell(q.perplexity, 1)]
        cells += [cell(q.fresh_perplexity, 1), cell(q.entropy, 2), cell(q.distinct_2, 3), f"{100 * q.new_words:.1f}"]
        cells.append(cell(None if q.invented is None else 100 * q.invented, 1))
        cells += q.stranger.cells() if q.stranger else ("-", "-")
        print(f"| {' | '.join(cells)} |", flush=True)
    keep(found, arguments.json)


if __name__ == "__main__":
    main()
