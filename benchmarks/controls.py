"""What each learnt control moves: ``python benchmarks/controls.py --checkpoint FILE --data-dir FOLDER``.

For every level of every control, at several strengths of guidance: texts of about a context's length from nothing, at
the model's default settings, and of them words a sentence (the mean over sentences), the share of characters that are
spoken, the difficulty of a sentence (the combined score of ``prepare``, fitted on the training sentences) and the share
of words that are rare in general use, each with half of its 95 % interval over texts; and what it costs: perplexity
under Kneser-Ney (order 5), and the entropy of a text's tokens. ``book`` rows are the training text's own passages of
that level, cut into texts as long. The vocabulary levels, which hold without being learnt, stand below. Writes
markdown; ``--json FILE`` keeps the figures.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import t
from trained import cell, keep, model_parser, read_model

from tiny_diffusion.config import EvaluationConfig, GenerationConfig
from tiny_diffusion.config.generation_config import CONTROLS
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.difficulty import score_sentences
from tiny_diffusion.errors import UserError
from tiny_diffusion.evaluation.style.prose import read_prose
from tiny_diffusion.evaluation.style.vocabulary import rare_word_share
from tiny_diffusion.evaluation.text_quality.frontier import Judge
from tiny_diffusion.training.epochs import StageRows
from tiny_diffusion.writing.writer import Writer

EVALUATION = EvaluationConfig()
EPOCHS_READ = 3  # of each stage, for the book's own rows
COLUMNS = ("words a sentence", "spoken", "difficulty", "rare words")
OWN_COLUMN = {"sentence_length": 0, "dialogue": 1, "difficulty": 2, "vocab_level": 3}  # what a control is meant to move


@dataclass(frozen=True)
class Figure:
    """A mean over texts and half of its 95 % interval."""

    mean: float
    half: float

    @classmethod
    def of(cls, values: list[float]) -> "Figure":
        """Of the texts that have the measure."""
        found = np.array([value for value in values if not np.isnan(value)])
        if len(found) < 2:
            return cls(float(found.mean()) if len(found) else float("nan"), float("nan"))
        half = t.ppf(0.975, len(found) - 1) * found.std(ddof=1) / len(found) ** 0.5
        return cls(float(found.mean()), float(half))


@dataclass(frozen=True)
class Line:
    """Measures of the texts under one level of one control, or of the book's own rows of that level."""

    control: str
    level: str
    guidance: float | None
    texts: int
    sentence_words: Figure
    spoken: Figure
    difficulty: Figure
    rare: Figure
    perplexity: float | None
    entropy: float | None

    @property
    def figures(self) -> tuple[Figure, ...]:
        """In the order of COLUMNS."""
        return self.sentence_words, self.spoken, self.difficulty, self.rare

    def markdown(self) -> str:
        """A row of the table; the figure that the control is meant to move is bold."""
        where = "book" if self.guidance is None else f"{self.guidance:g}"
        cells = [self.control, self.level, where, str(self.texts)]
        for i, figure in enumerate(self.figures):
            text = f"{figure.mean:.{1 if i == 0 else 2}f} ±{figure.half:.{1 if i == 0 else 2}f}"
            cells.append(f"**{text}**" if OWN_COLUMN.get(self.control) == i else text)
        cells += [cell(v, d) for v, d in ((self.perplexity, 1), (self.entropy, 2))]
        return f"| {' | '.join(cells)} |"


class Measure:
    """Measures texts by a book's training text."""

    def __init__(self, data: Processed, judge: Judge) -> None:
        self.data, self.judge = data, judge
        self.training = [sentence.text for sentence in data.sentences]

    def line(self, control: str, level: str, guidance: float | None, texts: list[str]) -> Line:
        """The line of ``texts``; those without a sentence do not count."""
        found = [p for text in texts for p in [read_prose([text], self.data.language)] if p.words]
        sentences = [s for prose in found for s in prose.sentences]
        scores = score_sentences(
            self.training + sentences, self.data.language, self.data.pipeline, fit=len(self.training)
        ).combined[len(self.training) :]
        parts = np.split(scores, np.cumsum([len(p.sentences) for p in found])[:-1])
        point = self.judge.point(None, texts)
        return Line(
            control,
            level,
            guidance,
            len(found),
            Figure.of([float(p.lengths.mean()) for p in found]),
            Figure.of([float(p.spoken.sum() / p.characters.sum()) for p in found]),
            Figure.of([float(part.mean()) for part in parts]),
            Figure.of([rare_word_share(p.sentences, self.data.language, EVALUATION.rare_zipf) for p in found]),
            point.perplexity,
            point.entropy,
        )


