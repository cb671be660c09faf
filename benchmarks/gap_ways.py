"""The ways to score and fill gaps that ``infilling_quality`` compares, by their names in its tables."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gap_rivals import Counts, Diffusion, Twin
from gaps import Gap

from tiny_diffusion.config import GenerationConfig

BEAM = 16
Score = Callable[[list[Gap]], list[float]]
Fill = Callable[[list[Gap], str, int], list[list[int]]]  # gaps, their kind, number of the draw


@dataclass(frozen=True)
class Way:
    """A way to fill gaps, and in how many draws."""

    name: str
    draws: int
    fill: Fill


TRUTH = Way("the text itself", 1, lambda gaps, *_: [gap.filling for gap in gaps])


def likelihood_ways(diffusion: Diffusion, counts: Counts, twin: Twin | None) -> Iterator[tuple[str, Score]]:
    """A name, and nats of gaps' true fillings."""
    yield "diffusion, both sides", lambda gaps: diffusion.nats(gaps, right=True)
    yield "diffusion with counts, both sides", lambda gaps: diffusion.nats(gaps, right=True, with_counts=True)
    yield "diffusion, left side", lambda gaps: diffusion.nats(gaps, right=False)
    if twin is not None:
        yield "twin, left side", lambda gaps: twin.nats(gaps, long=False)
        yield "twin, left side, whole context", lambda gaps: twin.nats(gaps, long=True)
    order = counts.two_sided.order
    yield f"Kneser-Ney {order}, both sides", lambda gaps: counts.nats(gaps, right=True)
    yield f"Kneser-Ney {order}, left side", lambda gaps: counts.nats(gaps, right=False)
    yield "unigram", lambda gaps: counts.nats(gaps, right=False, model=counts.unigram)


def word_ways(
    diffusion: Diffusion, counts: Counts, twin: Twin | None, samplers: Sequence[str], steps: Sequence[int]
) -> Iterator[Way]:
    """With as many tokens as the true filling has; ``ancestral`` at the default settings first."""
    drawn = GenerationConfig().as_drawn()
    greedy = drawn.model_copy(update={"top_k": 1})
    yield from _sampled(diffusion, drawn, "", 2, samplers, steps)
    yield from _sampled(diffusion, greedy, ", greedy", 1, samplers, steps)
    if twin is not None:
        yield Way("twin, left side", 2, lambda gaps, _, draw: twin.fill(gaps, drawn.model_copy(update={"seed": draw})))
        yield Way("twin, left side, greedy", 1, lambda gaps, *_: twin.fill(gaps, greedy))
    order = counts.two_sided.order
    yield Way(f"Kneser-Ney {order}, both sides", 1, lambda gaps, *_: counts.fill(gaps, right=True, beam=BEAM))
    yield Way(f"Kneser-Ney {order}, left side", 1, lambda gaps, *_: counts.fill(gaps, right=False, beam=BEAM))
    yield Way("commonest words", 1, lambda gaps, kind, _: counts.commonest(gaps, apart=kind == "sentence"))
    yield TRUTH


def _sampled(
    diffusion: Diffusion,
    settings: GenerationConfig,
    name: str,
    draws: int,
    samplers: Sequence[str],
    steps: Sequence[int],
) -> Iterator[Way]:
    """``ancestral``, the other samplers, and left to right, at ``settings``."""

    def filled(**changes: object) -> Fill:
        return lambda gaps, _, draw: diffusion.fill(gaps, settings.model_copy(update={**changes, "seed": draw}))

    for sampler in ["ancestral", *(s for s in samplers if s != "ancestral")]:
        for count in [settings.steps, *steps]:
            yield Way(f"{sampler} {count}{name}", draws, filled(sampler=sampler, steps=count))
    yield Way(f"left to right{name}", draws, filled(block=1))


def infill_ways(diffusion: Diffusion, samplers: Sequence[str]) -> Iterator[Way]:
    """As the command ``infill`` fills gaps of so many words, not knowing of how many tokens; then the true fillings."""

    def filled(settings: GenerationConfig) -> Fill:
        return lambda gaps, kind, draw: diffusion.infill(gaps, settings.model_copy(update={"seed": draw}), kind)

    for sampler in ["ancestral", *(s for s in samplers if s != "ancestral")]:
        yield Way(f"infill, {sampler}", 2, filled(GenerationConfig(gap_sampler=sampler).as_drawn()))
    yield TRUTH
