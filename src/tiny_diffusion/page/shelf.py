"""The checkpoints that the page offers, each read at its first use, and again when training has written it anew."""

import math
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..checkpoint import Checkpoint, check_same_data, load_checkpoint
from ..config import CONTROLS, GenerationConfig
from ..data.folder import TrainingText, read_meta, read_training_text
from ..errors import UserError
from ..writing.writer import Writer

Version = tuple[int, int]  # when a file was written, and its size
SHOWN = (
    "length", "temperature", "seed", "sampler", "steps", "top_p", "words", "expert", "max_copied_words",
    "rewrite_strength", "guidance",
)  # fmt: skip


@dataclass(frozen=True)
class Volume:
    """A checkpoint that was read: its writer, and whether the prepared book is its own."""

    checkpoint: Checkpoint
    writer: Writer
    has_book: bool

    @property
    def settings(self) -> GenerationConfig:
        """The checkpoint's own settings of writing."""
        return self.checkpoint.config.generation


class Shelf:
    """Checkpoints by number, from 0. ``data_dir``: the prepared book, for the checkpoints that learnt it."""

    def __init__(self, paths: list[Path], data_dir: Path | None, device: torch.device) -> None:
        self.paths, self.data_dir, self.device = paths, data_dir, device
        self.book: TrainingText | None = None if data_dir is None else read_training_text(data_dir)
        self._read: dict[int, tuple[Version, Volume]] = {}
        self._reading = threading.Lock()

    def volume(self, number: int) -> Volume:
        """The checkpoint of that number as it is on the disk now. Raises UserError if it is missing or damaged."""
        if not 0 <= number < len(self.paths):
            raise UserError(f"there is no checkpoint number {number}; there are {len(self.paths)}")
        path = self.paths[number]
        with self._reading:
            version = version_of(path)
            if version is None:
                raise UserError(f"no checkpoint at {path} yet; training writes it at its first validation")
            known = self._read.get(number)
            if known is None or known[0] != version:
                known = self._read[number] = (version, self._open(path))
            return known[1]

    def about(self) -> list[dict[str, Any]]:
        """What the page tells of each checkpoint; ``reason`` says why one cannot be used."""
        return [{"number": number, "name": name, **self._described(number)} for number, name in enumerate(self.names)]

    @property
    def names(self) -> list[str]:
        """A short name of each checkpoint: its folder's, or its file's if folders have several; else the whole path."""
        for names in ([path.parent.name or path.stem for path in self.paths], [path.stem for path in self.paths]):
            if len(set(names)) == len(names):
                return names
        return [str(path) for path in self.paths]

    def _described(self, number: int) -> dict[str, Any]:
        try:
            volume = self.volume(number)
        except UserError as error:
            return {"reason": str(error)}
        model, meta = volume.checkpoint.config.model, volume.checkpoint.meta
        bits = meta.get("validation_bits_per_byte")
        readings = {"masked": not model.causal, "causal": model.causal or model.dual, "drafts": model.dual}
        return {
            "book": meta.get("source"),
            "language": meta.get("language"),
            "parameters": volume.writer.model.config.parameters(volume.writer.model.vocab_size),
            "context": model.context,
            "bits_per_byte": bits if bits is not None and math.isfinite(bits) else None,
            "readings": [name for name, known in readings.items() if known],
            "controls": {name: list(levels) for name, levels in CONTROLS.items()} if model.controls else {},
            "has_book": volume.has_book,
            "settings": volume.settings.model_dump(mode="json", include=set(SHOWN)),
        }

    def _open(self, path: Path) -> Volume:
        checkpoint = load_checkpoint(path)
        has_book = self.book is not None and checkpoint.book_identity == self.book.book_identity
        writer = Writer.of(checkpoint, self.device, self.data_dir if has_book else None)
        return Volume(checkpoint, writer, has_book)


def version_of(path: Path) -> Version | None:
    """When the file was written, and its size; None if there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size


def make_shelf(paths: list[Path], data_dir: Path | None, device: torch.device, *, must_match: bool) -> Shelf:
    """The shelf of ``paths``. With ``must_match``, raises UserError unless one of them learnt the book in ``data_dir``.

    Without it a folder that holds no prepared book, or another one, is left out.
    """
    if data_dir is not None and not must_match and read_meta(data_dir) is None:
        data_dir = None
    shelf = Shelf(paths, data_dir, device)
    found = [shelf.volume(number) for number, path in enumerate(paths) if version_of(path) is not None]
    if shelf.book is not None and found and not any(volume.has_book for volume in found):
        if must_match:
            check_same_data(found[0].checkpoint, shelf.book)
        shelf.data_dir = shelf.book = None
    return shelf
