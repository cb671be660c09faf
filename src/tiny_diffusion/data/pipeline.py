"""The steps from a book to training data: read, clean, SPLIT, then fit everything on the training part."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..config import PipelineConfig
from ..errors import UserError
from .artefacts import Processed, content_hash, save_processed, shelf_meta
from .difficulty import score_sentences
from .folder import VERSION, identity, read_meta, settings_hash
from .language.language import detect_language
from .reading.cleaning import Cleaned, clean_book, unlike_a_book
from .reading.document import Removed
from .reading.loading import Book
from .reading.several import read_books
from .sentences import Sentence, Split, long_enough, sentences_of, spacy_splitter, without_leaks
from .shelf import Shelf, make_shelf
from .splitting import Passage, drop_leaking, make_passages
from .tokenizer import BookTokenizer


@dataclass(frozen=True)
class Step:
    """A step of preparation that begins now, for a progress display."""

    name: str


LEARNING = "training the tokenizer"
"""The first step that is not taken where nothing has changed."""


def prepare(
    source: str | Path | Sequence[str | Path],
    folder: Path,
    settings: PipelineConfig,
    *,
    shelf: Sequence[str | Path] = (),
    force: bool = False,
) -> Iterator[Step]:
    """Prepare a book or several into ``folder`` and yield each step as it begins.

    ``shelf``: other people's books, to learn from first. All else is made from ``source`` alone. If the same passages
    come out of the same settings as before, nothing is written: a change of the book or of the rules is noticed. Raises
    UserError for a book or settings that cannot be used; ``folder`` is then left as it was.
    """
    yield Step("reading")
    books = read_books([source] if isinstance(source, str | Path) else source)
    before = None if force else read_meta(folder)
    yield Step("cleaning")
    cleaned = [clean(book, settings) for book in books]
    texts = ["\n".join(found.paragraphs) for found in cleaned]
    language = detect_language("\n".join(texts)) if settings.language == "auto" else settings.language
    yield Step("splitting into training, validation and test passages")
    paragraphs, chapters = [found.paragraphs for found in cleaned], [found.chapters for found in cleaned]
    whole = make_passages(paragraphs, language, settings.passage_chars, chapters)
    passages, _ = without_leaks(whole, language)
    removed, notes, first = _all_removed(cleaned), notes_on(books, cleaned), Shelf()
    if shelf:
        yield Step("reading the shelf")
        first, dropped, more = _read_shelf(shelf, whole, language, settings)
        removed.update(dropped)
        notes += more
    split = None
    if settings.splitter == "spacy":
        split, how = spacy_splitter(language)
        notes.append(how)
    sentences = training_sentences(passages, language, settings.min_sentence_words, split)
    meta = {
        "version": VERSION,
        "content_hash": content_hash(passages, sentences),
        "settings_hash": settings_hash(settings),
        "language": language,
        "shelf_hash": None,
        **shelf_meta(first),
    }
    if before is not None and all(before.get(key) == value for key, value in meta.items()):
        return
    yield Step(LEARNING)
    training = [p.text for p in passages if p.split == "train"]
    if settings.tokenizer == "bpe":
        tokenizer = BookTokenizer.train(training, settings.vocab_size)
    else:
        tokenizer = BookTokenizer.from_gpt2(training, settings.vocab_size, settings.gpt2_vocab)
    yield Step("scoring the difficulty of sentences")
    difficulty = score_sentences([s.text for s in sentences], language, settings)
    difficulty.notes[:0] = notes
    yield Step("writing")
    data = Processed(
        passages=passages,
        sentences=sentences,
        difficulty=difficulty,
        tokenizer=tokenizer,
        pipeline=settings,
        language=language,
        source=" + ".join(Path(book.source).name for book in books),
        identity=identity(meta),
        book_identity=identity(meta, shelf=False),
        removed=removed,
        shelf=first,
    )
    save_processed(folder, data)


def clean(book: Book, settings: PipelineConfig) -> Cleaned:
    """The paragraphs of a book by the settings' rules; raises UserError if nothing is left."""
    found = clean_book(
        book.text if book.blocks is None else book.blocks,
        strip_gutenberg=settings.strip_gutenberg,
        unwrap=settings.unwrap,
        drop_headings=settings.drop_headings,
        keep=settings.keep,
    )
    if not found.paragraphs:
        raise UserError(f"{book.source}: nothing is left of the text after cleaning; is it a book?")
    return found


def notes_on(books: Sequence[Book], cleaned: Sequence[Cleaned]) -> list[str]:
    """What the user should know about the books: pages that are missing, and a text that looks like no book."""
    notes = [warning for book in books for warning in book.warnings]
    for book, found in zip(books, cleaned, strict=True):
        if (what := unlike_a_book(found)) is not None:
            notes.append(f"{book.source} looks like {what}, not like prose, verse or a play; look at prepare --explain")
    return notes


def _read_shelf(
    sources: Sequence[str | Path], target: Sequence[Passage], language: str, settings: PipelineConfig
) -> tuple[Shelf, Removed, list[str]]:
    """The shelf from ``sources``, what was dropped because it stands in ``target``, and notes for the user."""
    books = read_books(sources)
    cleaned = [clean(book, settings) for book in books]
    notes = notes_on(books, cleaned)
    for book, found in zip(books, cleaned, strict=True):
        if (other := detect_language("\n".join(found.paragraphs))) != language:
            notes.append(f"{book.source}, on the shelf, is in language {other}, the book in {language}")
    both = zip(books, cleaned, strict=True)
    named = [(Path(book.source).name, found.paragraphs, found.chapters) for book, found in both]
    return *make_shelf(named, target, language, settings.passage_chars), notes


def _all_removed(cleaned: Sequence[Cleaned]) -> Removed:
    total = Removed()
    for found in cleaned:
        total.update(found.removed)
    return total


def training_sentences(
    passages: list[Passage], language: str, min_words: int, split: Split | None = None
) -> list[Sentence]:
    """Sentences of the training passages with at least ``min_words`` words that do not also occur in held-out text.

    ``split``: see ``sentences_of``. Raises UserError if none is left.
    """
    training = sentences_of([p for p in passages if p.split == "train"], language, split)
    found = [s for s in training if long_enough(s.text, min_words)]
    held_out = sentences_of([p for p in passages if p.split != "train"], language, split)
    keep = drop_leaking([s.text for s in found], [s.text for s in held_out])
    kept = [s for s, k in zip(found, keep, strict=True) if k]
    if not kept:
        raise UserError(
            f"no sentence of {min_words} words or more in the training text; lower pipeline.min_sentence_words"
        )
    return kept
