"""A writer whose network has learnt nothing, beside counts of a text that it therefore repeats."""

from typing import Any

import numpy as np
import torch

from tiny_diffusion.checkpoint import new_model
from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.ngrams import KneserNey
from tiny_diffusion.data.tokenizer import NUM_RESERVED
from tiny_diffusion.sampling.counts import Counts
from tiny_diffusion.writing.writer import Writer


def parrot(data: Processed, config: ProjectConfig, text: str, **known: Any) -> Writer:
    """It writes by pairs of tokens of ``text``, and knows the words of the book. ``known``: what else it is told."""
    torch.manual_seed(0)
    model = new_model(config.override(**{"model.dual": True, "training.objective": "dual"}), data.tokenizer).eval()
    made = Writer(model, data.tokenizer, words=data.words.split(), book=data.training_text, **known)
    ids = np.array(data.tokenizer.encode(text * 50)) - NUM_RESERVED
    counts = Counts([model], KneserNey(2, model.text_vocab_size, [ids]), [])
    counts.past, counts.masked = {"past": (0.0, 1.0)}, dict.fromkeys(("left", "right", "both"), (0.0, 1.0))
    made._counts = counts
    return made
