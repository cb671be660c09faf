"""A model of verse writes verse: line ends go through reading, tokenizer, training and writing."""

import random
from pathlib import Path
from statistics import median

import pytest

from tests.conftest import ADJECTIVES, NOUNS, PLACES, VERBS
from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.data.artefacts import load_processed
from tiny_diffusion.data.pipeline import prepare
from tiny_diffusion.training.trainer import Trainer
from tiny_diffusion.writing.writer import Writer


def verse_book(stanzas: int) -> str:
    """Stanzas of four short lines; each line begins with a capital, the last ends with a full stop."""
    rng = random.Random(3)

    def line() -> str:
        text = f"the {rng.choice(ADJECTIVES)} {rng.choice(NOUNS)} {rng.choice(VERBS)} {rng.choice(PLACES)}"
        return text[0].upper() + text[1:]

    return "\n\n".join(",\n".join(line() for _ in range(4)) + "." for _ in range(stanzas)) + "\n"


@pytest.mark.long
def test_a_model_of_verse_writes_lines(tmp_path: Path, config: ProjectConfig) -> None:
    book = tmp_path / "verse.txt"
    book.write_text(verse_book(260), encoding="utf-8")
    for _ in prepare(book, tmp_path / "data", config.pipeline):
        pass
    data = load_processed(tmp_path / "data")
    assert data.keeps_lines
    stage = {"name": "all", "format": "paragraphs", "epochs": 12, "mask_range": (0.1, 0.3)}
    changes = {"curriculum.stages": [stage], "curriculum.full_range_share": 1.0, "curriculum.rehearsal_share": 0.0}
    shape = {"training.objective": "dual", "training.batch_size": 8, "model.n_layers": 1, "model.controls": False}
    run = config.override(**changes, **shape, **{"curriculum.transition_share": 0.0})
    trainer = Trainer(run, data, tmp_path / "run")
    for _ in trainer.run():
        pass
    writer = Writer.load(trainer.best_path, device="cpu")
    for reading in ("causal", "masked"):
        settings = run.generation.model_copy(update={"reading": reading, "num_samples": 4, "length": 90, "seed": 1})
        lines = [line for text in writer.write("", settings) for line in text.text.split("\n") if line.strip()]
        words = [len(line.split()) for line in lines]
        assert len(lines) >= 16 and 3 <= median(words[:-1]) <= 8  # the book's lines have five
