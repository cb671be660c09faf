"""The steps from a book to training data: read, clean, SPLIT, then fit everything on the training part."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..config import PipelineConfig
from ..errors import UserError
from .artefacts import Processed, save_processed
from .difficulty import score_sentences
from .folder import digest, read_meta, settings_hash
from .language.language import detect_language
from .reading.cleaning import clean_book
from .reading.loading import Book, read_book
from .sentences import Sentence, long_enough, sentences_of, without_leaks
from .splitting import Passage, drop_leaking, make_passages
from .tokenizer import BookTokenizer


@dataclass(frozen=True)
class Step:
    """A step of preparation that begins now, for a progress display."""

    name: str


def prepare(source: str | Path, folder: Path, settings: PipelineConfig, *, force: bool = False) -> Iterator[Step]:
    """Prepare a book into ``folder`` and yield each step as it begins; an unchanged book and settings do nothing.

    Raises UserError for a book or settings that cannot be used; ``folder`` is then left as it was.
    """
    yield Step("reading")
    book = read_book(source)
    meta = None if force else read_meta(folder)
    wanted = (digest(book.text), settings_hash(settings))
    if meta is not None and (meta["text_hash"], meta["settings_hash"]) == wanted:
        return
    yield from _prepare(book, folder, settings)


def _prepare(book: Book, folder: Path, settings: PipelineConfig) -> Iterator[Step]:
    yield Step("cleaning")
    paragraphs = clean_book(
        book.text,
        strip_gutenberg=settings.strip_gutenberg,
        unwrap=settings.unwrap,
        drop_headings=settings.drop_headings,
    )
    if not paragraphs:
        raise UserError(f"{book.source}: nothing is left of the text after cleaning; is it a book?")
    language = detect_language("\n".join(paragraphs)) if settings.language == "auto" else settings.language
    yield Step("splitting into training, validation and test passages")
    passages = without_leaks(make_passages(paragraphs, language, settings.passage_chars), language)
    sentences = training_sentences(passages, language, settings.min_sentence_words)
    training = [p.text for p in passages if p.split == "train"]
    yield Step("training the tokenizer")
    if settings.tokenizer == "bpe":
        tokenizer = BookTokenizer.train(training, settings.vocab_size)
    else:
        tokenizer = BookTokenizer.from_gpt2(training, settings.vocab_size, settings.gpt2_vocab)
    yield Step("scoring the difficulty of sentences")
    difficulty = score_sentences([s.text for s in sentences], language, settings)
    yield Step("writing")
    data = Processed(
        passages=passages,
        sentences=sentences,
        difficulty=difficulty,
        tokenizer=tokenizer,
        pipeline=settings,
        language=language,
        source=Path(book.source).name,
        text_hash=digest(book.text),
    )
    save_processed(folder, data)


def training_sentences(passages: list[Passage], language: str, min_words: int) -> list[Sentence]:
    """Sentences of the training passages with at least ``min_words`` words that do not also occur in held-out text.

    Raises UserError if none is left.
    """
    training = sentences_of([p for p in passages if p.split == "train"], language)
    found = [s for s in training if long_enough(s.text, min_words)]
    held_out = sentences_of([p for p in passages if p.split != "train"], language)
    keep = drop_leaking([s.text for s in found], [s.text for s in held_out])
    kept = [s for s, k in zip(found, keep, strict=True) if k]
    if not kept:
        raise UserError(
            f"no sentence of {min_words} words or more in the training text; lower pipeline.min_sentence_words"
        )
    return kept
