"""Which reading of a network writes a continuation, and how many forward passes that takes at most."""

from typing import Literal

from ..config import GenerationConfig, ModelConfig
from ..errors import UserError
from ..sampling.denoise import most_steps

OF_DIFFUSION = ("sampler", "steps", "choice_noise", "block", "cache_context")
"""Settings without effect on the causal reading: whoever changes one of them asks for the masked one."""
DUAL = "needs both readings of one network, which training.objective=dual with model.dual=true learns"


def reading_of(model: ModelConfig, settings: GenerationConfig) -> Literal["masked", "causal", "drafts"]:
    """The reading that ``settings.reading`` asks of a model; "auto" is the best one that it has.

    A network that has learnt both readings writes best by the causal one (docs/sampling.md), unless the settings change
    how diffusion goes. Raises UserError for a reading that the model does not have.
    """
    has_causal, has_masked = model.causal or model.dual, not model.causal
    wanted = settings.reading
    if wanted == "auto":
        fields = GenerationConfig.model_fields
        changed = any(getattr(settings, key) != fields[key].default for key in OF_DIFFUSION)
        return "masked" if has_masked and (changed or not has_causal) else "causal"
    if wanted == "drafts" and not model.dual:
        raise UserError(f"generation.reading=drafts {DUAL}")
    if wanted == "causal" and not has_causal:
        raise UserError("generation.reading=causal: this model has the masked reading only; take masked or auto")
    if wanted == "masked" and not has_masked:
        raise UserError("generation.reading=masked: this model has the causal reading only; take causal or auto")
    return wanted


def most_passes(settings: GenerationConfig, model: ModelConfig) -> int:
    """The most forward passes, of one row or of several at once, to write ``settings.length`` tokens from nothing."""
    reading = reading_of(model, settings)
    if reading == "causal":
        return settings.length
    context = model.context
    first = min(context, settings.length)
    whole, rest = divmod(settings.length - first, context - context // 2)
    sizes = [first] + whole * [context - context // 2] + ([rest] if rest else [])
    judged = len(sizes) if reading == "drafts" else 0
    return sum(most_steps(settings, size) for size in sizes) + judged
