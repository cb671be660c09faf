"""Keeps finished parts of an evaluation in a file until the evaluation is complete."""

import hashlib
import json
from collections.abc import Generator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from ..config import ProjectConfig
from ..errors import UserError
from ..files import fingerprint, write_text

Steps = TypeVar("Steps")
Value = TypeVar("Value")


class KeptParts:
    """Finished parts by the names of their steps: plain data, written to ``path`` after each part.

    ``key`` identifies the evaluation: parts under another key stay in the file but are not used. Without a path nothing
    is kept. Raises UserError for a file that does not contain such parts.
    """

    def __init__(self, path: Path | None = None, key: str = "") -> None:
        self.path, self.key = path, key
        self._all: dict[str, dict[str, Any]] = {}
        if path is not None and path.exists():
            try:
                self._all = json.loads(path.read_text(encoding="utf-8"))
                self.names = frozenset(self._all.get(key, {}))
            except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
                raise UserError(f"{path} does not hold the parts of an evaluation: delete it") from error
        else:
            self.names = frozenset()

    def part(self, name: str, measure: Generator[Steps, None, Value]) -> Generator[Steps, None, Value]:
        """Return what ``measure`` returns, as plain data for JSON: from the file if it is there, otherwise measured."""
        own = self._all.setdefault(self.key, {})
        if name not in own:
            own[name] = yield from measure
            if self.path is not None:
                write_text(self.path, json.dumps(self._all) + "\n")
        found: Value = own[name]
        return found


def evaluation_key(models: Sequence[Path], data: str, config: ProjectConfig, device: str, local: Sequence[Path]) -> str:
    """A hash of everything that finished parts depend on: equal keys, equal figures.

    ``models``: checkpoints, identified by their content; ``local``: folders, identified by the sizes and times of their
    files.
    """
    files = [file for folder in local for file in sorted(folder.glob("*"))]
    stats = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    settings = [config.evaluation.model_dump(mode="json"), config.generation.model_dump(mode="json")]
    own = [version("tiny-diffusion"), config.training.precision, device]
    content = json.dumps([own, [fingerprint(path) for path in models], data, settings, stats], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()
