"""Begins a blind test: passages of the test split, and as many that the checkpoint writes, in a new file.

Both kinds are processed alike. A text is split into sentences and each sentence is cleaned: composed (NFC), control
characters and soft hyphens removed, quotation marks and apostrophes straightened, two hyphens turned into a dash, an
ellipsis into three full stops, and all white space (paragraphs too) into one space. A passage begins at the start of a
sentence and ends after a fixed number of words, wherever that is. A word is a run without spaces; each Han character
and kana is one (``PRINTED_WORD``).
"""

import random
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path

from ...checkpoint import Checkpoint, check_same_data
from ...config import EvaluationConfig, GenerationConfig, ProjectConfig
from ...data.artefacts import Processed
from ...data.language.segmentation import split_sentences
from ...data.language.words import PRINTED_WORD
from ...errors import UserError
from ...files import fingerprint
from ...model.transformer import Transformer
from ...runtime import seed_for
from ...writing.writer import Writer
from .answers_file import check_writable
from .records import BlindPassage, Origin, kept_settings
from .store import AnswerStore

LONGEST_TRIES = 4  # each text twice as long as the one before

_BLANK_LINE = re.compile(r"\n\s*\n")
_SPELLINGS = str.maketrans(
    {**dict.fromkeys("“”„‟«»", '"'), **dict.fromkeys("‘’‚‛ʼ", "'"), "…": "...", "\u00ad": None, "\ufeff": None}
)


@dataclass(frozen=True)
class CleanText:
    """Cleaned text, the character spans of its words, and the numbers of the words that begin a sentence."""

    text: str
    words: list[tuple[int, int]]
    sentence_starts: list[int]

    @property
    def longest_sentence(self) -> int:
        """Number of words in the longest sentence."""
        return max(b - a for a, b in pairwise([*self.sentence_starts, len(self.words)]))

    def span(self, first: int, words: int) -> str:
        """The text of ``words`` words from word number ``first`` on."""
        return self.text[self.words[first][0] : self.words[first + words - 1][1]]


def clean(text: str) -> str:
    """One sentence in the spelling that all passages share (see the module's docstring)."""
    text = unicodedata.normalize("NFC", text).translate(_SPELLINGS).replace("--", "—")
    kept = "".join(c if unicodedata.category(c) != "Cc" else " " for c in text)
    return " ".join(kept.split())


def clean_text(text: str, language: str) -> CleanText:
    """Clean a text of any number of paragraphs."""
    sentences = [clean(s) for paragraph in _BLANK_LINE.split(text) for s in split_sentences(paragraph, language)]
    starts: list[int] = []
    words: list[tuple[int, int]] = []
    offset = 0
    for sentence in filter(None, sentences):
        starts.append(len(words))
        words += [(offset + m.start(), offset + m.end()) for m in PRINTED_WORD.finditer(sentence)]
        offset += len(sentence) + 1
    return CleanText(" ".join(filter(None, sentences)), words, starts)


def real_passages(texts: list[str], language: str, words: int, count: int, seed: int) -> list[str]:
    """Take ``count`` passages of ``words`` words from the held-out ``texts``, without overlap.

    Raises UserError if the texts contain fewer.
    """
    found = []
    for text in texts:
        cleaned, end = clean_text(text, language), 0
        for start in cleaned.sentence_starts:
            if start >= end and start + words <= len(cleaned.words):
                found.append(cleaned.span(start, words))
                end = start + words
    found = list(dict.fromkeys(found))
    if len(found) < count:
        raise UserError(
            f"the test split holds {len(found)} passages of {words} words and the blind test needs {count}, "
            f"half of --passages {2 * count}: give fewer --passages or --words"
        )
    return random.Random(seed).sample(found, count)


def generated_passage(text: str, language: str, words: int) -> str | None:
    """The passage of a text that a model wrote; None if it has fewer than ``words`` words.

    A text begins in mid-sentence, so the passage begins with the second sentence. If too little follows, as in a text
    that never ends a sentence, it begins with the first word: leaving such texts out would flatter the model.
    """
    cleaned = clean_text(text, language)
    if len(cleaned.words) < words:
        return None
    second = cleaned.sentence_starts[1] if len(cleaned.sentence_starts) > 1 else 0
    return cleaned.span(second if second + words <= len(cleaned.words) else 0, words)


def write_passages(
    writer: Writer, data: Processed, settings: EvaluationConfig, generation: GenerationConfig
) -> Iterator[str]:
    """Yield the model's passages, each written without a prompt from a seed of its own.

    Raises UserError if the model writes too few words, or the same passage twice.
    """
    texts = data.texts("test")
    tokens = sum(len(writer.tokenizer.encode(text, writer.model.config.vocab_level)) for text in texts)
    cleaned = [clean_text(text, data.language) for text in texts]
    words = sum(len(text.words) for text in cleaned)
    longest = max(text.longest_sentence for text in cleaned)
    length = (settings.blind_words + longest) * tokens // words
    written: set[str] = set()
    for index in range(settings.blind_passages // 2):
        passage = _write(writer, data.language, settings, generation, length, index)
        if passage in written:
            raise UserError("the model writes the same passage twice: raise --generation.temperature")
        written.add(passage)
        yield passage


def _write(
    writer: Writer, language: str, settings: EvaluationConfig, generation: GenerationConfig, length: int, index: int
) -> str:
    """One passage; a text with too few words is written again at twice the length."""
    for power in range(LONGEST_TRIES):
        changes = {"num_samples": 1, "length": length << power, "seed": seed_for(settings.seed, index)}
        text = writer.write("", generation.as_drawn().model_copy(update=changes))[0].text
        passage = generated_passage(text, language, settings.blind_words)
        if passage is not None:
            return passage
    raise UserError(
        f"the model writes hardly any words: fewer than {settings.blind_words} in {length << power} tokens; "
        "train it for longer"
    )


def mix(real: list[str], generated: list[str], seed: int) -> list[BlindPassage]:
    """Mix both kinds in one list, in random order; raises UserError if they share a passage."""
    if set(real) & set(generated):
        raise UserError("the model wrote a passage of the test split word for word: its training text held it")
    both = [BlindPassage(text, True) for text in real] + [BlindPassage(text, False) for text in generated]
    random.Random(seed).shuffle(both)
    return both


def begin_test(
    path: Path, source: Path, checkpoint: Checkpoint, model: Transformer, data: Processed, config: ProjectConfig
) -> Iterator[int]:
    """Make the test at ``path``, unless another process begins one meanwhile; yields how many passages are written.

    ``checkpoint`` was read from ``source``, and ``model`` has its weights. Raises UserError if the data is not the
    checkpoint's, if there are too few passages, or if the file cannot be written.
    """
    check_same_data(checkpoint, data)
    settings = config.evaluation
    half = settings.blind_passages // 2
    real = real_passages(data.texts("test"), data.language, settings.blind_words, half, settings.seed)
    check_writable(path)  # before the passages are written, which takes long
    writer = Writer(model, checkpoint.tokenizer, lines=checkpoint.keeps_lines, book=data.training_text)
    generated = []
    for passage in write_passages(writer, data, settings, config.generation):
        generated.append(passage)
        yield len(generated)
    origin = Origin(
        settings=kept_settings(config),
        checkpoint=str(source),
        checkpoint_hash=fingerprint(source),
        book=data.source,
        data=data.identity,
        made=date.today().isoformat(),
    )
    AnswerStore.create(path, origin, mix(real, generated, settings.seed)).close()
