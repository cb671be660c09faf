"""The whole evaluation of one checkpoint: likelihood, style, novelty, thresholds."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch

from ..checkpoint import Checkpoint
from ..config import EvaluationConfig, GenerationConfig
from ..data.artefacts import Processed
from ..data.segmentation import split_sentences
from ..files import write_text
from ..model.transformer import Transformer
from ..runtime import autocast
from ..sampling.writer import Writer
from .breakdown import (
    FormatLikelihood,
    HeldOutSentences,
    MaskRate,
    format_examples,
    format_likelihood,
    mask_rate_curve,
    score_held_out,
    window_thirds,
)
from .comparison import Rivals, Step, check_same_data, compare
from .leaks import Leaks, leaks_of
from .likelihood import HeldOut, Likelihood, held_out
from .novelty import copied_ngram_share, longest_copied_run
from .style import StyleComparison, compare_style

VERSION = 2
NO_RIVALS = Rivals()
LEAK_THRESHOLD = "held-out sentences in training (share)"


@dataclass(frozen=True)
class Threshold:
    """A quality threshold: the figure measured, the most it may be, and whether it is met."""

    name: str
    value: float
    limit: float
    met: bool


@dataclass(frozen=True)
class Novelty:
    """Copying by generated text, beside the held-out text's own figures as the floor."""

    longest_copied_words: int
    longest_copied_text: str
    held_out_longest_copied_words: int
    copied_5gram_share: float
    held_out_copied_5gram_share: float


