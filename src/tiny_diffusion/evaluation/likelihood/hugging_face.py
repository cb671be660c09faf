"""Scores any Hugging Face causal or masked model in a local folder on the texts of the windows.

The nats of the model's own tokens are summed over each text, so that bits per byte compare. A tokenizer that cannot
reproduce the text has no likelihood for it and is refused. A masked model is scored by its left-to-right chain rule:
token i given those before it, with all from i on masked. That is a normalised distribution over texts of the same
number of tokens; the usual pseudo-likelihood, which sees both sides of each token, is not a likelihood.

Shapes: B rows, T tokens including the model's own special ones.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import UserError
from .bound import FloatArray


@dataclass(frozen=True)
class LocalModel:
    """A model of the transformers library and its tokenizer; masked unless ``causal``."""

    name: str
    network: Any
    tokenizer: Any
    causal: bool


def check_local(folder: Path) -> None:
    """Raise UserError if there is no model or no extra for it, which can be found out before the long work."""
    if not folder.is_dir():
        raise UserError(f"no folder {folder}; give the folder of a Hugging Face model on this machine")
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} holds no config.json, so it is no Hugging Face model")
    if find_spec("transformers") is None:
        raise UserError("a Hugging Face model needs an extra: pip install 'tiny-diffusion[hf]'")


def load_local(folder: Path, device: torch.device) -> LocalModel:
    """Read a model from ``folder``: safetensors only, nothing is fetched, and none of its own code is run.

    Raises UserError if the extra is missing or the folder contains no causal or masked language model.
    """
    check_local(folder)
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    safe = {"local_files_only": True, "trust_remote_code": False}
    try:
        kind = (AutoConfig.from_pretrained(folder, **safe).architectures or [""])[0]
        causal = kind.endswith(("CausalLM", "LMHeadModel"))
        if not causal and not kind.endswith("MaskedLM"):
            raise UserError(f"{folder} holds {kind or 'no named architecture'}: neither a causal nor a masked model")
        loader = AutoModelForCausalLM if causal else AutoModelForMaskedLM
        network: Any = loader.from_pretrained(folder, use_safetensors=True, dtype=torch.float32, **safe)
        tokenizer = AutoTokenizer.from_pretrained(folder, **safe)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"cannot read a Hugging Face model from {folder}: {error}") from error
    return LocalModel(folder.name, network.to(device).eval(), tokenizer, causal)


def local_nats(local: LocalModel, texts: list[str], batch_size: int) -> Iterator[int | FloatArray]:
    """Yield the number of finished texts after each text, and at the end the nats of each text.

    Raises UserError for a text that the tokenizer changes or that is longer than the model allows.
    """
    score = _causal_nats if local.causal else _masked_nats
    found = np.zeros(len(texts))
    for i, text in enumerate(texts):
        found[i] = score(local, _encode(local, text), batch_size)
        yield i + 1
    yield found


def _encode(local: LocalModel, text: str) -> list[int]:
    ids: list[int] = local.tokenizer(text, add_special_tokens=False)["input_ids"]
    if local.tokenizer.decode(ids, clean_up_tokenization_spaces=False) != text:
        raise UserError(f"{local.name}: its tokenizer cannot give the text back, so it has no bits per byte")
    most = getattr(local.network.config, "max_position_embeddings", None)
    if most is not None and len(ids) + 2 > most:  # with a special token at each end
        raise UserError(f"{local.name} accepts {most} tokens, too few for a window of {len(ids)} of its tokens")
    return ids


@torch.no_grad()
def _causal_nats(local: LocalModel, ids: list[int], batch_size: int) -> float:
    """Exact nats; a model without a start token pays log V, the uniform price, for the first token."""
    first = local.tokenizer.bos_token_id
    first = local.tokenizer.eos_token_id if first is None else first
    row = torch.tensor([ids if first is None else [first, *ids]], device=local.network.device)
    logits = local.network(row).logits[0].float()  # (T, V)
    paid = math.log(logits.shape[1]) if first is None else 0.0
    return paid + float(F.cross_entropy(logits[:-1], row[0, 1:], reduction="sum"))


@torch.no_grad()
def _masked_nats(local: LocalModel, ids: list[int], batch_size: int) -> float:
    """Nats by the left-to-right chain rule, which takes one forward pass per token."""
    tokenizer, device = local.tokenizer, local.network.device
    if tokenizer.mask_token_id is None:
        raise UserError(f"{local.name}: its tokenizer has no mask token")
    before, after = ([] if id is None else [id] for id in (tokenizer.cls_token_id, tokenizer.sep_token_id))
    clean = torch.tensor(ids, device=device)
    total = 0.0
    for at in torch.arange(len(ids), device=device).split(batch_size):
        hidden = torch.arange(len(ids), device=device) >= at[:, None]
        rows = clean.expand(len(at), -1).masked_fill(hidden, tokenizer.mask_token_id)
        rows = torch.cat((_column(before, rows), rows, _column(after, rows)), dim=1)  # (B, T)
        logits = local.network(rows).logits[torch.arange(len(at)), at + len(before)].float()  # (B, V)
        total += float(F.cross_entropy(logits, clean[at], reduction="sum"))
    return total


def _column(ids: list[int], rows: Tensor) -> Tensor:
    return torch.tensor(ids, dtype=torch.long, device=rows.device).expand(len(rows), -1)
