"""Texts that the model writes for measurement."""

from collections.abc import Callable, Generator, Iterable
from itertools import count
from typing import TypeVar

from ...checkpoint import Checkpoint
from ...config import EvaluationConfig, GenerationConfig
from ...data.folder import TrainingText
from ...data.language.segmentation import split_sentences
from ...model.transformer import Transformer
from ...sampling.denoise import most_steps
from ...writing.continuing import most_passes
from ...writing.writer import Writer
from ..subject import Step

Value = TypeVar("Value", int, float)
WRITING = "writing samples"  # name of the step


def varied(name: str, value: float) -> str:
    """The name of the step that writes with another value of a setting."""
    return f"{WRITING} with {name} {value:g}"


def write_samples(
    model: Transformer,
    checkpoint: Checkpoint,
    settings: EvaluationConfig,
    generation: GenerationConfig,
    name: str = WRITING,
    book: TrainingText | None = None,
) -> Generator[Step, None, list[str]]:
    """Write texts without a prompt, in batches, as the model draws them.

    ``book``: for ``generation.expert``. Yields the step ``name`` after each forward pass, counted in passes per text.
    """
    writer = Writer(model, checkpoint.tokenizer, lines=checkpoint.keeps_lines, book=book)
    samples: list[str] = []
    passes = most_passes(generation.model_copy(update={"length": settings.sample_tokens}), model.config)
    while len(samples) < settings.samples:
        how = sample_settings(settings, generation, len(samples))
        run = writer.writing("", how)
        for moment in count(1):
            try:
                next(run)
            except StopIteration as end:
                samples += [found.text for found in end.value]
                break
            done = len(samples) * passes + min(moment, passes) * how.num_samples
            yield Step(name, done, settings.samples * passes)
    return samples


def sample_settings(settings: EvaluationConfig, generation: GenerationConfig, written: int) -> GenerationConfig:
    """Settings for the next batch of samples when ``written`` samples exist already."""
    wanted = min(settings.batch_size, settings.samples - written)
    return generation.as_drawn().model_copy(
        update={"num_samples": wanted, "length": settings.sample_tokens, "seed": settings.seed + written}
    )


def steps_taken(settings: EvaluationConfig, generation: GenerationConfig, context: int, steps: int) -> int:
    """The largest number of ``steps`` that a sample's first block takes: some samplers need at most one per token."""
    tokens = min(context, settings.sample_tokens)
    return most_steps(generation.model_copy(update={"steps": steps}), tokens)


def vary(
    name: str,
    values: Iterable[Value],
    generation: GenerationConfig,
    samples: list[str],
    write: Callable[[GenerationConfig, str], Generator[Step, None, list[str]]],
) -> Generator[Step, None, dict[Value, list[str]]]:
    """Texts for each value of one setting of ``generation``, whose own value gave ``samples``."""
    found: dict[Value, list[str]] = {}
    for value in sorted(set(values)):
        how = generation.model_copy(update={name: value})
        if how == generation:
            found[value] = samples
        else:
            found[value] = yield from write(how, varied(name, value))
    return found


def whole_sentences(text: str, language: str) -> str:
    """``text`` without its first and last sentence, because a sample begins and ends in the middle of one.

    Paragraphs stay separate. A sample with fewer than three sentences is returned unchanged.
    """
    paragraphs = [split_sentences(paragraph, language) for paragraph in text.split("\n\n")]
    paragraphs = [sentences for sentences in paragraphs if sentences]
    if sum(map(len, paragraphs)) < 3:
        return text
    del paragraphs[0][0], paragraphs[-1][-1]
    return "\n\n".join(" ".join(sentences) for sentences in paragraphs if sentences)
