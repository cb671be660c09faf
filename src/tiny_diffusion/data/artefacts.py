"""What preparation leaves in a folder: JSON, JSON lines and safetensors; the same input gives the same bytes."""

import json
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from ..config import PipelineConfig
from ..files import atomic_write, sync
from .difficulty import Difficulty
from .folder import META, PASSAGES, VERSION, damaged, identity, read_lines, read_passages, require_meta, settings_hash
from .sentences import Sentence
from .splitting import Passage
from .tokenizer import BookTokenizer

SENTENCES, SCORES = "sentences.jsonl", "difficulty.safetensors"
TOKENIZER = "tokenizer/compressed_tokenizer.json"


@dataclass(frozen=True)
class Processed:
    """A prepared book. ``sentences`` and ``difficulty`` hold training sentences only."""

    passages: list[Passage]
    sentences: list[Sentence]
    difficulty: Difficulty
    tokenizer: BookTokenizer
    pipeline: PipelineConfig
    language: str
    source: str
    text_hash: str

    @property
    def settings_hash(self) -> str:
        """Hash of the preparation's settings."""
        return settings_hash(self.pipeline)

    @property
    def identity(self) -> str:
        """Hash of text and settings together: equal if and only if the data are equal."""
        return identity(self.text_hash, self.pipeline)

    def texts(self, split: str) -> list[str]:
        """Texts of the passages of one split, in book order."""
        return [p.text for p in self.passages if p.split == split]


def save_processed(folder: Path, data: Processed) -> None:
    """Write all artefacts, or leave the folder as it was.

    All files are on disk before the first is moved to its place, and ``meta.json`` is moved last: a folder without it
    counts as unfinished.
    """
    meta = {
        "version": VERSION,
        "source": data.source,
        "language": data.language,
        "text_hash": data.text_hash,
        "settings_hash": data.settings_hash,
        "pipeline": data.pipeline.model_dump(mode="json"),
        "notes": data.difficulty.notes,
    }
    contents = {
        META: (json.dumps(meta, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode("utf-8"),
        TOKENIZER: data.tokenizer.to_json().encode("utf-8"),
        PASSAGES: _lines([asdict(p) for p in data.passages]),
        SENTENCES: _lines([asdict(s) for s in data.sentences]),
        SCORES: save_arrays({**data.difficulty.scores, "combined": data.difficulty.combined}),
    }
    with ExitStack() as stack:  # leaving it moves the files to their places in reverse order
        for name, content in contents.items():
            file = stack.enter_context(atomic_write(folder / name))
            file.write(content)
            sync(file)
        (folder / META).unlink(missing_ok=True)


def load_processed(folder: Path) -> Processed:
    """Read a prepared book; raises UserError if there is none or a file is damaged."""
    meta = require_meta(folder)
    try:
        passages = read_passages(folder)
        sentences = [Sentence(**s) for s in read_lines(folder / SENTENCES)]
        scores = dict(load_arrays((folder / SCORES).read_bytes()))
        combined = scores.pop("combined")
        notes = meta["notes"]
        if not isinstance(notes, list):
            raise TypeError("notes must be a list")
        tokenizer = BookTokenizer.from_json((folder / TOKENIZER).read_text(encoding="utf-8"))
        return Processed(
            passages=passages,
            sentences=sentences,
            difficulty=Difficulty(scores, combined, [str(n) for n in notes], str(meta["language"])),
            tokenizer=tokenizer,
            pipeline=PipelineConfig.model_validate_json(json.dumps(meta["pipeline"])),
            language=str(meta["language"]),
            source=str(meta["source"]),
            text_hash=str(meta["text_hash"]),
        )
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise damaged(folder, error) from error


def _lines(rows: list[dict[str, object]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8")
