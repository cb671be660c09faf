"""Rows of the table for several experts: the mean and the product of several networks, and both with counts."""

from collections.abc import Generator, Iterator

import numpy as np
import torch

from ...checkpoint import check_alike, check_same_data
from ...data.ngrams import FloatArray, KneserNey, count_tokens
from ...model.likelihood import bound_in_batches, nats_of_mean
from ...model.product import Exponents, Laws, fit_exponents
from ...model.transformer import Transformer
from ...runtime import autocast
from ...sampling.counts import ORDER, Counts, Sight
from ..subject import Step, Subject
from .bound import HeldOut, held_out
from .experts import CLASSES, counted, fit_weights, laws_of, mean_law, mixed, read_counts
from .readings import CHAIN_RULE, MODEL, Nats, Reading, per_window, steps, token_nats

VALIDATION = "validation"
BOUND = "diffusion (bound)"  # name of a row
COUNTS = f"n-grams of order {ORDER}, token by token"
CHAIN_WINDOWS = 16  # the chain rule takes a pass per token, and few tokens are enough for so few weights
MEAN_BOUND = "likelihood of the mean of the networks"
WITH_COUNTS, TIMES_COUNTS, MEAN, PRODUCT = " with counts", " times counts", ", mean of ", ", product of "
SIDES: tuple[Sight, ...] = ("left", "right", "both")  # on which a hidden place has settled neighbours
UNCHANGED: Exponents = (1.0, 0.0)  # of the network beside counts that see nothing
LARGEST = 2**26  # numbers in the laws on which exponents are fitted: 256 MiB


def is_mixed(row: str) -> bool:
    """Whether a row of the table belongs to several experts together."""
    return row.endswith((WITH_COUNTS, TIMES_COUNTS)) or MEAN in row or PRODUCT in row


def check_mixture(subject: Subject) -> None:
    """Raise UserError for a member of another kind or of other data."""
    for number, member in enumerate(subject.rivals.members, 2):
        check_same_data(member, subject.data)
        check_alike(subject.checkpoint, member, number)


def fitting_windows(subject: Subject, reading: Reading) -> HeldOut:
    """The windows of the validation text on which the weights of the counts beside a reading are fitted."""
    texts, context, most = subject.data.texts(VALIDATION), subject.model.config.context, subject.settings.windows
    if reading.step == CHAIN_RULE:
        most = min(most or CHAIN_WINDOWS, CHAIN_WINDOWS)
    return held_out(texts, subject.tokenizer, subject.level, context, most)


def rows_of_bound(subject: Subject, held: HeldOut) -> Iterator[tuple[str, Nats]]:
    """The rows of the any-order bound of a diffusion model, of its mean with its members, and of each times counts."""
    several = 1 + len(subject.rivals.members)
    for networks in sorted({1, several}):
        mean = f"{MEAN}{networks}" if networks > 1 else ""
        step = MODEL if networks == 1 else MEAN_BOUND
        yield BOUND + mean, subject.kept.part(step, _bound(subject, held, step, networks))
        if subject.settings.expert == "ngram":
            row, step = f"{BOUND}{mean}{TIMES_COUNTS}", step + TIMES_COUNTS
            yield row, _bound_times_counts(subject, held, step, networks, row)


def mixed_rows(subject: Subject, reading: Reading, held: HeldOut) -> Iterator[tuple[str, Nats]]:
    """The names of the rows that mix a reading with others, and the measurements of the nats of each window."""
    several, counts = len(reading.networks), subject.settings.expert == "ngram"
    for networks in sorted({1, several}):
        row = reading.row + (f"{MEAN}{networks}" if networks > 1 else "")
        if networks > 1:
            yield row, _windows(_mean(subject, reading, networks, held), held)
        if counts:
            yield row + WITH_COUNTS, _windows(_with_counts(subject, reading, networks, held, row + WITH_COUNTS), held)
    for name in products(subject, reading):
        yield reading.row + name, _product(subject, reading, name, held)


def _windows(measure: Generator[Step, None, FloatArray], held: HeldOut) -> Nats:
    nats = yield from measure
    return per_window(nats, held.windows).tolist()


def _mean(
    subject: Subject, reading: Reading, networks: int, held: HeldOut, text: str = ""
) -> Generator[Step, None, FloatArray]:
    """Return the nats of each token under the mean of the first ``networks`` networks."""
    each = []
    for number in range(networks):
        each.append((yield from token_nats(subject, reading, number, held.windows, text)))
    return mean_law(np.array(each))


