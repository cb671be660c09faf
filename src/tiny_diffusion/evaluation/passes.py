"""How long an evaluation will take: its forward passes counted, and one of them timed on this machine."""

import time
from dataclasses import dataclass

from ..config import EvaluationConfig, GenerationConfig
from ..data.tokenizer import BOS
from ..model.autoregressive import autoregressive_nats
from ..model.likelihood import likelihood_bound
from ..model.transformer import Transformer
from ..runtime import generator_for
from ..sampling.writer import most_passes
from .breakdown import FORMATS, RATES
from .compressor import PHASES, compressed_size
from .likelihood import HeldOut


@dataclass(frozen=True)
class Expected:
    """The seconds that the rest of the evaluation should take on this machine, good to a factor of two."""

    seconds: float


def count_passes(
    held: HeldOut, settings: EvaluationConfig, generation: GenerationConfig, *, context: int, causal: bool, twin: bool
) -> int:
    """Windows that go through the network: for the likelihoods, their breakdowns, and all texts written.

    Samplers that take as many steps as they need are counted with the most that they take, one a token.
    """
    windows = len(held.windows)
    count = windows * (1 if causal else settings.draws) + windows * twin
    if settings.chain_rule and not causal:
        count += held.tokens
    count += settings.breakdown_draws * windows * (len(FORMATS) + (0 if causal else len(RATES)))
    temperatures = {generation.temperature, *settings.temperatures}
    generation = generation.model_copy(update={"length": settings.sample_tokens})
    if causal:  # with a cache a block of text takes about one pass over its tokens
        blocks = most_passes(generation.model_copy(update={"sampler": "ancestral", "steps": 1, "block": 0}), context)
        return count + settings.samples * blocks * len(temperatures)
    # A text at each temperature but the usual one, and of each number of steps.
    count += settings.samples * (len(temperatures) - 1) * most_passes(generation, context)
    for steps in {generation.steps, *settings.novelty_steps}:
        count += settings.samples * most_passes(generation.model_copy(update={"steps": steps}), context)
    return count


def expect(
    model: Transformer,
    held: HeldOut,
    training: list[str],
    settings: EvaluationConfig,
    generation: GenerationConfig,
    *,
    twin: bool,
) -> Expected:
    """Time one batch of the likelihood, after one to warm up, and one run of PPMd; style and n-grams take seconds."""
    longest = max(held.windows, key=len)
    rows = [longest] * settings.batch_size
    seconds = 0.0
    for _ in range(2):
        began = time.perf_counter()
        if model.config.causal:
            autoregressive_nats(model, rows, BOS, settings.batch_size)
        else:
            likelihood_bound(model, rows, 1, settings.batch_size, generator_for(settings.seed))
        seconds = time.perf_counter() - began
    context, causal = model.config.context, model.config.causal
    passes = count_passes(held, settings, generation, context=context, causal=causal, twin=twin)
    seconds *= passes / settings.batch_size
    if settings.ppm_order:
        began = time.perf_counter()
        compressed_size("\n\n".join(training).encode("utf-8"), settings.ppm_order)
        runs = len(held.windows) + min(PHASES, len(held.windows))
        seconds += runs * (time.perf_counter() - began)
    return Expected(seconds)
