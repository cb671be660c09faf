"""What the program knows about languages: words, sentences, dialogue, connectives, and which language a text is in.

It imports nothing else of this program. Start with ``words``, which defines what counts as a word, then
``segmentation``; ``tables.toml`` holds the word lists of all languages.
"""

from .dialogue import spoken
from .language import detect_language
from .segmentation import ENGLISH, sentence_ends, split_sentences
from .words import split_words, word_spans

__all__ = ["ENGLISH", "detect_language", "sentence_ends", "spoken", "split_sentences", "split_words", "word_spans"]
