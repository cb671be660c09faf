"""The table of likelihoods: the model and everything it is compared with, on the same windows."""

from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ...checkpoint import Checkpoint, check_same_data
from ...config import EvaluationConfig
from ...data.artefacts import Processed
from ...errors import UserError
from ...model.transformer import Transformer
from ...runtime import autocast
from ..kept import KeptParts, attempt
from .bound import (
    FloatArray,
    HeldOut,
    Likelihood,
    chain_rule_nats,
    model_nats,
    model_nats_in_batches,
    ngram_nats,
    resample,
    summarise,
    uniform_nats,
)
from .compressor import ppm_bits
from .hugging_face import check_local, load_local, local_nats

NGRAM_NAMES = {1: "unigram", 2: "bigram"}
# Names of the slow steps.
MODEL, CHAIN_RULE, TWIN = "likelihood of the model", "chain rule of the model", "likelihood of the autoregressive twin"
PPM = "PPMd"


def ngrams(order: int) -> str:
    """The name of the step that measures the n-grams of an order."""
    return f"n-grams of order {order}"


@dataclass(frozen=True)
class Step:
    """A step of the evaluation that begins or continues, for a progress display; ``total`` is 0 if unknown."""

    name: str
    done: int = 0
    total: int = 0


Nats = Generator[Step, None, list[float]]
"""Yields the steps and returns the nats of each window."""


@dataclass(frozen=True)
class Rivals:
    """What to measure beside the model: its autoregressive twin, and folders of Hugging Face models."""

    twin: Checkpoint | None = None
    local: tuple[Path, ...] = ()


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


def compare(
    checkpoint: Checkpoint,
    model: Transformer,
    data: Processed,
    held: HeldOut,
    settings: EvaluationConfig,
    rivals: Rivals,
    kept: KeptParts,
    missing: dict[str, str],
) -> Generator[Step, None, list[Likelihood]]:
    """Yield the steps and return the rows of the table, with the model's own first.

    ``kept``: finished parts, which are not measured again. A rival that cannot be measured has no row, and the reason
    is added to ``missing``. Raises UserError for an unsuitable rival before anything is measured.
    """
    device = model.device
    tokenizer, level = checkpoint.tokenizer, checkpoint.config.model.vocab_level
    if rivals.twin is not None:
        check_twin(rivals.twin, checkpoint, data)
    names = [folder.resolve().name for folder in rivals.local]
    if len(set(names)) < len(names):
        raise UserError(f"two folders of one name ({', '.join(names)}) give rows of one name: rename one of them")
    for folder in rivals.local:
        check_local(folder)
    training, precision = data.texts("train"), checkpoint.config.training.precision
    how = settings.draws, settings.batch_size, settings.seed

    def own_nats() -> Nats:
        events = model_nats_in_batches(model, held.windows, *how)
        with autocast(device, precision):
            return (yield from _steps(MODEL, events, settings.draws * len(held.windows)))

    def chain_nats() -> Nats:
        with autocast(device, precision):
            return (
                yield from _steps(CHAIN_RULE, chain_rule_nats(model, held.windows, settings.batch_size), held.tokens)
            )

    def twin_nats(twin: Checkpoint) -> Nats:
        yield Step(TWIN)
        with autocast(device, twin.config.training.precision):
            return model_nats(twin.build(device), held.windows, 1, settings.batch_size, 0).tolist()

    def order_nats(order: int) -> Nats:
        yield Step(ngrams(order))
        return ngram_nats(training, held, tokenizer, level, order).tolist()

    nats = np.array((yield from kept.part(MODEL, own_nats())))
    own = resample(nats, held, settings.bootstrap, settings.seed)
    name = "autoregressive twin" if model.config.causal else "diffusion (bound)"
    rows = [summarise(name, nats, held, settings.bootstrap, settings.seed)]
    others: list[tuple[str, str, Nats]] = []  # names of the row and of its step, and the measurement
    if settings.chain_rule and not model.config.causal:
        others.append(("diffusion (chain rule)", CHAIN_RULE, chain_nats()))
    if rivals.twin is not None:
        others.append(("autoregressive twin", TWIN, twin_nats(rivals.twin)))
    for order in settings.ngram_orders:
        row = NGRAM_NAMES.get(order, f"{order}-gram Kneser-Ney")
        others.append((row, ngrams(order), order_nats(order)))
    if settings.ppm_order:
        ppm = _ppm(training, held, checkpoint, settings.ppm_order)
        others.append((f"PPMd order {settings.ppm_order}, primed", PPM, ppm))
    for row, step, measure in others:
        found = yield from attempt(row, kept.part(step, measure), missing)
        if found is not None:
            rows.append(summarise(row, np.array(found), held, settings.bootstrap, settings.seed, own))
    for folder in rivals.local:
        texts = whole_characters(data.texts(settings.split), held)
        # Bytes are counted again, because these texts end at whole characters.
        of = replace(held, bytes=np.array([len(text.encode("utf-8")) for text in texts]))
        local = kept.part(f"likelihood of {folder}", _local(folder, texts, settings.batch_size, device))
        named = yield from attempt(folder.name, local, missing)
        if named is not None:
            row, found = named
            rows.append(summarise(row, np.array(found), of, settings.bootstrap, settings.seed, own))
    rows.append(
        summarise("uniform", uniform_nats(held, model.text_vocab_size), held, settings.bootstrap, settings.seed, own)
    )
    return rows


def _steps(name: str, events: Iterable[int | FloatArray], total: int) -> Nats:
    """Yield a step for each number in ``events``, how much of ``total`` is done, and return the nats that end them."""
    yield Step(name, 0, total)
    for event in events:
        if not isinstance(event, int):
            return event.tolist()
        yield Step(name, event, total)
    raise AssertionError("the last event must be the nats")


def _ppm(training: list[str], held: HeldOut, checkpoint: Checkpoint, order: int) -> Nats:
    token_bytes = checkpoint.tokenizer.token_bytes
    windows = [b"".join(token_bytes(i) for i in w.tolist()) for w in held.windows]
    # The blank line that separates passages also precedes each window, so that a window begins like a passage.
    primer = "".join(text + "\n\n" for text in training).encode("utf-8")
    bits: list[float] = []
    for found in ppm_bits(primer, windows, order):
        bits.append(found)
        yield Step(PPM, len(bits), len(windows))
    return (np.array(bits) * np.log(2)).tolist()


def _local(
    folder: Path, texts: list[str], batch_size: int, device: torch.device
) -> Generator[Step, None, tuple[str, list[float]]]:
    """Return the name of a Hugging Face model's row, and its nats for each text."""
    yield Step(f"reading {folder.name}")
    local = load_local(folder, device)
    nats = yield from _steps(f"likelihood of {local.name}", local_nats(local, texts, batch_size), len(texts))
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
