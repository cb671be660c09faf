"""The result of an evaluation: the report that ``evaluation.json`` holds, and its schema."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from ..config import EvaluationConfig, GenerationConfig
from ..files import write_text
from .blind_test.statistics import BlindReport
from .leaks import Leaks
from .likelihood.bound import Likelihood
from .likelihood.breakdown import FormatLikelihood, MaskRate
from .seeds import Spread
from .style.style_report import StyleReport
from .text_quality.coherence import CoherenceReport
from .text_quality.frontier import Frontier
from .text_quality.novelty import NoveltyReport
from .text_quality.two_sample import TwoSample

VERSION = 8
LEAK_THRESHOLD = "held-out sentences in training (share)"


@dataclass(frozen=True)
class Threshold:
    """A quality threshold: the measured figure, its limit, and whether the limit is met."""

    name: str
    value: float
    limit: float
    met: bool


@dataclass(frozen=True)
class Report:
    """Everything that ``evaluation.json`` holds.

    * source: the book. split: which held-out passages were scored, in ``windows`` windows of at most ``window_tokens``
      tokens from ``passages`` passages.
    * rough_interval: True for fewer than ten passages, so that intervals are over windows.
    * draws: masks per window for the bound.
    * bytes_per_token: of the windows; level_1_bytes_per_token: of the same text at vocabulary level 1.
    * likelihood: the table, with the model's own row first (the bound, or exact for an autoregressive model).
    * mask_rates, formats: empty if not asked for; mask_rates also for an autoregressive model.
    * leaks: held-out sentences that occur in the training text.
    * style, coherence, novelty, frontier: see their classes; None if ``missing`` says why they could not be measured.
    * blind: people's answers about this model; None if there are none.
    * samples: the texts that the figures are measured on.
    * evaluation, generation: the settings.
    * missing: for each row or part that could not be measured, by name, the reason. Files of version 4 lack it and can
      still be read.
    * counts: for each row with counts, their weight after a context of which the counts know 0, 1, 2 ... tokens; for
      each product, the exponents of the networks and of the counts. Files of version 5 lack it and can still be read.
    * shelf: names of other books that the model, or one of the networks averaged with it, has learnt from. Files of
      version 6 lack it and can still be read.
    * two_sample: how well a classifier tells the samples from held-out text; None if it is turned off or ``missing``
      says why. Files of version 6 lack it and can still be read.
    * long_context: the readings from left to right, counts and PPMd on the same windows with all that stands to the
      left in the passage (protocol 2), the model's own row first. Files of version 7 lack it and can still be read.
    * books: names of the books of which windows were scored, if several were prepared together. Files of version 6 lack
      it and can still be read.
    """

    version: int
    source: str
    split: str
    window_tokens: int
    windows: int
    passages: int
    rough_interval: bool
    draws: int
    bytes_per_token: float
    level_1_bytes_per_token: float
    parameters: int
    likelihood: list[Likelihood]
    mask_rates: list[MaskRate]
    formats: list[FormatLikelihood]
    leaks: Leaks
    style: StyleReport | None
    coherence: CoherenceReport | None
    novelty: NoveltyReport | None
    frontier: Frontier | None
    blind: BlindReport | None
    thresholds: list[Threshold]
    samples: list[str]
    evaluation: EvaluationConfig
    generation: GenerationConfig
    missing: dict[str, str] = field(default_factory=dict)
    counts: dict[str, list[float]] = field(default_factory=dict)
    shelf: list[str] = field(default_factory=list)
    two_sample: TwoSample | None = None
    books: list[str] = field(default_factory=list)
    long_context: list[Likelihood] = field(default_factory=list)

    @property
    def leaking(self) -> bool:
        """Whether a larger share of the held-out sentences occurs in the training text than the threshold allows."""
        return not next(t.met for t in self.thresholds if t.name == LEAK_THRESHOLD)

    def write(self, path: Path) -> None:
        """Write as JSON, completely or not at all."""
        write_json(path, Report, self)


@dataclass(frozen=True)
class SeedFigure:
    """One figure of each checkpoint, in order, with its mean and spread; None where a checkpoint lacks it."""

    name: str
    values: list[float | None]
    spread: Spread | None


@dataclass(frozen=True)
class SeedsReport:
    """Several checkpoints evaluated with the same settings: paths, mean and spread of the main figures, and reports."""

    version: int
    checkpoints: list[str]
    figures: list[SeedFigure]
    reports: list[Report]

    def write(self, path: Path) -> None:
        """Write as JSON, completely or not at all."""
        write_json(path, SeedsReport, self)


def write_json(path: Path, kind: Any, value: Any) -> None:
    """Write a dataclass by its type's own schema, completely or not at all; NaN becomes null."""
    write_text(path, TypeAdapter(kind).dump_json(value, indent=2).decode("utf-8") + "\n")


def schema() -> dict[str, Any]:
    """The JSON Schema of what ``evaluate`` writes: the report of one checkpoint, or of several."""
    found: dict[str, Any] = TypeAdapter(Report | SeedsReport).json_schema(mode="serialization")
    for name in (Report.__name__, SeedsReport.__name__):
        found["$defs"][name]["properties"]["version"] = {"const": VERSION, "title": "Version", "type": "integer"}
        found["$defs"][name]["required"] = list(found["$defs"][name]["properties"])  # all fields are always written
    return {"title": f"Evaluation of tiny-diffusion, version {VERSION}", **found}