@dataclass(frozen=True)
class Report:
    """Everything that ``evaluation.json`` holds.

    split: which held-out passages were scored, in ``windows`` windows of at most ``window_tokens`` tokens out of
    ``passages`` passages; rough_interval: fewer than ten passages, so that intervals are over windows. draws: masks a
    window behind the bound. bytes_per_token of the windows, and level_1_bytes_per_token of the same text at vocabulary
    level 1. likelihood: the table, the model's own row first (the bound, or exact for an autoregressive model).
    mask_rates and formats: empty when not asked for, mask_rates also for an autoregressive model. leaks: held-out
    sentences that stand in the training text. style: see StyleComparison. samples: the texts that style and novelty
    are measured on.
    """

    version: int
    split: str
    window_tokens: int
    windows: int
    passages: int
    rough_interval: bool
    draws: int
    bytes_per_token: float
    level_1_bytes_per_token: float
    parameters: int
    likelihood: list[Likelihood]
    mask_rates: list[MaskRate]
    formats: list[FormatLikelihood]
    leaks: Leaks
    style: dict[str, object]
    novelty: Novelty
    thresholds: list[Threshold]
    samples: list[str] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write as JSON, whole or not at all."""
        write_text(path, json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n")


def evaluate(
    checkpoint: Checkpoint,
    data: Processed,
    settings: EvaluationConfig,
    generation: GenerationConfig,
    device: torch.device,
    rivals: Rivals = NO_RIVALS,
) -> Iterator[Step | Report]:
    """Measure a checkpoint, yielding each step as it begins and the report at the end.

    Raises UserError when the checkpoint was trained on other data, or a rival cannot be measured beside it.
    """
    check_same_data(checkpoint, data)
    model = checkpoint.build(device)
    yield Step("looking for held-out sentences in the training text")
    leaks = leaks_of(data, settings.split)
    yield Step("difficulty of the held-out text")
    scored = score_held_out(data, settings.split)
    texts = data.texts(settings.split)
    windows = held_out(
        texts, checkpoint.tokenizer, checkpoint.config.model.vocab_level, model.config.context, settings.windows
    )
    passages = [p for p in data.passages if p.split == settings.split]
    windows = replace(windows, third=window_thirds(windows, passages, scored))
    found: list[Likelihood] = []
    for event in compare(checkpoint, model, data, windows, settings, rivals):
        if isinstance(event, Step):
            yield event
        else:
            found.append(event)
    rates: list[MaskRate] = []
    formats: list[FormatLikelihood] = []
    if settings.breakdown_draws:
        yield Step("likelihood by mask rate and by format")
        with autocast(device, checkpoint.config.training.precision):
            rates, formats = _break_down(model, checkpoint, data, windows, scored, settings)

    yield Step("writing samples")
    samples = write_samples(model, checkpoint, settings, generation)
    yield Step("style and novelty")
    style = compare_style([whole_sentences(s, data.language) for s in samples], texts, data.language)
    novelty = measure_novelty(samples, texts, data.texts("train"))
    scored_passages = len(set(windows.passage.tolist()))
    yield Report(
        version=VERSION,
        split=settings.split,
        window_tokens=model.config.context,
        windows=len(windows.windows),
        passages=scored_passages,
        rough_interval=scored_passages < 10,
        draws=settings.draws,
        bytes_per_token=float(windows.bytes.sum() / windows.tokens),
        level_1_bytes_per_token=windows.level_1_bytes,
        parameters=model.count()[0],
        likelihood=found,
        mask_rates=rates,
        formats=formats,
        leaks=leaks,
        style=style.to_dict(),
        novelty=novelty,
        thresholds=_thresholds(found[0], style, novelty, leaks, settings),
        samples=samples,
    )


def _break_down(
    model: Transformer,
    checkpoint: Checkpoint,
    data: Processed,
    windows: HeldOut,
    scored: HeldOutSentences,
    settings: EvaluationConfig,
) -> tuple[list[MaskRate], list[FormatLikelihood]]:
    """The curve over mask rates (none for an autoregressive model), and a row for each format."""
    how = {"draws": settings.breakdown_draws, "batch_size": settings.batch_size, "seed": settings.seed}
    rates = [] if model.config.causal else list(mask_rate_curve(model, windows.windows, **how))
    level, formats = checkpoint.config.model.vocab_level, []
    for name, examples in format_examples(data, settings.split, scored).items():
        if settings.windows:
            examples = examples[:: -(-len(examples) // settings.windows)]
        formats.append(format_likelihood(model, checkpoint.tokenizer, level, name, examples, **how))
    return rates, formats


def write_samples(
    model: Transformer, checkpoint: Checkpoint, settings: EvaluationConfig, generation: GenerationConfig
) -> list[str]:
    """Texts written without a prompt, in batches."""
    writer = Writer(model, checkpoint.tokenizer)
    samples: list[str] = []
    while len(samples) < settings.samples:
        wanted = min(settings.batch_size, settings.samples - len(samples))
        how = generation.model_copy(
            update={"num_samples": wanted, "length": settings.sample_tokens, "seed": settings.seed + len(samples)}
        )
        samples += writer.write("", how)
    return samples


def whole_sentences(text: str, language: str) -> str:
    """``text`` without its first and last sentence, which a sample begins and ends in the middle of.

    A sample of fewer than three sentences stays as it is.
    """
    sentences = [s for paragraph in text.split("\n\n") for s in split_sentences(paragraph, language)]
    return " ".join(sentences[1:-1]) if len(sentences) > 2 else text


def measure_novelty(samples: list[str], held: list[str], training: list[str]) -> Novelty:
    """Longest run and share of five-word runs found in the training text; the held-out text is the floor.

    The floor's longest run is over pieces as long as the samples, so that length alone makes no difference.
    """
    source = "\n\n".join(training)
    runs = [longest_copied_run(text, source) for text in samples]
    longest = max(runs, key=lambda run: run.words)
    size = max(1, sum(map(len, samples)) // len(samples))
    text = "\n\n".join(held)
    starts = range(0, max(1, len(text) - size), max(size, len(text) // len(samples)))
    floor = max(longest_copied_run(text[s : s + size], source).words for s in starts)
    return Novelty(
        longest_copied_words=longest.words,
        longest_copied_text=longest.text,
        held_out_longest_copied_words=floor,
        copied_5gram_share=copied_ngram_share("\n\n".join(samples), source, 5),
        held_out_copied_5gram_share=copied_ngram_share(text, source, 5),
    )


def _thresholds(
    likelihood: Likelihood, style: StyleComparison, novelty: Novelty, leaks: Leaks, settings: EvaluationConfig
) -> list[Threshold]:
    pairs = [
        ("bits per byte", likelihood.bits_per_byte, settings.max_bits_per_byte),
        ("sentence-length distance (words)", style.wasserstein, settings.max_sentence_length_distance),
        (LEAK_THRESHOLD, leaks.share, settings.max_leaked_share),
        ("longest copied run (words)", float(novelty.longest_copied_words), float(settings.max_copied_words)),
    ]
    return [Threshold(name, value, limit, value <= limit) for name, value, limit in pairs]
