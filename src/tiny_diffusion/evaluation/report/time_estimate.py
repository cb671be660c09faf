"""Estimates how long an evaluation takes: counts forward passes, times a batch of each kind, and tracks the rest."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from ...config import EvaluationConfig, GenerationConfig, ModelConfig
from ...data.ngrams import KneserNey
from ...data.tokenizer import BOS, NUM_RESERVED
from ...model.autoregressive import autoregressive_nats
from ...model.likelihood import chain_rule, likelihood_bound
from ...runtime import autocast, generator_for
from ...sampling.counts import ORDER
from ...writing.continuing import most_passes, reading_of
from ...writing.results import Run
from ...writing.writer import Writer
from ..likelihood.bound import HeldOut, ngram_nats
from ..likelihood.breakdown import BREAKDOWN, breakdown_units
from ..likelihood.comparison import PPM, ngrams
from ..likelihood.compressor import PHASES, compressed_size
from ..likelihood.long_context import LEFT, SLIDING, long_readings, sliding_windows
from ..likelihood.mixture import (
    COUNTS,
    MEAN_BOUND,
    TIMES_COUNTS,
    VALIDATION,
    fitting_windows,
    product_windows,
    products,
)
from ..likelihood.readings import CAUSAL, CHAIN_RULE, MODEL, TWIN, readings
from ..subject import Subject
from ..text_quality.samples import WRITING, sample_settings, steps_taken, varied
from ..text_quality.two_sample import TWO_SAMPLE

REPEATS, ENOUGH = 4, 0.3  # a batch is timed at most 4 times, or until 0.3 seconds have passed
# Time of the measurements without a network, as multiples of the time to fit a unigram model to the training text.
READING = {"style": 10.0, "coherence": 6.0, "novelty": 0.5, "frontier": 4.0, TWO_SAMPLE: 8.0}


@dataclass(frozen=True)
class Expected:
    """The expected seconds of each remaining slow step on this machine, by the name of the step, in order."""

    parts: dict[str, float]

    @property
    def seconds(self) -> float:
        """The sum over all parts."""
        return sum(self.parts.values())


class Remaining:
    """The time left in an evaluation: the estimate, scaled by how much longer than estimated the parts so far took."""

    def __init__(self, expected: Expected) -> None:
        self._waiting = dict(expected.parts)
        self._name, self._part, self._began = "", 0.0, 0.0
        self._foretold = self._taken = 0.0

    def begin(self, name: str, now: float) -> None:
        """A step begins, which ends the one before it; ``now`` is in seconds of any clock."""
        if self._part:
            self._foretold, self._taken = self._foretold + self._part, self._taken + now - self._began
        self._name, self._part, self._began = name, self._waiting.pop(name, 0.0), now

    def left(self, done: int, total: int, now: float) -> float:
        """Seconds left when ``done`` of ``total`` of the current step is done; ``total`` is 0 if unknown."""
        spent = now - self._began
        share = self._part * (done / total if total else 0.0)
        foretold, taken = self._foretold + share, self._taken + (spent if share else 0.0)
        pace = taken / foretold if foretold else 1.0
        # A step without a count is assumed to be as far as its time so far, at most complete.
        own = (self._part - share) * pace if share else max(0.0, self._part * pace - spent)
        return own + sum(self._waiting.values()) * pace


def count_passes(
    windows: int, settings: EvaluationConfig, generation: GenerationConfig, model: ModelConfig
) -> dict[str, int]:
    """Windows that pass through the network in the bound and its breakdown; for texts, the moments of writing."""
    counts = {} if model.causal else {MODEL: windows * settings.draws}
    if settings.breakdown_draws:
        counts[BREAKDOWN] = settings.breakdown_draws * windows * breakdown_units(model.causal)
    generation = generation.model_copy(update={"length": settings.sample_tokens})
    counts[WRITING] = settings.samples * most_passes(generation, model)
    taken = partial(steps_taken, settings, generation, model.context)
    # The causal reading writes token by token and has no steps to vary.
    by_token = reading_of(model, generation) == "causal"
    for value in () if by_token else sorted({*map(taken, settings.novelty_steps)} - {taken(generation.steps)}):
        fewer = generation.model_copy(update={"steps": value})
        counts[varied("steps", value)] = settings.samples * most_passes(fewer, model)
    for temperature in sorted({*settings.temperatures} - {generation.temperature}):
        counts[varied("temperature", temperature)] = counts[WRITING]
    return counts


def mixing_passes(subject: Subject, held: HeldOut) -> dict[str, tuple[str, int]]:
    """For each step that reads from left to right or averages networks: a step with passes as long, and how many."""
    settings = subject.settings
    found: dict[str, tuple[str, int]] = {}
    for reading in readings(subject):
        texts = {"": held} | ({VALIDATION: fitting_windows(subject, reading)} if settings.expert == "ngram" else {})
        for text, data in texts.items():
            passes = data.tokens if reading.step == CHAIN_RULE else len(data.windows)
            found |= {reading.name(i, text): (reading.step, passes) for i in range(len(reading.networks))}
        for name, networks in products(subject, reading).items():
            passes = networks * (len(held.windows) + len(product_windows(subject, reading).windows))
            found[reading.step + name] = reading.step, passes
    for reading in long_readings(subject) if settings.long_context else ():
        found[reading.name(0, SLIDING)] = reading.step, len(sliding_windows(subject))
    members = len(subject.rivals.members)
    if members and not subject.model.config.causal:
        found[MEAN_BOUND] = MODEL, (1 + members) * settings.draws * len(held.windows)
    return found


def counting_places(subject: Subject, held: HeldOut) -> dict[str, int]:
    """The steps that multiply a bound with counts, and the hidden places of each: half of the tokens of a draw."""
    if subject.settings.expert == "none" or subject.model.config.causal:
        return {}
    means = [MODEL, MEAN_BOUND][: 1 + bool(subject.rivals.members)]
    return {step + TIMES_COUNTS: subject.settings.draws * held.tokens // 2 for step in means}


def expect(subject: Subject, held: HeldOut, generation: GenerationConfig) -> Expected:
    """Time a batch of the likelihood and of the chain rule, some moments of writing, an n-gram model, and PPMd once."""
    model, settings, training = subject.model, subject.settings, subject.data.texts("train")
    causal, size = model.config.causal, settings.batch_size
    longest = max(held.windows, key=len)
    rows = [longest] * size

    def likelihood() -> None:
        if causal:
            autoregressive_nats(model, rows, BOS, size)
        else:
            likelihood_bound(model, rows, 1, size, generator_for(settings.seed))

    with autocast(model.device, subject.precision):
        seconds = dict.fromkeys((MODEL, CAUSAL, TWIN, BREAKDOWN), _timed(likelihood) / size)
        if settings.chain_rule and not causal:
            batch = min(size, len(longest))  # one window gives as many rows as it has tokens
            seconds[CHAIN_RULE] = _timed(lambda: next(chain_rule(model, [longest], size))) / batch
    how = sample_settings(settings, generation, 0)
    writer = Writer(model, subject.tokenizer, book=subject.data.training_text)
    writing = _moment_seconds(writer.writing("", how)) / how.num_samples
    counts = count_passes(len(held.windows), settings, generation, model.config)
    parts = {name: count * seconds.get(name, writing) for name, count in counts.items()}
    counting = _timed(lambda: ngram_nats(training, held, subject.tokenizer, subject.level, 1), warm=False)
    parts |= {name: count * seconds[like] for name, (like, count) in mixing_passes(subject, held).items()}
    if settings.expert == "ngram" and readings(subject):
        parts[COUNTS] = counting
    for step, places in counting_places(subject, held).items():
        of_network = parts[step.removesuffix(TIMES_COUNTS)]
        parts[step] = of_network + places * _timed(_law_of_counts(longest, model.text_vocab_size))
    parts |= {ngrams(order): counting for order in settings.ngram_orders}
    if settings.long_context and long_readings(subject):
        parts[f"{ngrams(max(settings.ngram_orders))}{LEFT}"] = counting
    parts |= {name: times * counting for name, times in READING.items()}
    if not settings.two_sample_words:
        del parts[TWO_SAMPLE]
    if settings.ppm_order:
        data = "\n\n".join(training).encode("utf-8")
        runs = len(held.windows) + min(PHASES, len(held.windows))
        parts[PPM] = runs * (once := _timed(lambda: compressed_size(data, settings.ppm_order)))
        if settings.long_context and long_readings(subject):
            parts[f"{PPM}{LEFT}"] = 2 * len(held.windows) * once
    return Expected(parts)


def _law_of_counts(window: Tensor, vocabulary: int) -> Callable[[], object]:
    """What counts say about the middle of a window; those of a book take hardly longer than those of the window."""
    ids = window.numpy() - NUM_RESERVED
    counts, at = KneserNey(ORDER, vocabulary, [ids]), len(ids) // 2
    before, behind = ids[:at].tolist(), ids[at + 1 :].tolist()
    return lambda: counts.law_between(before, behind)


def _timed(call: Callable[[], object], *, warm: bool = True) -> float:
    """Mean seconds per call, after one call to warm up if ``warm``."""
    if warm:
        call()
    began, repeats, spent = time.perf_counter(), 0, 0.0
    while repeats < REPEATS and spent < ENOUGH:
        call()
        repeats, spent = repeats + 1, time.perf_counter() - began
    return spent / repeats


def _moment_seconds(run: Run) -> float:
    """Mean seconds between the first moments of writing; the first moment counts only if it is the only one.

    The first one takes longer than a step, because it prepares the run.
    """
    moments = [time.perf_counter()]
    for _ in run:
        moments.append(time.perf_counter())
        if len(moments) > REPEATS + 1 or moments[-1] - moments[0] > ENOUGH and len(moments) > 2:
            break
    first = 1 if len(moments) > 2 else 0
    return (moments[-1] - moments[first]) / (len(moments) - 1 - first)
