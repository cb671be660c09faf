"""The whole evaluation of one checkpoint: likelihood, style, coherence, novelty, frontier, thresholds."""

import json
import math
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

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
from .coherence import CoherenceReport, measure_coherence
from .copies import CopyIndex
from .frontier import Frontier, Judge, measure_frontier
from .likelihood import Likelihood, held_out, model_nats, ngram_nats, summarise, uniform_nats
from .novelty import NoveltyReport, cut_like, measure_novelty
from .style import StyleReport, measure_style

Value = TypeVar("Value", int, float)

VERSION = 2
NGRAM_NAMES = {1: "unigram", 2: "bigram"}


@dataclass(frozen=True)
class Threshold:
    """A quality threshold: the figure measured, the most it may be, and whether it is met."""

    name: str
    value: float
    limit: float
    met: bool


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
    style: StyleReport
    coherence: CoherenceReport
    novelty: NoveltyReport
    frontier: Frontier
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
    other_books: dict[str, str] | None = None,
) -> Iterator[Step | Report]:
    """Measure a checkpoint, yielding each step as it begins and the report at the end.

    ``other_books``: texts by name that the style is held against too. Raises UserError when the checkpoint was
    trained on other data.
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
    training, language = data.texts("train"), data.language
    yield Step("style")
    whole = [whole_sentences(s, language) for s in samples]
    style = measure_style(whole, texts, training, language, settings, other_books)
    yield Step("coherence")
    coherence = measure_coherence(whole, texts, training, language, settings)
    write = partial(write_samples, model, checkpoint, settings)
    # An autoregressive model writes token by token: it has no steps to vary.
    steps = () if model.config.causal else (generation.steps, *settings.novelty_steps)
    by_steps = yield from _vary("steps", steps, generation, samples, write)
    yield Step("novelty")
    novelty = measure_novelty(samples, texts, CopyIndex(training), language, settings, by_steps)
    temperatures = (generation.temperature, *settings.temperatures)
    by_temperature = yield from _vary("temperature", temperatures, generation, samples, write)
    yield Step("frontier")
    judge = Judge(training, tokenizer, level, settings.judge_order)
    frontier = measure_frontier(by_temperature, cut_like(samples, texts), judge)
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
        style=style,
        coherence=coherence,
        novelty=novelty,
        frontier=frontier,
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


def _vary(
    name: str,
    values: Iterable[Value],
    generation: GenerationConfig,
    samples: list[str],
    write: Callable[[GenerationConfig], list[str]],
) -> Generator[Step, None, dict[Value, list[str]]]:
    """Texts for each value of one setting of ``generation``, whose own value gave ``samples``."""
    found: dict[Value, list[str]] = {}
    for value in sorted(set(values)):
        how = generation.model_copy(update={name: value})
        if how == generation:
            found[value] = samples
        else:
            yield Step(f"writing samples with {name} {value:g}")
            found[value] = write(how)
    return found


def whole_sentences(text: str, language: str) -> str:
    """``text`` without its first and last sentence, which a sample begins and ends in the middle of.

    Paragraphs stay apart. A sample of fewer than three sentences stays as it is.
    """
    paragraphs = [split_sentences(paragraph, language) for paragraph in text.split("\n\n")]
    paragraphs = [sentences for sentences in paragraphs if sentences]
    if sum(map(len, paragraphs)) < 3:
        return text
    del paragraphs[0][0], paragraphs[-1][-1]
    return "\n\n".join(" ".join(sentences) for sentences in paragraphs if sentences)


def _level_1_perplexity(bits_per_byte: float, checkpoint: Checkpoint, texts: list[str]) -> float:
    """What these bits per byte are as perplexity per token of vocabulary level 1 (the description's target)."""
    tokens = sum(len(checkpoint.tokenizer.encode(text, 1)) for text in texts)
    size = sum(len(text.encode("utf-8")) for text in texts)
    return float(math.exp(bits_per_byte * math.log(2) * size / tokens))


def _thresholds(
    likelihood: Likelihood, style: StyleReport, novelty: NoveltyReport, settings: EvaluationConfig
) -> list[Threshold]:
    pairs = [
        ("bits per byte", likelihood.bits_per_byte, settings.max_bits_per_byte),
        ("sentence-length distance (words)", style.lengths.wasserstein, settings.max_sentence_length_distance),
        ("longest copied run (words)", float(novelty.generated.longest_words), float(settings.max_copied_words)),
    ]
    return [Threshold(name, value, limit, value <= limit) for name, value, limit in pairs]
