"""The table of likelihoods: the model and everything it is compared with, on the same windows."""

from collections.abc import Generator, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from ...checkpoint import Checkpoint, check_same_data
from ...data.artefacts import Processed
from ...errors import UserError
from ..subject import Rivals, Step, Subject
from .bound import FloatArray, HeldOut, Likelihood, Resampled, ngram_nats, resample, summarise, uniform_nats
from .compressor import ppm_bits
from .hugging_face import check_local, load_local, local_nats
from .mixture import check_mixture, mixed_rows, rows_of_bound
from .readings import Nats, Reading, per_window, readings, steps, token_nats

NGRAM_NAMES = {1: "unigram", 2: "bigram"}
PPM = "PPMd"


def ngrams(order: int) -> str:
    """The name of the step that measures the n-grams of an order."""
    return f"n-grams of order {order}"


def check_twin(twin: Checkpoint, checkpoint: Checkpoint, data: Processed) -> None:
    """Raise UserError unless ``twin`` is autoregressive and has the same data, vocabulary level and context."""
    check_same_data(twin, data)
    own, other = checkpoint.config.model, twin.config.model
    if own.causal:
        raise UserError("the checkpoint is itself an autoregressive model: --twin goes with a diffusion model")
    if not other.causal:
        raise UserError("the twin's checkpoint is not an autoregressive model (model.causal=true)")
    if (own.vocab_level, own.context) != (other.vocab_level, other.context):
        raise UserError(
            f"the twin has vocab_level={other.vocab_level} and context={other.context}, the model {own.vocab_level} "
            f"and {own.context}: their windows differ; train the twin with the same two"
        )


def check_rivals(rivals: Rivals, checkpoint: Checkpoint, data: Processed) -> None:
    """Raise UserError for a twin or a folder that cannot be compared with the model of ``checkpoint``."""
    if rivals.twin is not None:
        check_twin(rivals.twin, checkpoint, data)
    names = [folder.resolve().name for folder in rivals.local]
    if len(set(names)) < len(names):
        raise UserError(f"two folders of one name ({', '.join(names)}) give rows of one name: rename one of them")
    for folder in rivals.local:
        check_local(folder)


def compare(subject: Subject, held: HeldOut) -> Generator[Step, None, list[Likelihood]]:
    """Yield the steps and return the rows of the table, with the model's own first.

    Of a dual model that is its causal reading: exact, in one pass.

    A rival that cannot be measured has no row, and the reason is added to ``subject.missing``. Raises UserError for an
    unsuitable rival before anything is measured.
    """
    check_rivals(subject.rivals, subject.checkpoint, subject.data)
    check_mixture(subject)
    model, settings, kept = subject.model, subject.settings, subject.kept

    def summary(name: str, nats: FloatArray, own: Resampled | None, windows: HeldOut = held) -> Likelihood:
        return summarise(name, nats, windows, settings.bootstrap, settings.seed, own)

    measures = _rows(subject, held)
    name, first = next(measures)
    nats = np.array((yield from first))
    own = resample(nats, held, settings.bootstrap, settings.seed)
    rows = [summary(name, nats, None)]
    for row, measure in measures:
        found = yield from subject.attempt(row, measure)
        if found is not None:
            rows.append(summary(row, np.array(found), own))
    for folder in subject.rivals.local:
        texts = whole_characters(subject.held_out, held)
        # Bytes are counted again, because these texts end at whole characters.
        windows = replace(held, bytes=np.array([len(text.encode("utf-8")) for text in texts]))
        local = kept.part(f"likelihood of {folder}", _local(folder, texts, settings.batch_size, model.device))
        named = yield from subject.attempt(folder.name, local)
        if named is not None:
            rows.append(summary(named[0], np.array(named[1]), own, windows))
    return [*rows, summary("uniform", uniform_nats(held, model.text_vocab_size), own)]


def _rows(subject: Subject, held: HeldOut) -> Iterator[tuple[str, Nats]]:
    """The name of each row and the measurement of its windows: the model's own, its other readings, then its rivals."""
    settings, kept, training = subject.settings, subject.kept, subject.data.texts("train")
    bound = [] if subject.model.config.causal else list(rows_of_bound(subject, held))
    read = [
        [(reading.row, _read(subject, reading, held)), *mixed_rows(subject, reading, held)]
        for reading in readings(subject)
    ]
    yield from chain(*read[:1], bound, *read[1:]) if subject.model.config.dual else chain(bound, *read)
    for order in settings.ngram_orders:
        row = NGRAM_NAMES.get(order, f"{order}-gram Kneser-Ney")
        yield row, kept.part(ngrams(order), _ngrams(training, held, subject, order))
    if settings.ppm_order:
        yield f"PPMd order {settings.ppm_order}, primed", kept.part(PPM, _ppm(training, held, subject))


def _read(subject: Subject, reading: Reading, held: HeldOut) -> Nats:
    nats = yield from token_nats(subject, reading, 0, held.windows)
    return per_window(nats, held.windows).tolist()


def _ngrams(training: list[str], held: HeldOut, subject: Subject, order: int) -> Nats:
    yield Step(ngrams(order))
    return ngram_nats(training, held, subject.tokenizer, subject.level, order).tolist()


def _ppm(training: list[str], held: HeldOut, subject: Subject) -> Nats:
    token_bytes = subject.tokenizer.token_bytes
    windows = [b"".join(token_bytes(i) for i in w.tolist()) for w in held.windows]
    # The blank line that separates passages also precedes each window, so that a window begins like a passage.
    primer = "".join(text + "\n\n" for text in training).encode("utf-8")
    bits: list[float] = []
    for found in ppm_bits(primer, windows, subject.settings.ppm_order):
        bits.append(found)
        yield Step(PPM, len(bits), len(windows))
    return (np.array(bits) * np.log(2)).tolist()


def _local(
    folder: Path, texts: list[str], batch_size: int, device: torch.device
) -> Generator[Step, None, tuple[str, list[float]]]:
    """Return the name of a Hugging Face model's row, and its nats for each text."""
    yield Step(f"reading {folder.name}")
    local = load_local(folder, device)
    nats = yield from steps(f"likelihood of {local.name}", local_nats(local, texts, batch_size), len(texts))
    return local.name if local.causal else f"{local.name} (chain rule)", nats


def whole_characters(texts: list[str], held: HeldOut) -> list[str]:
    """The windows as text; a character that the edge of a window cuts belongs to the window in which it begins."""
    encoded = [text.encode("utf-8") for text in texts]

    def edge(passage: int, place: int) -> int:
        while place < len(encoded[passage]) and encoded[passage][place] & 0xC0 == 0x80:
            place += 1
        return place

    places = zip(held.passage.tolist(), held.start.tolist(), held.bytes.tolist(), strict=True)
    return [encoded[p][edge(p, start) : edge(p, start + size)].decode("utf-8") for p, start, size in places]
