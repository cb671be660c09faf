"""The whole evaluation of one checkpoint: likelihood, style, novelty, thresholds."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from ..checkpoint import Checkpoint
from ..config import EvaluationConfig, GenerationConfig
from ..data.artefacts import Processed
from ..data.segmentation import split_sentences
from ..errors import UserError
from ..files import write_text
from ..model.transformer import Transformer
from ..runtime import autocast
from ..sampling.writer import Writer
from .likelihood import Likelihood, held_out, model_nats, ngram_nats, summarise, uniform_nats
from .novelty import copied_ngram_share, longest_copied_run
from .style import StyleComparison, compare_style

VERSION = 1
NGRAM_NAMES = {1: "unigram", 2: "bigram"}


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
    """Everything that ``evaluation.json`` holds."""

    version: int
    split: str
    window_tokens: int
    windows: int
    passages: int
    rough_interval: bool
    draws: int
    bytes_per_token: float
    parameters: int
    likelihood: list[Likelihood]
    perplexity_at_level_1: float
    style: dict[str, object]
    novelty: Novelty
    thresholds: list[Threshold]
    samples: list[str] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write as JSON, whole or not at all."""
        write_text(path, json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n")


@dataclass(frozen=True)
class Step:
    """A step of the evaluation that now begins, for a progress display."""

    name: str


def check_same_data(checkpoint: Checkpoint, data: Processed) -> None:
    """Raise UserError unless ``data`` is what ``checkpoint`` was trained on."""
    if checkpoint.meta.get("data") != data.identity:
        raise UserError(
            "the prepared data is not what the checkpoint was trained on (other book or other pipeline settings); "
            f"the checkpoint's book was {checkpoint.meta.get('source')!r}: prepare it again with the same settings"
        )


def evaluate(
    checkpoint: Checkpoint,
    data: Processed,
    settings: EvaluationConfig,
    generation: GenerationConfig,
    device: torch.device,
) -> Iterator[Step | Report]:
    """Measure a checkpoint, yielding each step as it begins and the report at the end.

    Raises UserError when the checkpoint was trained on other data.
    """
    check_same_data(checkpoint, data)
    model = checkpoint.build(device)
    tokenizer, level = checkpoint.tokenizer, checkpoint.config.model.vocab_level
    texts = data.texts(settings.split)
    windows = held_out(texts, tokenizer, level, model.config.context, settings.windows)
    found: list[Likelihood] = []

    yield Step("likelihood of the model")
    with autocast(device, checkpoint.config.training.precision):
        nats = model_nats(model, windows, settings.draws, settings.batch_size, settings.seed)
    name = "autoregressive twin" if model.config.causal else "diffusion (bound)"
    found.append(summarise(name, nats, windows, settings.bootstrap, settings.seed))
    for order in settings.ngram_orders:
        yield Step(f"n-grams of order {order}")
        baseline = ngram_nats(data.texts("train"), windows, tokenizer, level, order)
        label = NGRAM_NAMES.get(order, f"{order}-gram Kneser-Ney")
        found.append(summarise(label, baseline, windows, settings.bootstrap, settings.seed))
    uniform = uniform_nats(windows, model.text_vocab_size)
    found.append(summarise("uniform", uniform, windows, settings.bootstrap, settings.seed))

    yield Step("writing samples")
    samples = write_samples(model, checkpoint, settings, generation)
    yield Step("style and novelty")
    style = compare_style([whole_sentences(s, data.language) for s in samples], texts, data.language)
    novelty = measure_novelty(samples, texts, data.texts("train"))
    tokens = sum(len(w) for w in windows.windows)
    passages = len(set(windows.passage.tolist()))
    yield Report(
        version=VERSION,
        split=settings.split,
        window_tokens=model.config.context,
        windows=len(windows.windows),
        passages=passages,
        rough_interval=passages < 10,
        draws=settings.draws,
        bytes_per_token=float(windows.bytes.sum() / tokens),
        parameters=model.count()[0],
        likelihood=found,
        perplexity_at_level_1=_level_1_perplexity(found[0].bits_per_byte, checkpoint, texts),
        style=style.to_dict(),
        novelty=novelty,
        thresholds=_thresholds(found[0], style, novelty, settings),
        samples=samples,
    )


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


def _level_1_perplexity(bits_per_byte: float, checkpoint: Checkpoint, texts: list[str]) -> float:
    """What these bits per byte are as perplexity per token of vocabulary level 1 (the description's target)."""
    tokens = sum(len(checkpoint.tokenizer.encode(text, 1)) for text in texts)
    size = sum(len(text.encode("utf-8")) for text in texts)
    return float(math.exp(bits_per_byte * math.log(2) * size / tokens))


def _thresholds(
    likelihood: Likelihood, style: StyleComparison, novelty: Novelty, settings: EvaluationConfig
) -> list[Threshold]:
    pairs = [
        ("bits per byte", likelihood.bits_per_byte, settings.max_bits_per_byte),
        ("sentence-length distance (words)", style.wasserstein, settings.max_sentence_length_distance),
        ("longest copied run (words)", float(novelty.longest_copied_words), float(settings.max_copied_words)),
    ]
    return [Threshold(name, value, limit, value <= limit) for name, value, limit in pairs]
