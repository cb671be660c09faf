"""From a book to training data: reading, cleaning, the split, the tokenizer, difficulty scores and the curriculum.

It may import ``config``, ``errors`` and ``files``, and never torch. Start with ``pipeline.prepare``, which runs all
steps in order; ``artefacts.load_processed`` reads what they leave. Both load scikit-learn, so they are imported from
their modules.
"""

from .folder import TrainingText, read_training_text
from .splitting import Passage
from .tokenizer import BookTokenizer

__all__ = ["BookTokenizer", "Passage", "TrainingText", "read_training_text"]