def book_texts(rows: StageRows, data: Processed, control: str, level: int, count: int) -> list[str]:
    """At most ``count`` of the training rows that are one document and have this level."""
    found: list[str] = []
    stages = range(len(rows.encoded)) if control == "stage" else [len(rows.encoded) - 1]
    for stage in stages:
        for epoch in range(EPOCHS_READ):
            layout = rows.epoch(stage, rows.config.curriculum.stages[stage].epochs + epoch)
            taken = rows.take(layout, torch.arange(len(layout)))
            assert taken.controls is not None
            for ids, documents, levels in zip(taken.ids, taken.documents, taken.controls, strict=True):
                for number in range(1, int(documents.max()) + 1):
                    inside = documents == number
                    own = levels[0] if len(levels) == 1 else levels[inside][0]
                    if own[list(CONTROLS).index(control)] == level:
                        found.append(data.tokenizer.decode(ids[inside].tolist()))
    order = np.random.default_rng(0).permutation(len(found))
    return [found[i] for i in order[:count]]


def ways(controls: list[str], strengths: list[float], vocab_level: int) -> Iterator[tuple[str, str, float]]:
    """Control, level, guidance: none first, the vocabulary's levels up to the model's own last."""
    yield "none", "any", 1.0
    for control in controls:
        for level in CONTROLS[control]:
            for guidance in strengths:
                yield control, level, guidance
    for number in range(1, vocab_level + 1):
        yield "vocab_level", str(number), 1.0


def main() -> None:
    """Write under each control, and print a table."""
    parser = model_parser(__doc__)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--controls", nargs="+", choices=list(CONTROLS), default=list(CONTROLS))
    parser.add_argument("--guidance", nargs="+", type=float, default=[1.0, 2.0, 3.0])
    arguments = parser.parse_args()
    checkpoint, data, device = read_model(arguments)
    if not checkpoint.config.model.controls:
        raise SystemExit(f"{arguments.checkpoint} was trained without controls: train with --model.controls true")
    model = checkpoint.config.model
    writer = Writer(checkpoint.build(device), checkpoint.tokenizer, None, data.language)
    rows = StageRows(checkpoint.config, data)
    judge = Judge(data.texts("train"), checkpoint.tokenizer, model.vocab_level, EVALUATION.judge_order)
    measure, lines = Measure(data, judge), []
    print(f"| control | level | guidance | texts | {' | '.join(COLUMNS)} | Kneser-Ney ppl | entropy |")
    print("|---" * (6 + len(COLUMNS)) + "|")

    def tell(line: Line) -> None:
        lines.append(line)
        print(line.markdown(), flush=True)

    base = GenerationConfig(length=model.context, num_samples=arguments.samples)
    for control, level, guidance in ways(arguments.controls, arguments.guidance, model.vocab_level):
        if control in CONTROLS and guidance == arguments.guidance[0]:
            number = 1 + CONTROLS[control].index(level)
            if own := book_texts(rows, data, control, number, arguments.samples):
                tell(measure.line(control, level, None, own))
        changes = {} if control == "none" else {control: level}
        settings = GenerationConfig(**{**base.model_dump(), **changes, "guidance": guidance})
        try:
            texts = [written.text for written in writer.write("", settings)]
        except UserError as error:  # a level that this book has no text of
            print(f"| {control} | {level} | - | {error} |")
            continue
        tell(measure.line(control, level, guidance, texts))
    keep(lines, arguments.json)


if __name__ == "__main__":
    main()
