"""The book's tokenizer in the format of the tokenizers library, which ``AutoTokenizer`` reads."""

import json
from typing import Any

from tokenizers import AddedToken, Tokenizer
from tokenizers.decoders import ByteLevel
from tokenizers.processors import TemplateProcessing

from ..config import ModelConfig
from ..config.pipeline_config import NUM_RESERVED
from ..data.tokenizer import BOS, CHAPTER, END, MASK, PAD, PARAGRAPH, SEP, TEXT, BookTokenizer

SPECIAL = {"mask": MASK, "pad": PAD, "bos": BOS, "eos": END, "sep": SEP}


def tokenizer_files(tokenizer: BookTokenizer, shape: ModelConfig) -> dict[str, bytes]:
    """The contents of ``tokenizer.json``, with the model's own vocabulary level, and of ``tokenizer_config.json``."""
    settings: dict[str, object] = {f"{name}_token": f"<{name}>" for name in SPECIAL}
    settings |= {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "padding_side": "left",
        "model_max_length": positions(shape),
        "model_input_names": ["input_ids", "attention_mask"],  # older releases would add token_type_ids
        "clean_up_tokenization_spaces": False,
    }
    return {
        "tokenizer.json": converted(tokenizer, shape).to_str().encode("utf-8"),
        "tokenizer_config.json": as_json(settings),
    }


def converted(tokenizer: BookTokenizer, shape: ModelConfig) -> Tokenizer:
    """A tokenizer with the ids of ``tokenizer``, names for the reserved ids, and ``<bos>`` before a row that needs it.

    ``<mask>`` takes the space before it, because a token of text begins with its space.
    """
    content = json.loads(tokenizer.encoder(shape.vocab_level).to_str())
    marks = {"paragraph": PARAGRAPH, "chapter": CHAPTER, "text": TEXT}
    names = {index: f"<{name}>" for name, index in (SPECIAL | marks).items()}
    reserved = [names.get(index, f"<reserved-{index}>") for index in range(NUM_RESERVED)]
    content["model"]["vocab"] |= {name: index for index, name in enumerate(reserved)}
    found = Tokenizer.from_str(json.dumps(content))
    found.add_special_tokens([AddedToken(name, lstrip=name == "<mask>", special=True) for name in reserved])
    found.decoder = ByteLevel()
    if shape.dual or shape.causal:
        ids = [(f"<{name}>", SPECIAL[name]) for name in ("bos", "sep")]
        found.post_processor = TemplateProcessing(single="<bos> $A", pair="<bos> $A <sep> $B:1", special_tokens=ids)
    return found


def positions(shape: ModelConfig) -> int:
    """Most tokens of a row, with ``<bos>`` if rows of a dual model begin with it."""
    return shape.context + int(shape.dual)


def as_json(content: dict[str, Any]) -> bytes:
    """``content`` as a JSON file."""
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode("utf-8")
