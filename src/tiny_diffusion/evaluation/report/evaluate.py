"""The whole evaluation of one checkpoint: likelihood, style, coherence, novelty, frontier, thresholds."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import torch

from ...checkpoint import Checkpoint, check_same_data
from ...config import EvaluationConfig, GenerationConfig
from ...data.artefacts import Processed
from ...data.copies import CopyIndex
from ...runtime import autocast
from ...writing.continuing import reading_of
from ..blind_test.statistics import BlindReport
from ..kept import KeptParts
from ..leaks import Leaks, leaks_of
from ..likelihood.bound import Likelihood, held_out
from ..likelihood.breakdown import (
    BREAKDOWN,
    FormatLikelihood,
    MaskRate,
    break_down,
    score_held_out,
    window_books,
    window_thirds,
)
from ..likelihood.comparison import compare
from ..likelihood.long_context import compare_long
from ..result import LEAK_THRESHOLD, VERSION, Report, Threshold
from ..style.style import measure_style
from ..style.style_report import StyleReport
from ..subject import NO_RIVALS, Rivals, Step, Subject
from ..text_quality.coherence import measure_coherence
from ..text_quality.frontier import Frontier, Judge, measure_frontier
from ..text_quality.novelty import NoveltyReport, cut_like, measure_novelty
from ..text_quality.samples import WRITING, steps_taken, vary, whole_sentences, write_samples
from ..text_quality.two_sample import TWO_SAMPLE, measure_two_sample
from .time_estimate import Expected, expect

Value = TypeVar("Value")


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
    check_same_data(checkpoint, data)
    subject = Subject(checkpoint, checkpoint.build(device), data, settings, rivals, kept or KeptParts())
    model = subject.model
    yield Step("looking for held-out sentences in the training text")
    leaks = leaks_of(data, settings.split)
    yield Step("difficulty of the held-out text")
    scored = score_held_out(data, settings.split)
    windows = held_out(subject.held_out, subject.tokenizer, subject.level, model.config.context, settings.windows)
    passages = [p for p in data.passages if p.split == settings.split]
    book, books = window_books(windows, passages, data.source)
    windows = replace(windows, third=window_thirds(windows, passages, scored), book=book)
    yield Step("timing a batch of each kind")
    expected = expect(subject, windows, generation)
    yield Expected({name: seconds for name, seconds in expected.parts.items() if name not in subject.kept.names})
    found = yield from compare(subject, windows)
    long_context = yield from compare_long(subject, windows)
    broken_down = None
    if settings.breakdown_draws:
        with autocast(device, subject.precision):
            measure = subject.kept.part(BREAKDOWN, break_down(subject, windows.windows, scored))
            broken_down = yield from subject.attempt(BREAKDOWN, measure)
    rates, formats = broken_down or ([], [])
    written = yield from _measure_texts(subject, generation, other_books)
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
        parameters=model.config.parameters(model.vocab_size),
        likelihood=found,
        mask_rates=[MaskRate(**rate) for rate in rates],
        formats=[FormatLikelihood(**row) for row in formats],
        leaks=leaks,
        **written,
        blind=blind,
        thresholds=_thresholds(found[0], written["style"], written["novelty"], leaks, settings),
        evaluation=settings,
        generation=generation,
        missing=subject.missing,
        counts=subject.weights,
        shelf=list(dict.fromkeys(book for each in (checkpoint, *rivals.members) for book in each.shelf)),
        books=books,
        long_context=long_context,
    )


def _measure_texts(
    subject: Subject, generation: GenerationConfig, other_books: dict[str, str] | None
) -> Generator[Step, None, dict[str, Any]]:
    """Write texts with the model and measure them, yielding each step as it begins.

    Returns fields of the report: the texts, and their measurements, None where that was impossible.
    """
    model, data, settings = subject.model, subject.data, subject.settings
    # Several requested numbers of steps may lead to the same number taken: use the number taken.
    taken = partial(steps_taken, settings, generation, model.config.context)
    reading = reading_of(model.config, generation)
    generation = generation.model_copy(update={"steps": taken(generation.steps), "reading": reading})

    def write(how: GenerationConfig, name: str) -> Generator[Step, None, list[str]]:
        return subject.kept.part(
            name, write_samples(model, subject.checkpoint, settings, how, name, subject.data.training_text)
        )

    samples = yield from subject.attempt(WRITING, write(generation, WRITING))
    if samples is None:
        return {"samples": [], **dict.fromkeys(("style", "coherence", "novelty", "frontier", "two_sample"))}
    # The causal reading writes token by token and has no steps to vary.
    steps = () if reading == "causal" else (generation.steps, *map(taken, settings.novelty_steps))
    temperatures = (generation.temperature, *settings.temperatures)
    training, held, language = data.texts("train"), subject.held_out, data.language
    whole = [whole_sentences(s, language) for s in samples], held, training, language, settings

    def at_once(name: str, measure: Callable[[], Value]) -> Generator[Step, None, Value | None]:
        return subject.attempt(name, _step(name, measure))

    found: dict[str, Any] = {"samples": samples, "two_sample": None}
    found["style"] = yield from at_once("style", lambda: measure_style(*whole, other_books))
    found["coherence"] = yield from at_once("coherence", lambda: measure_coherence(*whole))
    if settings.two_sample_words:
        sides = samples, held, training, language, settings
        found["two_sample"] = yield from at_once(TWO_SAMPLE, lambda: measure_two_sample(*sides))
    by_steps = yield from subject.attempt("novelty by steps", vary("steps", steps, generation, samples, write))
    index = CopyIndex(training)
    copied = samples, held, index, language, settings, by_steps or {}
    found["novelty"] = yield from at_once("novelty", lambda: measure_novelty(*copied))
    written = vary("temperature", temperatures, generation, samples, write)
    by_temperature = yield from subject.attempt("texts at other temperatures", written)

    def measured_frontier() -> Frontier:
        twin = None if subject.rivals.twin is None else subject.rivals.twin.build(model.device)
        judge = Judge(training, subject.tokenizer, subject.level, settings.judge_order, twin, held=held)
        return measure_frontier(by_temperature or {generation.temperature: samples}, cut_like(samples, held), judge)

    found["frontier"] = yield from at_once("frontier", measured_frontier)
    return found


def _step(name: str, measure: Callable[[], Value]) -> Generator[Step, None, Value]:
    """A step that is done in one go."""
    yield Step(name)
    return measure()


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
