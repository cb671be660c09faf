"""A filler with a model of three words, whose laws can be computed by hand."""

import pytest

from tests.conftest import TOY_TOKENS
from tiny_diffusion.config import GenerationConfig
from tiny_diffusion.data.tokenizer import BookTokenizer
from tiny_diffusion.model.transformer import Transformer
from tiny_diffusion.writing.filler import Filler


def toy_filler(toy: Transformer, monkeypatch: pytest.MonkeyPatch, **changes: object) -> Filler:
    monkeypatch.setattr(BookTokenizer, "level_size", lambda self, level: TOY_TOKENS)
    plain = GenerationConfig(temperature=1.0, top_p=1.0, precision="float32", sampler="first_hitting")
    return Filler(toy, BookTokenizer([], "bpe"), plain.model_copy(update=changes))
