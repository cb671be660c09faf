"""What preparation leaves in a folder: JSON, JSON lines and safetensors; the same input gives the same bytes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from ..config import PipelineConfig
from ..files import locked, write_together
from .difficulty import Difficulty
from .folder import (
    META,
    PASSAGES,
    SHELF,
    VERSION,
    TrainingText,
    damaged,
    digest,
    identity,
    outdated,
    read_lines,
    read_passages,
    require_meta,
    settings_hash,
)
from .language.punctuation import Punctuation
from .language.segmentation import usual_lengths
from .language.word_list import doubled_words, spellings
from .reading.document import Removed
from .sentences import Sentence
from .shelf import Shelf
from .splitting import BREAK, Passage
from .tokenizer import BookTokenizer

LINES_SHARE = 0.1  # line ends for each paragraph break, from which they are a part of how the book is written
SENTENCES, SCORES = "sentences.jsonl", "difficulty.safetensors"
TOKENIZER = "tokenizer/compressed_tokenizer.json"


@dataclass(frozen=True)
class Processed:
    """A prepared book. ``sentences`` and ``difficulty`` hold training sentences only.

    source: name of the book, or of the books with " + " between them. identity: hash of passages, sentences, settings
    and shelf. book_identity: without the shelf. removed: what was taken out. outdated: a line for the user if an older
    version prepared the folder. shelf: other books to learn from first, which only training reads.
    """

    passages: list[Passage]
    sentences: list[Sentence]
    difficulty: Difficulty
    tokenizer: BookTokenizer
    pipeline: PipelineConfig
    language: str
    source: str
    identity: str
    book_identity: str
    removed: Removed
    outdated: str | None = None
    shelf: Shelf = Shelf()

    @property
    def keeps_lines(self) -> bool:
        """Whether line ends are a part of the training text, rather than of a quotation here and there."""
        texts = self.texts("train")
        breaks = sum(text.count(BREAK) for text in texts)
        return sum(text.count("\n") for text in texts) - 2 * breaks > LINES_SHARE * breaks

    @cached_property
    def words(self) -> str:
        """The words of the training text, each in its commonest spelling, with spaces between them."""
        return " ".join(spellings(self.texts("train")))

    @cached_property
    def doubled(self) -> list[str]:
        """The words of the training text that somewhere follow themselves."""
        return doubled_words(self.texts("train"))

    @cached_property
    def punctuation(self) -> Punctuation:
        """How the training text uses its marks."""
        return Punctuation.of(self.texts("train"))

    @cached_property
    def lengths(self) -> dict[str, list[int]]:
        """Words of the training text's sentences and paragraphs; see ``usual_lengths``."""
        return usual_lengths(self.texts("train"), self.language)

    def without_shelf(self) -> "Processed":
        """The data of the book alone, as if they had been prepared without a shelf."""
        return replace(self, shelf=Shelf(), identity=self.book_identity)

    @property
    def training_text(self) -> TrainingText:
        """As ``read_training_text`` reads it."""
        return TrainingText(self.texts("train"), self.book_identity, self.texts("validation"))

    def texts(self, split: str) -> list[str]:
        """Texts of the passages of one split, in book order."""
        return [p.text for p in self.passages if p.split == split]


def content_hash(passages: Sequence[Passage], sentences: Sequence[Sentence]) -> str:
    """Hash of what preparation made of a book: its passages, their split, and the sentences for training."""
    return _hash([asdict(p) for p in passages], [asdict(s) for s in sentences])


def _hash(*files: list[dict[str, object]]) -> str:
    return digest("\0".join(_lines(rows).decode("utf-8", "surrogatepass") for rows in files))


def shelf_meta(shelf: Shelf) -> dict[str, object]:
    """What ``meta.json`` says about a shelf; nothing if there is none."""
    if not shelf.passages:
        return {}
    return {"shelf": list(shelf.books), "shelf_hash": _hash([asdict(p) for p in shelf.passages])}


def save_processed(folder: Path, data: Processed) -> None:
    """Write all artefacts, or leave the folder as it was; one without ``meta.json`` counts as unfinished."""
    meta = {
        "version": VERSION,
        "source": data.source,
        "language": data.language,
        "content_hash": content_hash(data.passages, data.sentences),
        "settings_hash": settings_hash(data.pipeline),
        "pipeline": data.pipeline.model_dump(mode="json"),
        "notes": data.difficulty.notes,
        "removed": asdict(data.removed),
        **shelf_meta(data.shelf),
    }
    contents = {
        META: (json.dumps(meta, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode("utf-8"),
        TOKENIZER: data.tokenizer.to_json().encode("utf-8"),
        PASSAGES: _lines([asdict(p) for p in data.passages]),
        SENTENCES: _lines([asdict(s) for s in data.sentences]),
        SCORES: save_arrays({**data.difficulty.scores, "combined": data.difficulty.combined}),
    }
    if data.shelf.passages:
        contents[SHELF] = _lines([asdict(p) for p in data.shelf.passages])
    with locked(folder, "prepare", {}):
        write_together(folder, contents)
        if not data.shelf.passages:
            (folder / SHELF).unlink(missing_ok=True)


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
            identity=identity(meta),
            book_identity=identity(meta, shelf=False),
            removed=Removed(**meta.get("removed", {})),  # type: ignore[arg-type]
            outdated=outdated(meta, folder),
            shelf=_read_shelf(folder, meta),
        )
    except (OSError, KeyError, TypeError, ValueError, RecursionError, SafetensorError) as error:
        raise damaged(folder, error) from error


def _read_shelf(folder: Path, meta: Mapping[str, object]) -> Shelf:
    if "shelf" not in meta:
        return Shelf()
    return Shelf(tuple(read_passages(folder, SHELF)), tuple(map(str, meta["shelf"])))  # type: ignore[call-overload]


def _lines(rows: list[dict[str, object]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8")
