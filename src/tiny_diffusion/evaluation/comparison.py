"""The table of likelihoods: the model and all that it is measured against, on the same windows."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ..checkpoint import Checkpoint, check_same_data
from ..config import EvaluationConfig
from ..data.artefacts import Processed
from ..errors import UserError
from ..model.transformer import Transformer
from ..runtime import autocast
from .compressor import ppm_bits
from .hugging_face import load_local, local_nats
from .likelihood import (
    FloatArray,
    HeldOut,
    Likelihood,
    Resampled,
    chain_rule_nats,
    model_nats,
    model_nats_in_batches,
    ngram_nats,
    resample,
    summarise,
    uniform_nats,
)

NGRAM_NAMES = {1: "unigram", 2: "bigram"}
# Names of the steps that take long.
MODEL, CHAIN_RULE, TWIN = "likelihood of the model", "chain rule of the model", "likelihood of the autoregressive twin"
PPM = "PPMd"


def ngrams(order: int) -> str:
    """The name of the step that measures the n-grams of an order."""
    return f"n-grams of order {order}"


@dataclass(frozen=True)
class Step:
    """A step of the evaluation that now begins or goes on, for a progress display; ``total`` is 0 when not known."""

    name: str
    done: int = 0
    total: int = 0


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
        raise UserError("the twin's checkpoint is no autoregressive model (model.causal=true)")
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
) -> Iterator[Step | Likelihood]:
    """Rows of the table, the model's own first, and the steps on the way.

    Raises UserError for a rival that cannot be measured on the same windows.
    """
    device = model.device
    tokenizer, level = checkpoint.tokenizer, checkpoint.config.model.vocab_level
    if rivals.twin is not None:
        check_twin(rivals.twin, checkpoint, data)
    names = [folder.resolve().name for folder in rivals.local]
    if len(set(names)) < len(names):
        raise UserError(f"two folders of one name ({', '.join(names)}) give rows of one name: rename one of them")

    def row(name: str, nats: FloatArray) -> Likelihood:
        return summarise(name, nats, held, settings.bootstrap, settings.seed, own)

    yield Step(MODEL)
    how = settings.draws, settings.batch_size, settings.seed
    with autocast(device, checkpoint.config.training.precision):
        for event in model_nats_in_batches(model, held.windows, *how):
            if isinstance(event, int):
                yield Step(MODEL, event, settings.draws * len(held.windows))
            else:
                nats = event
    name = "autoregressive twin" if model.config.causal else "diffusion (bound)"
    yield summarise(name, nats, held, settings.bootstrap, settings.seed)
    own = resample(nats, held, settings.bootstrap, settings.seed)
    if settings.chain_rule and not model.config.causal:
        with autocast(device, checkpoint.config.training.precision):
            for found in chain_rule_nats(model, held.windows, settings.batch_size):
                if isinstance(found, int):
                    yield Step(CHAIN_RULE, found, held.tokens)
                else:
                    yield row("diffusion (chain rule)", found)
    if rivals.twin is not None:
        yield Step(TWIN)
        with autocast(device, rivals.twin.config.training.precision):
            nats = model_nats(rivals.twin.build(device), held.windows, 1, settings.batch_size, 0)
        yield row("autoregressive twin", nats)
    for order in settings.ngram_orders:
        yield Step(ngrams(order))
        nats = ngram_nats(data.texts("train"), held, tokenizer, level, order)
        yield row(NGRAM_NAMES.get(order, f"{order}-gram Kneser-Ney"), nats)
    if settings.ppm_order:
        for found_ppm in _ppm(data, held, checkpoint, settings.ppm_order):
            if isinstance(found_ppm, Step):
                yield found_ppm
            else:
                yield row(f"PPMd order {settings.ppm_order}, primed", found_ppm)
    for folder in rivals.local:
        yield from _local(folder, data, held, settings, device, own)
    yield row("uniform", uniform_nats(held, model.text_vocab_size))


def _ppm(data: Processed, held: HeldOut, checkpoint: Checkpoint, order: int) -> Iterator[Step | FloatArray]:
    token_bytes = checkpoint.tokenizer.token_bytes
    windows = [b"".join(token_bytes(i) for i in w.tolist()) for w in held.windows]
    # The blank line that parts passages stands before each window too: a window begins like a passage.
    training = "".join(text + "\n\n" for text in data.texts("train")).encode("utf-8")
    bits = []
    for found in ppm_bits(training, windows, order):
        bits.append(found)
        yield Step(PPM, len(bits), len(windows))
    yield np.array(bits) * np.log(2)


def _local(
    folder: Path, data: Processed, held: HeldOut, settings: EvaluationConfig, device: torch.device, own: Resampled
) -> Iterator[Step | Likelihood]:
    """The row of a Hugging Face model, its bytes counted anew: its texts end where characters do."""
    yield Step(f"reading {folder.name}")
    local = load_local(folder, device)
    texts = whole_characters(data.texts(settings.split), held)
    of = replace(held, bytes=np.array([len(text.encode("utf-8")) for text in texts]))
    for found in local_nats(local, texts, settings.batch_size):
        if isinstance(found, int):
            yield Step(f"likelihood of {local.name}", found, len(texts))
        else:
            name = local.name if local.causal else f"{local.name} (chain rule)"
            yield summarise(name, found, of, settings.bootstrap, settings.seed, own)


def whole_characters(texts: list[str], held: HeldOut) -> list[str]:
    """The windows as text; a character that a window's edge cuts belongs to the window that it begins in."""
    encoded = [text.encode("utf-8") for text in texts]

    def edge(passage: int, place: int) -> int:
        while place < len(encoded[passage]) and encoded[passage][place] & 0xC0 == 0x80:
            place += 1
        return place

    places = zip(held.passage.tolist(), held.start.tolist(), held.bytes.tolist(), strict=True)
    return [encoded[p][edge(p, start) : edge(p, start + size)].decode("utf-8") for p, start, size in places]
