"""A model under evaluation with everything that its measurements share, and the steps that they yield."""

from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from ..checkpoint import Checkpoint
from ..config import EvaluationConfig
from ..data.artefacts import Processed
from ..data.tokenizer import BookTokenizer
from ..errors import UserError, WorldError
from ..model.transformer import Transformer
from ..runtime import memory_errors
from .kept import KeptParts

Value = TypeVar("Value")


@dataclass(frozen=True)
class Step:
    """A step of the evaluation that begins or continues, for a progress display; ``total`` is 0 if unknown."""

    name: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class Rivals:
    """What to measure beside the model: its autoregressive twin, and folders of Hugging Face models.

    members: networks whose laws are averaged with the model's, in further rows.
    """

    twin: Checkpoint | None = None
    local: tuple[Path, ...] = ()
    members: tuple[Checkpoint, ...] = ()


NO_RIVALS = Rivals()


@dataclass(frozen=True, eq=False)
class Subject:
    """A model under evaluation: its checkpoint, the data, the settings, and the rivals to compare it with.

    kept: finished parts, which are not measured again. missing: the reasons, by name, for what could not be measured.
    weights: for each row with counts, their weight in each class of context; for each product, its exponents.
    Measuring adds to these two.
    """

    checkpoint: Checkpoint
    model: Transformer
    data: Processed
    settings: EvaluationConfig
    rivals: Rivals = NO_RIVALS
    kept: KeptParts = field(default_factory=KeptParts)
    missing: dict[str, str] = field(default_factory=dict)
    weights: dict[str, list[float]] = field(default_factory=dict)

    @property
    def tokenizer(self) -> BookTokenizer:
        """The tokenizer of the checkpoint."""
        return self.checkpoint.tokenizer

    @property
    def level(self) -> int:
        """The vocabulary level of the model."""
        return self.checkpoint.config.model.vocab_level

    @property
    def precision(self) -> str:
        """The precision in which the model was trained and is measured."""
        return self.checkpoint.config.training.precision

    @property
    def held_out(self) -> list[str]:
        """The held-out texts that are measured."""
        return self.data.texts(self.settings.split)

    def attempt(self, name: str, measure: Generator[Step, None, Value]) -> Generator[Step, None, Value | None]:
        """Return what ``measure`` returns; if that fails, None, with the reason in ``missing`` under ``name``."""
        try:
            with memory_errors():
                return (yield from measure)
        except (UserError, WorldError) as error:
            self.missing[name] = str(error)
            return None
