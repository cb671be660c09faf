"""Small material that many tests share: a text of our own making, prepared once, and tiny settings."""

import os
import random
import signal
from pathlib import Path

# A runner that starts tests in the background has Ctrl-C ignored; the programs that they stop would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Before torch is imported, and for the programs that tests start: the tests share the cores among their processes.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
import torch
from hypothesis import settings

from tiny_diffusion.config import ModelConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed, load_processed
from tiny_diffusion.data.copies import CopyIndex
from tiny_diffusion.data.pipeline import prepare
from tiny_diffusion.data.tokenizer import NUM_RESERVED
from tiny_diffusion.model.transformer import Transformer

TOY_TOKENS = 3

# A test that a busy machine fails tells nothing: hypothesis limits each example to 0.2 s by itself.
settings.register_profile("project", deadline=None)
settings.load_profile("project")

NOUNS = "miller sailor garden lantern river harbour winter letter orchard window mountain brother kitchen".split()
VERBS = "carried watched forgot mended painted followed answered counted feared loved left sold".split()
ADJECTIVES = "old quiet bitter golden narrow heavy patient distant broken early".split()
SYLLABLES = "ka lo mi ren tor bel sun gar vi pol dra fen hu ost".split()
PLACES = [(a + b + c).capitalize() for a in SYLLABLES for b in SYLLABLES for c in SYLLABLES]
LINKS = ["because", "although", "while", "and so", "until", "but"]


def make_book(characters: int, seed: int = 0) -> str:
    """Paragraphs of plain sentences, no two passages alike."""
    rng = random.Random(seed)

    def clause() -> str:
        return (
            f"the {rng.choice(ADJECTIVES)} {rng.choice(NOUNS)} {rng.choice(VERBS)} "
            f"the {rng.choice(ADJECTIVES)} {rng.choice(NOUNS)} of {rng.choice(PLACES)}"
        )

    paragraphs: list[str] = []
    while sum(map(len, paragraphs)) < characters:
        sentences = []
        for _ in range(rng.randint(3, 6)):
            text = clause() if rng.random() < 0.5 else f"{clause()}, {rng.choice(LINKS)} {clause()}"
            sentences.append(text[0].upper() + text[1:] + ".")
        paragraphs.append(" ".join(sentences))
    return "\n\n".join(paragraphs) + "\n"


@pytest.fixture(scope="session")
def book_text() -> str:
    return make_book(30_000)


@pytest.fixture(scope="session")
def config() -> ProjectConfig:
    """A run of a second or two on one core's worth of float32."""
    return ProjectConfig.smoke().override(
        **{
            "pipeline.vocab_size": 1024,
            "model.d_model": 32,
            "model.d_ff": 64,
            "model.context": 32,
            "training.precision": "float32",
            "training.device": "cpu",
            "training.threads": 1,
            "training.sample_every_epochs": 0,
            "curriculum.full_range_share": 0.5,
        }
    )


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, book_text: str, config: ProjectConfig) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    book = folder / "book.txt"
    book.write_text(book_text, encoding="utf-8")
    for _ in prepare(book, folder / "processed", config.pipeline):
        pass
    return folder / "processed"


@pytest.fixture(scope="session")
def data(prepared: Path) -> Processed:
    return load_processed(prepared)


@pytest.fixture(scope="session")
def index(data: Processed) -> CopyIndex:
    """Of the training text."""
    return CopyIndex(data.texts("train"))


@pytest.fixture(scope="module")
def toy() -> Transformer:
    """A model of TOY_TOKENS words that depend on each other enough to tell the samplers' laws apart."""
    torch.manual_seed(0)
    shape = ModelConfig(d_model=8, n_layers=2, n_heads=1, d_ff=16, context=8, dropout=0.0, init_std=0.7)
    model = Transformer(shape, NUM_RESERVED + TOY_TOKENS, NUM_RESERVED).eval().requires_grad_(False)
    for block in model.blocks:
        block.attention.out.weight *= 6
        block.feed_forward.down.weight *= 6
    return model
