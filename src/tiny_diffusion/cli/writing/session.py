"""What ``generate --interactive`` remembers from line to line."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ...config import GenerationConfig, ProjectConfig
from ...errors import UserError
from .showing import Showing

if TYPE_CHECKING:
    from ...writing.results import Run
    from ...writing.writer import Writer


@dataclass
class Session:
    """A session's settings, the texts it wrote, and how to write the last one again."""

    writer: "Writer"
    settings: GenerationConfig
    showing: Showing
    texts: list[str] = field(default_factory=list)
    saved: set[Path] = field(default_factory=set)
    last: Callable[[], None] | None = None
    over: bool = False

    @property
    def in_use(self) -> GenerationConfig:
        """The settings with which the next text is written."""
        return self.showing.shown(self.settings, self.writer)

    def write(self, begin: "Callable[[], Run]") -> None:
        """Write, print and remember; ``begin`` starts the writing with the current settings. The seed grows by one."""
        self.last = lambda: self.write(begin)
        texts, refused = self.showing.write(begin(), self.writer, self.in_use)
        self.showing.echo(texts, self.writer, self.in_use)
        self.texts += [text.text for text in texts]
        self.settings = self.settings.model_copy(update={"seed": self.settings.seed + 1})
        if refused is not None:
            raise refused

    def change(self, assignment: str) -> None:
        """Change one setting by ``generation.key=value``; raises UserError for a wrong key or value."""
        config = ProjectConfig.default().override(generation=self.settings)
        changed = config.override_from_args([assignment])
        others = [key for key in config.differences(changed) if not key.startswith("generation.")]
        if others:
            raise UserError(f"{others[0]} does nothing here: a session has the settings generation.*")
        self.settings = changed.generation
