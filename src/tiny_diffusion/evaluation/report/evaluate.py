"""The whole evaluation of one checkpoint: likelihood, style, coherence, novelty, frontier, thresholds."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, TypeVar

import torch

from ...checkpoint import Checkpoint, check_same_data
from ...config import EvaluationConfig, GenerationConfig
from ...data.artefacts import Processed
from ...data.copies import CopyIndex
from ...model.transformer import Transformer
from ...runtime import autocast
from ..blind_test.statistics import BlindReport
from ..kept import KeptParts, attempt
from ..leaks import Leaks, leaks_of
from ..likelihood.bound import HeldOut, Likelihood, held_out
from ..likelihood.breakdown import (
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
from ..likelihood.comparison import Rivals, Step, compare
from ..result import LEAK_THRESHOLD, VERSION, Report, Threshold
from ..style.style import measure_style
from ..style.style_report import StyleReport
from ..text_quality.coherence import CoherenceReport, measure_coherence
from ..text_quality.frontier import Frontier, Judge, measure_frontier
from ..text_quality.novelty import NoveltyReport, cut_like, measure_novelty
from ..text_quality.samples import WRITING, steps_taken, vary, whole_sentences, write_samples
from .time_estimate import Expected, expect

Value = TypeVar("Value")
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
    kept: KeptParts | None = None,
) -> Iterator[Expected | Step | Report]:
    """Measure a checkpoint: yields the expected time, each step as it begins, and the report at the end.

    ``other_books``: texts by name with which the style is compared too. ``blind``: people's answers about this
    checkpoint. ``kept``: finished parts of the same evaluation, which are not measured again. A part that cannot be
    measured is missing from the report, which says why. Raises UserError if the checkpoint was trained on other data,
    or a rival is unsuitable.
    """
    kept, missing = kept or KeptParts(), dict[str, str]()
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
    twin = rivals.twin is not None
    expected = expect(checkpoint, model, windows, data.texts("train"), settings, generation, twin=twin)
    yield Expected({name: seconds for name, seconds in expected.parts.items() if name not in kept.names})
    found = yield from compare(checkpoint, model, data, windows, settings, rivals, kept, missing)
    broken_down = None
    if settings.breakdown_draws:
        with autocast(device, checkpoint.config.training.precision):
            measure = _break_down(model, checkpoint, data, windows, scored, settings)
            broken_down = yield from attempt(BREAKDOWN, kept.part(BREAKDOWN, measure), missing)
    rates, formats = broken_down or ([], [])
    written = yield from _measure_texts(
        checkpoint, model, data, settings, generation, rivals, other_books, kept, missing
    )
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
        mask_rates=[MaskRate(**rate) for rate in rates],
        formats=[FormatLikelihood(**row) for row in formats],
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
        missing=missing,
    )


@dataclass(frozen=True)
class _Written:
    """The texts that the model wrote and their measurements; None where that was impossible."""

    samples: list[str]
    style: StyleReport | None = None
    coherence: CoherenceReport | None = None
    novelty: NoveltyReport | None = None
    frontier: Frontier | None = None


def _measure_texts(
    checkpoint: Checkpoint,
    model: Transformer,
    data: Processed,
    settings: EvaluationConfig,
    generation: GenerationConfig,
    rivals: Rivals,
    other_books: dict[str, str] | None,
    kept: KeptParts,
    missing: dict[str, str],
) -> Generator[Step, None, _Written]:
    """Write texts with the model and measure them, yielding each step as it begins."""
    # Several requested numbers of steps may lead to the same number taken: use the number taken.
    taken = partial(steps_taken, settings, generation, model.config.context)
    generation = generation.model_copy(update={"steps": taken(generation.steps)})

    def write(how: GenerationConfig, name: str) -> Generator[Step, None, list[str]]:
        return kept.part(name, write_samples(model, checkpoint, settings, how, name))

    samples = yield from attempt(WRITING, write(generation, WRITING), missing)
    if samples is None:
        return _Written([])
    training, held_out_texts, language = data.texts("train"), data.texts(settings.split), data.language
    whole = [whole_sentences(s, language) for s in samples]
    measure_whole = (whole, held_out_texts, training, language, settings)
    style = yield from attempt("style", _step("style", lambda: measure_style(*measure_whole, other_books)), missing)
    hangs = yield from attempt("coherence", _step("coherence", lambda: measure_coherence(*measure_whole)), missing)
    # An autoregressive model writes token by token and has no steps to vary.
    steps = () if model.config.causal else (generation.steps, *map(taken, settings.novelty_steps))
    by_steps = yield from attempt("novelty by steps", vary("steps", steps, generation, samples, write), missing)
    index = CopyIndex(training)
    copied = _step(
        "novelty", lambda: measure_novelty(samples, held_out_texts, index, language, settings, by_steps or {})
    )
    novelty = yield from attempt("novelty", copied, missing)
    temperatures = (generation.temperature, *settings.temperatures)
    written = vary("temperature", temperatures, generation, samples, write)
    by_temperature = yield from attempt("texts at other temperatures", written, missing)

    def measured_frontier() -> Frontier:
        twin = None if rivals.twin is None else rivals.twin.build(model.device)
        judge = Judge(training, checkpoint.tokenizer, checkpoint.config.model.vocab_level, settings.judge_order, twin)
        texts = by_temperature or {generation.temperature: samples}
        return measure_frontier(texts, cut_like(samples, held_out_texts), judge)

    frontier = yield from attempt("frontier", _step("frontier", measured_frontier), missing)
    return _Written(samples, style, hangs, novelty, frontier)


def _step(name: str, measure: Callable[[], Value]) -> Generator[Step, None, Value]:
    """A step that is done in one go."""
    yield Step(name)
    return measure()


def _break_down(
    model: Transformer,
    checkpoint: Checkpoint,
    data: Processed,
    windows: HeldOut,
    scored: HeldOutSentences,
    settings: EvaluationConfig,
) -> Generator[Step, None, tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
    """The curve over mask rates (empty for an autoregressive model), and a row for each format, as plain data."""
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
    return [asdict(rate) for rate in rates], [asdict(row) for row in formats]


def _thresholds(
    likelihood: Likelihood,
    style: StyleReport | None,
    novelty: NoveltyReport | None,
    leaks: Leaks,
    settings: EvaluationConfig,
) -> list[Threshold]:
    distance = None if style is None else style.lengths.wasserstein
    copied = None if novelty is None else float(novelty.generated.longest_words)
    pairs = [
        ("bits per byte", likelihood.bits_per_byte, settings.max_bits_per_byte),
        ("sentence-length distance (words)", distance, settings.max_sentence_length_distance),
        (LEAK_THRESHOLD, leaks.share, settings.max_leaked_share),
        ("longest copied run (words)", copied, float(settings.max_copied_words)),
    ]
    return [Threshold(name, value, limit, value <= limit) for name, value, limit in pairs if value is not None]
