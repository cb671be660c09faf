"""What preparation leaves in a folder: JSON (lines) and safetensors, the same bytes for the same input."""

import hashlib
import json
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from ..config import PipelineConfig
from ..errors import UserError
from ..files import atomic_write, sync
from .difficulty import Difficulty
from .sentences import Sentence
from .splitting import Passage
from .tokenizer import BookTokenizer

VERSION = 2
META, PASSAGES, SENTENCES, SCORES = "meta.json", "passages.jsonl", "sentences.jsonl", "difficulty.safetensors"
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
        """Hash of the settings that made this."""
        return settings_hash(self.pipeline)

    @property
    def identity(self) -> str:
        """Hash of text and settings together: equal exactly for equal data."""
        return digest(self.text_hash + self.settings_hash)

    def texts(self, split: str) -> list[str]:
        """Texts of the passages of one split, in book order."""
        return [p.text for p in self.passages if p.split == split]


def digest(text: str) -> str:
    """SHA-256 of ``text``, as hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def settings_hash(pipeline: PipelineConfig) -> str:
    """Hash of the preparation's settings."""
    return digest(json.dumps(pipeline.model_dump(mode="json"), sort_keys=True))


def save_processed(folder: Path, data: Processed) -> None:
    """Write all artefacts, or leave the folder as it was.

    All are on the disk before the first takes its place, and ``meta.json`` takes it last: a folder without it counts
    as unfinished.
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
    with ExitStack() as stack:  # files take their places in the reverse order
        for name, content in contents.items():
            file = stack.enter_context(atomic_write(folder / name))
            file.write(content)
            sync(file)
        (folder / META).unlink(missing_ok=True)


def read_meta(folder: Path) -> dict[str, object] | None:
    """The folder's ``meta.json``, or None when no finished preparation lies there."""
    path = folder / META
    if not path.exists():
        return None
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is damaged; run prepare again with --force") from error
    if not isinstance(meta, dict) or meta.get("version") != VERSION:
        raise UserError(f"{path} was written by another version of this program; run prepare again with --force")
    return meta


def load_processed(folder: Path) -> Processed:
    """Read a prepared book; raises UserError when nothing is there or a file is damaged."""
    meta = read_meta(folder)
    if meta is None:
        raise UserError(f"no prepared book in {folder}; run: tiny-diffusion prepare --book FILE --output {folder}")
    try:
        passages = [Passage(p["index"], p["split"], tuple(p["paragraphs"])) for p in _read_lines(folder / PASSAGES)]
        sentences = [Sentence(**s) for s in _read_lines(folder / SENTENCES)]
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
        raise UserError(
            f"the prepared book in {folder} is damaged ({error}); run prepare again with --force"
        ) from error


def _lines(rows: list[dict[str, object]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8")


def _read_lines(path: Path) -> list[dict]:
    # JSON escapes no U+2028 and the like: split at line feeds only.
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
