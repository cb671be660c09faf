"""From a book to training rows."""

from typing import Literal, Self

from pydantic import Field

from .base import LARGEST_NUMPY_SEED, Config

NUM_RESERVED = 16  # ids before the text tokens: eight in use, the others spare, so that text ids never move
GPT2_TOKENS = 50_257
Removable = Literal["headings", "front", "back", "contents", "notes", "pages", "pictures", "separators", "licence"]
"""Parts of a book that are taken out of the training text unless the user keeps them, in the order of a report."""
# Number of text tokens per vocabulary level. Level 5 holds all.
LEVEL_SIZES = {1: 512, 2: 1024, 3: 2048, 4: 4096}


class DifficultyWeights(Config):
    """Weight of each score in the combined difficulty, of which stages take the easy part (max_difficulty)."""

    lexical_rarity: float = Field(0.3, ge=0)
    """Weight of rare words."""
    syntactic_complexity: float = Field(0.4, ge=0)
    """Weight of long and nested sentences."""
    argument_structure: float = Field(0.1, ge=0)
    """Weight of discourse connectives and roles."""
    thematic_centrality: float = Field(0.2, ge=0)
    """Weight of being far from the book's themes."""


class PipelineConfig(Config):
    """Cleaning, splitting, tokenizing, scoring."""

    strip_gutenberg: bool = True
    """Remove Project Gutenberg's head and foot."""
    unwrap: bool = True
    """Join hard-wrapped lines into paragraphs."""
    drop_headings: bool = True
    """Remove chapter headings and tables of contents."""
    keep: tuple[Removable, ...] = ()
    """What stays in the training text although it is usually taken out; prepare prints what that is."""
    language: str = "auto"
    """Two-letter language code, or auto: detected from the text."""
    passage_chars: int = Field(4000, ge=200)
    """Smallest passage in characters; passages are the units of the split."""
    tokenizer: Literal["bpe", "gpt2"] = "bpe"
    """bpe: byte-level BPE trained on the book; gpt2: GPT-2's vocabulary pruned to the book."""
    gpt2_vocab: str = "gpt2"
    """For tokenizer=gpt2: a file, a folder, or a name on the hub."""
    vocab_size: int = Field(25_000, ge=512)
    """Text tokens of the largest vocabulary level."""
    min_sentence_words: int = Field(2, ge=1)
    """Shortest sentence that is an example of its own, in words."""
    splitter: Literal["rules", "spacy"] = "rules"
    """What cuts the training text into sentences: our own rules, or spaCy, which needs the extra of that name."""
    difficulty: DifficultyWeights = DifficultyWeights()
    """Weights of the difficulty scores."""
    embedding: Literal["tfidf", "sentence-transformers"] = "tfidf"
    """Sentence embeddings for centrality; the second needs the embeddings extra."""
    embedding_dim: int = Field(64, ge=2)
    """Dimensions of the tfidf embedding."""
    clusters: int = Field(12, ge=1)
    """Themes (clusters of sentence embeddings)."""
    seed: int = Field(0, ge=0, le=LARGEST_NUMPY_SEED)
    """Seed of the embedding and the clusters."""

    @classmethod
    def default(cls) -> Self:
        """All scores, 64 dimensions, 12 themes."""
        return cls()

    @classmethod
    def fast_processing(cls) -> Self:
        """Coarser themes."""
        return cls(embedding_dim=16, clusters=4)

    @classmethod
    def high_quality(cls) -> Self:
        """Sentence embeddings by sentence-transformers, more themes."""
        return cls(embedding="sentence-transformers", clusters=24)
