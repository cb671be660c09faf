"""The stages of training: their text, their mask rates, their length."""

from typing import Literal, Self

from pydantic import Field, model_validator

from ..errors import UserError
from .base import Config

Format = Literal["sentences", "pairs", "paragraphs"]


class StageConfig(Config):
    """One stage of the curriculum."""

    name: str
    """The stage's name in logs."""
    epochs: int = Field(ge=1)
    """Passes over the stage's data."""
    mask_range: tuple[float, float]
    """Lowest and highest mask rate of the stage."""
    format: Format
    """What a row holds: sentences; pairs of neighbouring sentences, evidence before claim where a connective tells
    them apart; or paragraphs."""
    max_complexity: float = Field(1.0, gt=0, le=1)
    """Highest syntactic-complexity percentile taken."""
    min_centrality: float = Field(0.0, ge=0, lt=1)
    """Lowest thematic-centrality percentile taken."""
    max_rarity: float = Field(1.0, gt=0, le=1)
    """Highest lexical-rarity percentile taken."""
    max_difficulty: float = Field(1.0, gt=0, le=1)
    """Highest percentile of the combined difficulty taken; pipeline.difficulty weighs its scores."""
    vocab_level: int = Field(5, ge=1, le=5)
    """Vocabulary level of the stage's text, at most the model's; the last stage needs the model's."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        low, high = self.mask_range
        if not 0 < low <= high <= 1:
            raise ValueError(f"mask_range={self.mask_range} must rise within (0, 1], such as (0.1, 0.3)")
        return self


# The simplest third of the sentences, without the least central third and the third of the rarest words. Simple
# sentences are less central than others, so these limits are needed for a choice that is more central than the book.
FOUNDATIONAL = StageConfig(
    name="foundational",
    epochs=50,
    mask_range=(0.75, 0.90),
    format="sentences",
    max_complexity=0.34,
    min_centrality=0.34,
    max_rarity=0.67,
    max_difficulty=0.34,
)
STRUCTURAL = StageConfig(name="structural", epochs=100, mask_range=(0.40, 0.60), format="pairs", max_complexity=0.9)
REFINEMENT = StageConfig(name="refinement", epochs=150, mask_range=(0.10, 0.30), format="paragraphs")


class ShelfStage(StageConfig):
    """The stage of other books. ``CurriculumConfig.with_shelf`` makes it; no file holds it."""

    name: str = "shelf"
    mask_range: tuple[float, float] = (0.001, 1.0)
    format: Format = "paragraphs"


class CurriculumConfig(Config):
    """The stages in order, and the transitions between them."""

    stages: tuple[StageConfig, ...] = (FOUNDATIONAL, STRUCTURAL, REFINEMENT)
    """The stages, in order; [] trains on the shelf alone."""
    shelf_epochs: int = Field(4, ge=0)
    """Passes over the books of prepare --shelf before the stages, as paragraphs at all mask rates; 0: none. It counts
    only if the data has a shelf."""
    full_range_share: float = Field(0.25, ge=0, le=1)
    """Share of rows in every stage whose mask rate is drawn from 0 to 1."""
    transition_share: float = Field(0.1, ge=0, lt=1)
    """Share of a stage, at its start, over which the earlier stage's rows and rates fade out."""
    rehearsal_share: float = Field(0.0, ge=0, lt=1)
    """Share of a stage's rows that repeat earlier stages, against forgetting."""
    dynamic_scoring: bool = False
    """Score sentences by the model's own loss after each epoch and take the easier ones first: at a stage's start the
    easier half of the sentences of each length, at its end all. An epoch keeps its number of rows."""
    dynamic_weight: float = Field(0.5, ge=0, le=1)
    """Weight of the model's loss in the dynamic score."""

    def with_shelf(self, shelf: bool) -> Self:
        """The curriculum of a run on data that have a ``shelf`` or none, with the stage of the shelf before all others.

        Raises UserError if that leaves no stage.
        """
        first = (ShelfStage(epochs=self.shelf_epochs),) if shelf and self.shelf_epochs else ()
        if not first + self.stages:
            raise UserError(
                "curriculum.stages=[] trains on a shelf alone, but "
                + ("curriculum.shelf_epochs=0" if shelf else "the data have none: prepare them with --shelf")
                + ", or give --config for the stages of the book"
            )
        return self.model_copy(update={"stages": first + self.stages})

    @property
    def first(self) -> int:
        """Number of the first stage of the book itself: 1 after ``with_shelf`` has added a stage, else 0."""
        return int(bool(self.stages) and isinstance(self.stages[0], ShelfStage))

    def epochs_key(self, stage: int) -> str:
        """The setting that holds the epochs of ``stage``, counted with that of the shelf."""
        return f"curriculum.stages[{stage - self.first}].epochs" if stage >= self.first else "curriculum.shelf_epochs"

    @property
    def epochs(self) -> int:
        """Epochs of all stages."""
        return sum(stage.epochs for stage in self.stages)

    @classmethod
    def three_stage(cls) -> Self:
        """The description's schedule: 50 + 100 + 150 epochs, masks from high to low."""
        return cls()

    @classmethod
    def single_stage(cls) -> Self:
        """No curriculum: paragraphs at all mask rates, 300 epochs."""
        stage = StageConfig(name="single", epochs=300, mask_range=(0.001, 1.0), format="paragraphs")
        return cls(stages=(stage,), full_range_share=0.0, transition_share=0.0)

    @classmethod
    def fast_debug(cls) -> Self:
        """The three stages with one epoch each."""
        return cls(stages=tuple(s.model_copy(update={"epochs": 1}) for s in cls().stages))

    @classmethod
    def research_config(cls) -> Self:
        """Three stages that walk up the vocabulary levels, with dynamic scoring and 450 epochs."""
        return cls(
            stages=(
                FOUNDATIONAL.model_copy(update={"vocab_level": 2, "epochs": 75}),
                STRUCTURAL.model_copy(update={"vocab_level": 3, "epochs": 125}),
                REFINEMENT.model_copy(update={"epochs": 250}),
            ),
            dynamic_scoring=True,
        )

    @classmethod
    def cpu(cls, foundational: int, structural: int, refinement: int) -> Self:
        """Three stages for a small budget: short early ones, masks at all rates in the last, a little rehearsal."""
        return cls(
            stages=(
                FOUNDATIONAL.model_copy(update={"epochs": foundational}),
                STRUCTURAL.model_copy(update={"epochs": structural}),
                REFINEMENT.model_copy(update={"epochs": refinement}),
            ),
            full_range_share=0.75,
            rehearsal_share=0.02,
        )