def _with_counts(
    subject: Subject, reading: Reading, networks: int, held: HeldOut, row: str
) -> Generator[Step, None, FloatArray]:
    """Return the nats of each token, mixed with counts by weights of the validation text, which go to ``subject``."""
    fitting = fitting_windows(subject, reading)
    seen = yield from _mean(subject, reading, networks, fitting, VALIDATION)
    scored = yield from _mean(subject, reading, networks, held)
    yield Step(COUNTS)
    counts = _counts(subject)
    known, classes = read_counts(counts, fitting.windows)
    weights = fit_weights(np.stack((seen, known)), classes, CLASSES)
    subject.weights[row] = weights[:, 1].tolist()
    known, classes = read_counts(counts, held.windows)
    return mixed(np.stack((scored, known)), weights, classes)


def _counts(subject: Subject) -> KneserNey:
    return count_tokens(subject.data.texts("train"), subject.tokenizer, subject.level, ORDER)


def products(subject: Subject, reading: Reading) -> dict[str, int]:
    """What is multiplied in a reading: the end of each row's name, and how many networks are in it."""
    several, counts = len(reading.networks), subject.settings.expert == "ngram"
    if reading.step == CHAIN_RULE:  # whose laws would take a pass per token again
        return {}
    together = {f"{PRODUCT}{several}": several} if several > 1 else {}
    return together | ({name + TIMES_COUNTS: n for name, n in {"": 1, **together}.items()} if counts else {})


def product_windows(subject: Subject, reading: Reading) -> HeldOut:
    """The windows of the validation text on which exponents are fitted, as many as the memory for their laws allows."""
    texts, context, most = subject.data.texts(VALIDATION), subject.model.config.context, subject.settings.windows
    laws = len(reading.networks) + 1
    fitting = max(1, LARGEST // (laws * context * subject.model.text_vocab_size))
    return held_out(texts, subject.tokenizer, subject.level, context, min(most or fitting, fitting))


def _product(subject: Subject, reading: Reading, name: str, held: HeldOut) -> Nats:
    """Return the nats of each window; the exponents, fitted on the validation text, go to ``subject``."""

    def measure() -> Generator[Step, None, tuple[list[float], list[float]]]:
        fitting, device = product_windows(subject, reading), subject.model.device
        counts = _counts(subject) if name.endswith(TIMES_COUNTS) else None
        models = [checkpoint.build(device) for checkpoint in reading.networks[: products(subject, reading)[name]]]
        total = len(fitting.windows) + len(held.windows)
        with autocast(device, reading.networks[0].config.training.precision):
            laws: list[Laws] = []
            for each in laws_of(models, counts, fitting.windows):
                laws.append(each)
                yield Step(reading.step + name, len(laws), total)
            exponents, nats = fit_exponents(laws), list[float]()
            for each in laws_of(models, counts, held.windows):
                nats.append(float(each.nats(torch.tensor(exponents)).double().sum()))
                yield Step(reading.step + name, len(laws) + len(nats), total)
        return nats, list(exponents)

    nats, subject.weights[reading.row + name] = yield from subject.kept.part(reading.step + name, measure())
    return nats


def _bound(subject: Subject, held: HeldOut, name: str, networks: int, counts: Counts | None = None) -> Nats:
    """Return the nats of each window under the mean of the first ``networks`` networks, with counts beside it."""
    settings, device = subject.settings, subject.model.device
    with autocast(device, subject.precision):
        generator = torch.Generator().manual_seed(settings.seed)  # the same masks for every law
        law = nats_of_mean(_build(subject, networks)) if counts is None else counted(counts, subject.precision)
        events = bound_in_batches(subject.model, held.windows, settings.draws, settings.batch_size, generator, law)
        numbers = (event if isinstance(event, int) else event.numpy() for event in events)
        return (yield from steps(name, numbers, settings.draws * len(held.windows)))


def _bound_times_counts(subject: Subject, held: HeldOut, name: str, networks: int, row: str) -> Nats:
    """Return the nats of each window; the exponents, fitted on the validation text, go to ``subject``."""

    def measure() -> Generator[Step, None, tuple[list[float], list[float]]]:
        yield Step(name)
        texts = subject.data.texts("train"), subject.data.texts(VALIDATION)
        counts = Counts.of(_build(subject, networks), subject.tokenizer, *texts)
        nats = yield from _bound(subject, held, name, networks, counts)
        return nats, [number for sight in SIDES for number in counts.masked.get(sight, UNCHANGED)]

    nats, subject.weights[row] = yield from subject.kept.part(name, measure())
    return nats


def _build(subject: Subject, networks: int) -> list[Transformer]:
    members = subject.rivals.members[: networks - 1]
    return [subject.model, *(member.build(subject.model.device) for member in members)]
