"""Rows of the table for several experts: the mean of several networks, and networks together with counts."""

from collections.abc import Generator, Iterator, Sequence

import numpy as np
import torch

from ...checkpoint import Checkpoint, check_alike, check_same_data
from ...data.ngrams import FloatArray, KneserNey, count_tokens
from ...errors import UserError
from ...model.likelihood import bound_in_batches
from ...model.product import Laws, fit_exponents
from ...runtime import autocast
from ...sampling.counts import ORDER
from ..subject import Step, Subject
from .bound import HeldOut, held_out
from .experts import CLASSES, fit_weights, laws_of, mean_law, mixed, read_counts
from .readings import CHAIN_RULE, MODEL, Nats, Reading, per_window, readings, steps, token_nats

VALIDATION = "validation"
BOUND = "diffusion (bound)"  # name of a row
COUNTS = f"n-grams of order {ORDER}, token by token"
CHAIN_WINDOWS = 16  # the chain rule takes a pass per token, and few tokens are enough for so few weights
MEAN_BOUND = "likelihood of the mean of the networks"
WITH_COUNTS, TIMES_COUNTS, MEAN = " with counts", " times counts", ", mean of "
LARGEST = 2**26  # numbers in the laws on which exponents are fitted: 256 MiB


def is_mixed(row: str) -> bool:
    """Whether a row of the table belongs to several experts together."""
    return row.endswith((WITH_COUNTS, TIMES_COUNTS)) or MEAN in row


def check_mixture(subject: Subject) -> None:
    """Raise UserError for a member of another kind or other data, and for counts that no reading can be mixed with."""
    for number, member in enumerate(subject.rivals.members, 2):
        check_same_data(member, subject.data)
        check_alike(subject.checkpoint, member, number)
    if subject.settings.expert == "ngram" and not readings(subject):
        raise UserError("evaluation.expert=ngram needs a reading from left to right: set evaluation.chain_rule=true")


def fitting_windows(subject: Subject, reading: Reading) -> HeldOut:
    """The windows of the validation text on which the weights of the counts beside a reading are fitted."""
    texts, context, most = subject.data.texts(VALIDATION), subject.model.config.context, subject.settings.windows
    if reading.step == CHAIN_RULE:
        most = min(most or CHAIN_WINDOWS, CHAIN_WINDOWS)
    return held_out(texts, subject.tokenizer, subject.level, context, most)


def rows_of_bound(subject: Subject, held: HeldOut) -> Iterator[tuple[str, Nats]]:
    """The rows of the any-order bound of a diffusion model, and of its mean with its members, if there are any."""
    members = subject.rivals.members
    yield BOUND, subject.kept.part(MODEL, _bound(subject, held, MODEL))
    if members:
        measure = _bound(subject, held, MEAN_BOUND, members)
        yield f"{BOUND}{MEAN}{1 + len(members)}", subject.kept.part(MEAN_BOUND, measure)


def mixed_rows(subject: Subject, reading: Reading, held: HeldOut) -> Iterator[tuple[str, Nats]]:
    """The names of the rows that mix a reading with others, and the measurements of the nats of each window."""
    several, counts = len(reading.networks), subject.settings.expert == "ngram"
    for networks in sorted({1, several}):
        row = reading.row + (f"{MEAN}{networks}" if networks > 1 else "")
        if networks > 1:
            yield row, _windows(_mean(subject, reading, networks, held), held)
        if counts:
            added, times = row + WITH_COUNTS, row + TIMES_COUNTS
            yield added, _windows(_with_counts(subject, reading, networks, held, added), held)
            if reading.step != CHAIN_RULE:  # whose laws would take a pass per token again
                yield times, _times_counts(subject, reading, networks, held, times)


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


def product_step(reading: Reading, networks: int) -> str:
    """The name of the step that multiplies the mean law of ``networks`` networks with the counts."""
    return f"{reading.step}{TIMES_COUNTS}" + (f"{MEAN}{networks}" if networks > 1 else "")


def product_windows(subject: Subject) -> HeldOut:
    """The windows of the validation text on which exponents are fitted, as many as the memory for their laws allows."""
    texts, context, most = subject.data.texts(VALIDATION), subject.model.config.context, subject.settings.windows
    fitting = max(1, LARGEST // (2 * context * subject.model.text_vocab_size))
    return held_out(texts, subject.tokenizer, subject.level, context, min(most or fitting, fitting))


def _times_counts(subject: Subject, reading: Reading, networks: int, held: HeldOut, row: str) -> Nats:
    """Return the nats of each window; the exponents, fitted on the validation text, go to ``subject``."""
    measure = _product(subject, reading, networks, held)
    nats, subject.weights[row] = yield from subject.kept.part(product_step(reading, networks), measure)
    return nats


def _product(
    subject: Subject, reading: Reading, networks: int, held: HeldOut
) -> Generator[Step, None, tuple[list[float], list[float]]]:
    """Return the nats of each window under the product of the mean law and the counts, and the two exponents."""
    fitting, counts, device = product_windows(subject), _counts(subject), subject.model.device
    models = [checkpoint.build(device) for checkpoint in reading.networks[:networks]]
    name, total = product_step(reading, networks), len(fitting.windows) + len(held.windows)
    with autocast(device, reading.networks[0].config.training.precision):
        laws: list[Laws] = []
        for each in laws_of(models, counts, fitting.windows):
            laws.append(each)
            yield Step(name, len(laws), total)
        exponents, nats = fit_exponents(laws), list[float]()
        for each in laws_of(models, counts, held.windows):
            nats.append(float(each.nats(torch.tensor(exponents)).double().sum()))
            yield Step(name, len(laws) + len(nats), total)
    return nats, list(exponents)


def _bound(subject: Subject, held: HeldOut, name: str, members: Sequence[Checkpoint] = ()) -> Nats:
    settings, device = subject.settings, subject.model.device
    networks = [member.build(device) for member in members]
    with autocast(device, subject.precision):
        generator = torch.Generator().manual_seed(settings.seed)  # the same masks for any number of networks
        how = (settings.draws, settings.batch_size, generator, networks)
        events = bound_in_batches(subject.model, held.windows, *how)
        numbers = (event if isinstance(event, int) else event.numpy() for event in events)
        return (yield from steps(name, numbers, settings.draws * len(held.windows)))
