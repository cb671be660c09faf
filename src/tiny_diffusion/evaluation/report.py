"""The whole evaluation of one checkpoint: likelihood, style, coherence, novelty, frontier, thresholds."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch

from ..checkpoint import Checkpoint, check_same_data
from ..config import EvaluationConfig, GenerationConfig
from ..data.artefacts import Processed
from ..data.copies import CopyIndex
from ..model.transformer import Transformer
from ..runtime import autocast
from .breakdown import (
    BREAKDOWN,
    FORMAT_COST,
    FormatLikelihood,
    HeldOutSentences,
    MaskRate,
    breakdown_units,
    format_examples,
    format_likelihood,
    mask_rate_curve,
    score_held_out,
    window_thirds,
)
from .coherence import CoherenceReport, measure_coherence
from .comparison import Rivals, Step, compare
from .frontier import Frontier, Judge, measure_frontier
from .leaks import Leaks, leaks_of
from .likelihood import HeldOut, Likelihood, held_out
from .novelty import NoveltyReport, cut_like, measure_novelty
from .passes import Expected, expect
from .people import BlindReport
from .result import LEAK_THRESHOLD, VERSION, Report, Threshold
from .samples import steps_taken, vary, whole_sentences, write_samples
from .style import measure_style
from .style_report import StyleReport

NO_RIVALS = Rivals()


def evaluate(
    checkpoint: Checkpoint,
    data: Processed,
    settings: EvaluationConfig,
    generation: GenerationConfig,
    device: torch.device,
    rivals: Rivals = NO_RIVALS,
    other_books: dict[str, str] | None = None,
    blind: BlindReport | None = None,
) -> Iterator[Expected | Step | Report]:
    """Measure a checkpoint, yielding the time it should take, each step as it begins, and the report at the end.

    ``other_books``: texts by name that the style is held against too; ``blind``: what people answered about this very
    checkpoint. Raises UserError when the checkpoint was trained on other data, or a rival cannot be measured beside it.
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
    yield Step("timing a batch of each kind")
    yield expect(checkpoint, model, windows, data.texts("train"), settings, generation, twin=rivals.twin is not None)
    found: list[Likelihood] = []
    for event in compare(checkpoint, model, data, windows, settings, rivals):
        if isinstance(event, Step):
            yield event
        else:
            found.append(event)
    rates: list[MaskRate] = []
    formats: list[FormatLikelihood] = []
    if settings.breakdown_draws:
        with autocast(device, checkpoint.config.training.precision):
            rates, formats = yield from _break_down(model, checkpoint, data, windows, scored, settings)

    written = yield from _measure_texts(checkpoint, model, data, settings, generation, rivals, other_books)
    scored_passages = len(set(windows.passage.tolist()))
    yield Report(
        version=VERSION,
        source=data.source,
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
        style=written.style,
        coherence=written.coherence,
        novelty=written.novelty,
        frontier=written.frontier,
        blind=blind,
        thresholds=_thresholds(found[0], written.style, written.novelty, leaks, settings),
        samples=written.samples,
        evaluation=settings,
        generation=generation,
    )


@dataclass(frozen=True)
class _Written:
    """The texts that the model wrote and what was measured on them."""

    samples: list[str]
    style: StyleReport
    coherence: CoherenceReport
    novelty: NoveltyReport
    frontier: Frontier


def _measure_texts(
    checkpoint: Checkpoint,
    model: Transformer,
    data: Processed,
    settings: EvaluationConfig,
    generation: GenerationConfig,
    rivals: Rivals,
    other_books: dict[str, str] | None,
) -> Generator[Step, None, _Written]:
    """Write with the model and measure what it wrote, yielding each step as it begins."""
    # Of the numbers of steps asked for some may come to the same: they are known by what they come to.
    taken = partial(steps_taken, settings, generation, model.config.context)
    generation = generation.model_copy(update={"steps": taken(generation.steps)})
    samples = yield from write_samples(model, checkpoint, settings, generation)
    training, held_out_texts, language = data.texts("train"), data.texts(settings.split), data.language
    yield Step("style")
    whole = [whole_sentences(s, language) for s in samples]
    style = measure_style(whole, held_out_texts, training, language, settings, other_books)
    yield Step("coherence")
    coherence = measure_coherence(whole, held_out_texts, training, language, settings)
    write = partial(write_samples, model, checkpoint, settings)
    # An autoregressive model writes token by token: it has no steps to vary.
    steps = () if model.config.causal else (generation.steps, *map(taken, settings.novelty_steps))
    by_steps = yield from vary("steps", steps, generation, samples, write)
    yield Step("novelty")
    novelty = measure_novelty(samples, held_out_texts, CopyIndex(training), language, settings, by_steps)
    temperatures = (generation.temperature, *settings.temperatures)
    by_temperature = yield from vary("temperature", temperatures, generation, samples, write)
    yield Step("frontier")
    twin = None if rivals.twin is None else rivals.twin.build(model.device)
    judge = Judge(training, checkpoint.tokenizer, checkpoint.config.model.vocab_level, settings.judge_order, twin)
    frontier = measure_frontier(by_temperature, cut_like(samples, held_out_texts), judge)
    return _Written(samples, style, coherence, novelty, frontier)


def _break_down(
    model: Transformer,
    checkpoint: Checkpoint,
    data: Processed,
    windows: HeldOut,
    scored: HeldOutSentences,
    settings: EvaluationConfig,
) -> Generator[Step, None, tuple[list[MaskRate], list[FormatLikelihood]]]:
    """The curve over mask rates (none for an autoregressive model), and a row for each format."""
    total = breakdown_units(model.config.causal)
    yield Step(BREAKDOWN, 0, total)
    how = {"draws": settings.breakdown_draws, "batch_size": settings.batch_size, "seed": settings.seed}
    rates: list[MaskRate] = []
    for rate in () if model.config.causal else mask_rate_curve(model, windows.windows, **how):
        rates.append(rate)
        yield Step(BREAKDOWN, len(rates), total)
    level, formats = checkpoint.config.model.vocab_level, list[FormatLikelihood]()
    for name, examples in format_examples(data, settings.split, scored).items():
        if settings.windows:
            examples = examples[:: -(-len(examples) // settings.windows)]
        formats.append(format_likelihood(model, checkpoint.tokenizer, level, name, examples, **how))
        yield Step(BREAKDOWN, len(rates) + FORMAT_COST * len(formats), total)
    return rates, formats


def _thresholds(
    likelihood: Likelihood, style: StyleReport, novelty: NoveltyReport, leaks: Leaks, settings: EvaluationConfig
) -> list[Threshold]:
    pairs = [
        ("bits per byte", likelihood.bits_per_byte, settings.max_bits_per_byte),
        ("sentence-length distance (words)", style.lengths.wasserstein, settings.max_sentence_length_distance),
        (LEAK_THRESHOLD, leaks.share, settings.max_leaked_share),
        ("longest copied run (words)", float(novelty.generated.longest_words), float(settings.max_copied_words)),
    ]
    return [Threshold(name, value, limit, value <= limit) for name, value, limit in pairs]
