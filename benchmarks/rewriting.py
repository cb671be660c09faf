"""How strongly a rewriting takes on the book's style: ``python benchmarks/rewriting.py --checkpoint FILE --data-dir
FOLDER [--text FILE]``.

Passages of another text (Python's language reference, unless ``--text`` names one) are rewritten at several strengths,
at the model's default settings. Of the results: the style score (held-out text of the book has about 100), perplexity
a token under Kneser-Ney (order 5, fitted on the book's training text), and the share of the passage's words that
stand in the result in their order (the longest common subsequence). Strength 0 is the text as it was. Writes markdown;
``--json FILE`` keeps the figures.
"""

import tempfile
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from statistics import fmean

from trained import cell, keep, model_parser, read_model

from tiny_diffusion.config import EvaluationConfig, GenerationConfig
from tiny_diffusion.data.language.segmentation import split_sentences
from tiny_diffusion.data.language.words import split_words
from tiny_diffusion.data.reading.encoding import decode
from tiny_diffusion.data.reading.example import write_reference_text
from tiny_diffusion.evaluation.style.style import measure_style
from tiny_diffusion.evaluation.text_quality.frontier import Judge
from tiny_diffusion.writing.infilling.template import escape
from tiny_diffusion.writing.writer import Writer


@dataclass(frozen=True)
class Strength:
    """Measures of all passages rewritten at one strength."""

    strength: float
    style: float | None
    perplexity: float | None
    words_kept: float


def foreign_passages(file: Path | None, language: str, count: int, words: int) -> list[str]:
    """At most ``count`` runs of whole sentences of about ``words`` words, evenly taken from a text."""
    if file is None:
        with tempfile.TemporaryDirectory() as folder:
            text = write_reference_text(Path(folder) / "reference.txt").read_text(encoding="utf-8")
    else:
        text = decode(file.read_bytes(), str(file))[0]
    passages, run = [], []
    for paragraph in text.split("\n\n"):
        plain = " ".join(paragraph.split())
        run += [s for s in split_sentences(plain, language) if s.endswith(".") and len(split_words(s)) > 4]
        if sum(len(split_words(s)) for s in run) >= words:
            passages.append(" ".join(run))
            run = []
    return passages[:: max(1, len(passages) // count)][:count]


def kept_share(before: str, after: str) -> float:
    """Share of the words of ``before`` that are left, in their order."""
    a, b = split_words(before), split_words(after)
    return sum(block.size for block in SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks()) / len(a)


def main() -> None:
    """Rewrite at each strength, and print a table."""
    parser = model_parser(__doc__)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--passages", type=int, default=40)
    parser.add_argument("--words", type=int, default=60, help="of a passage, about")
    parser.add_argument("--strengths", nargs="+", type=float, default=[0.1, 0.2, 0.4, 0.6, 0.8, 1.0])
    arguments = parser.parse_args()
    checkpoint, data, device = read_model(arguments)
    settings = EvaluationConfig()
    writer = Writer(checkpoint.build(device), checkpoint.tokenizer, None, data.language)
    level = checkpoint.config.model.vocab_level
    judge = Judge(data.texts("train"), checkpoint.tokenizer, level, settings.judge_order)
    given = foreign_passages(arguments.text, data.language, arguments.passages, arguments.words)
    found = []
    print("| strength | style | Kneser-Ney ppl | words kept |")
    print("|---|---|---|---|")
    for strength in (0.0, *arguments.strengths):
        texts = given
        if strength:
            how = GenerationConfig(rewrite_strength=strength).as_drawn()
            texts = [writer.rewrite(text, how)[0].text for text in map(escape, given)]
        style = measure_style(texts, data.texts("test"), data.texts("train"), data.language, settings).score
        kept = fmean(kept_share(a, b) for a, b in zip(given, texts, strict=True))
        line = Strength(strength, style, judge.point(None, texts).perplexity, kept)
        found.append(line)
        cells = [cell(v, d) for v, d in ((line.style, 0), (line.perplexity, 1), (kept, 2))]
        print(f"| {strength:g} | {' | '.join(cells)} |", flush=True)
    keep(found, arguments.json)


if __name__ == "__main__":
    main()
