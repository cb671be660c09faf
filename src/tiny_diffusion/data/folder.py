"""The small parts of a prepared folder: ``meta.json`` and the training text, read without loading scikit-learn."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..config import PipelineConfig
from ..errors import UserError
from .splitting import Passage

VERSION = 4
OLDER = (2, 3)  # still read, so that checkpoints of that time can be used with their data
META, PASSAGES, SHELF = "meta.json", "passages.jsonl", "shelf.jsonl"


@dataclass(frozen=True)
class TrainingText:
    """The book that a model is trained on: passages in order, and ``Processed.book_identity``.

    passages: for training. validation: those that settings are fitted on.
    """

    passages: list[str]
    book_identity: str
    validation: list[str]


def digest(text: str) -> str:
    """SHA-256 of ``text`` in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def settings_hash(pipeline: PipelineConfig) -> str:
    """Hash of the preparation's settings."""
    settings = pipeline.model_dump(mode="json")
    if settings["splitter"] == "rules":
        del settings["splitter"]  # as before there was a choice, so that older checkpoints know their book
    return digest(json.dumps(settings, sort_keys=True))


def identity(meta: Mapping[str, object], *, shelf: bool = True) -> str:
    """Hash of what came out of preparation and of its settings: equal if and only if the data are equal.

    Without ``shelf`` it is that of the book alone. Version 2 had a hash of the book that went in instead, so that a
    change of rules was not noticed.
    """
    own = str(meta["text_hash" if meta["version"] == 2 else "content_hash"]) + str(meta["settings_hash"])
    return digest(own + (str(meta.get("shelf_hash") or "") if shelf else ""))


def outdated(meta: Mapping[str, object], folder: Path) -> str | None:
    """A line that says that an older version prepared the folder, and how to do it again; None for one of today."""
    if meta["version"] == VERSION:
        return None
    return (
        f"{folder} was prepared by an older version of this program, whose rules differ; to prepare it again: "
        f"tiny-diffusion prepare --book {meta.get('source', 'FILE')} --output {folder}"
    )


def read_meta(folder: Path) -> dict[str, object] | None:
    """The folder's ``meta.json``, or None if it holds no finished preparation.

    Raises UserError for a damaged file, or one that another version of the program wrote.
    """
    path = folder / META
    if not path.exists():
        return None
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged; run prepare again with --force") from error
    if not isinstance(meta, dict) or meta.get("version") not in (*OLDER, VERSION):
        raise UserError(f"{path} was written by another version of this program; run prepare again with --force")
    return meta


def read_training_text(folder: Path) -> TrainingText:
    """Read the passages of a prepared folder without the test text.

    Raises UserError if there are none or a file is damaged.
    """
    meta = require_meta(folder)
    try:
        passages = read_passages(folder)
        training, validation = ([p.text for p in passages if p.split == split] for split in ("train", "validation"))
        return TrainingText(training, identity(meta, shelf=False), validation)
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise damaged(folder, error) from error


def require_meta(folder: Path) -> dict[str, object]:
    """The folder's ``meta.json``; raises UserError if it holds no finished preparation."""
    meta = read_meta(folder)
    if meta is None:
        raise UserError(f"no prepared book in {folder}; run: tiny-diffusion prepare --book FILE --output {folder}")
    return meta


def damaged(folder: Path, error: Exception) -> UserError:
    """The error for a folder that cannot be read, which says what to do about it."""
    return UserError(f"the prepared book in {folder} is damaged ({error}); run prepare again with --force")


def read_passages(folder: Path, name: str = PASSAGES) -> list[Passage]:
    """All passages of a file, in book order. Versions before 4 do not know chapters and cut paragraphs."""
    rows = read_lines(folder / name)
    return [Passage(**{**row, **{key: tuple(row.get(key, ())) for key in ("paragraphs", "chapters")}}) for row in rows]


def read_lines(path: Path) -> list[dict]:
    """The rows of a file of JSON lines."""
    # JSON does not escape U+2028 and other line separators: split at line feeds only.
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
