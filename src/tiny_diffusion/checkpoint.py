"""One file that rebuilds everything: weights, full config, tokenizer, and where the data came from."""

import io
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError  # only the name of the error that torch raises; nothing is ever unpickled
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .config import ProjectConfig
from .data.tokenizer import NUM_RESERVED, BookTokenizer
from .errors import UserError
from .files import atomic_write
from .model.transformer import Transformer

if TYPE_CHECKING:
    from .data.artefacts import Processed
    from .data.folder import TrainingText

VERSION = 1


@dataclass(frozen=True)
class Checkpoint:
    """A trained model and what it needs. ``meta`` is plain data: data hash, language, epoch, validation figure."""

    config: ProjectConfig
    tokenizer: BookTokenizer
    weights: dict[str, Tensor]
    meta: dict[str, Any] = field(default_factory=dict)

    def build(self, device: torch.device) -> Transformer:
        """The model with these weights, in evaluation mode."""
        model = new_model(self.config, self.tokenizer).to(device)
        try:
            model.load_state_dict(self.weights)
        except RuntimeError as error:
            raise UserError("the checkpoint's weights do not fit its own config: the file is damaged") from error
        return model.eval()


def new_model(config: ProjectConfig, tokenizer: BookTokenizer) -> Transformer:
    """A freshly initialised model for ``config`` at its vocabulary level."""
    vocab_size = NUM_RESERVED + tokenizer.level_size(config.model.vocab_level)
    return Transformer(config.model, vocab_size, NUM_RESERVED)


def check_same_data(checkpoint: Checkpoint, data: "Processed | TrainingText") -> None:
    """Raise UserError unless ``data`` is what ``checkpoint`` was trained on."""
    if checkpoint.meta.get("data") != data.identity:
        raise UserError(
            "the prepared data is not what the checkpoint was trained on (other book or other pipeline settings); "
            f"the checkpoint's book was {checkpoint.meta.get('source')!r}: prepare it again with the same settings"
        )


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write ``checkpoint`` to ``path``, whole or not at all."""
    save_plain(
        path,
        {
            "format": "tiny_diffusion",
            "version": VERSION,
            "config": checkpoint.config.to_dict(),
            "tokenizer": checkpoint.tokenizer.to_json(),
            "weights": {k: v.detach().cpu() for k, v in checkpoint.weights.items()},
            "meta": checkpoint.meta,
        },
    )


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; raises UserError for a missing, damaged, foreign or unknown file. Runs no code in it."""
    data = load_plain(path)
    if data.get("format") != "tiny_diffusion" or "weights" not in data:
        raise UserError(f"{path} is not a checkpoint of tiny_diffusion")
    if data.get("version") != VERSION:
        raise UserError(f"{path} has checkpoint version {data.get('version')}; this program reads version {VERSION}")
    kinds = {"config": dict, "tokenizer": str, "weights": dict, "meta": dict}
    for name, kind in kinds.items():
        if not isinstance(data.get(name), kind):
            raise UserError(f"{path} is damaged: its part {name!r} is missing or not of its kind")
    return Checkpoint(
        config=ProjectConfig.from_dict(data["config"]),
        tokenizer=BookTokenizer.from_json(data["tokenizer"]),
        weights=data["weights"],
        meta=data["meta"],
    )


def save_plain(path: Path, data: dict[str, Any]) -> None:
    """Write tensors and plain data to ``path``, whole or not at all."""
    buffer = io.BytesIO()
    torch.save(data, buffer)
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())


def load_plain(path: Path) -> dict[str, Any]:
    """Read what ``save_plain`` wrote, tensors on the CPU; raises UserError when that cannot be done safely."""
    if not path.exists():
        raise UserError(f"no checkpoint at {path}; train one first, or give --checkpoint")
    if path.is_dir():
        raise UserError(f"{path} is a folder: name the file in it, such as {path / 'best_model.pt'}")
    try:
        with warnings.catch_warnings():  # torch warns of some foreign pickles, which are refused anyway
            warnings.simplefilter("ignore")
            data = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise UserError(f"{path} holds more than plain data (or is no checkpoint): refused, nothing was run") from error
    except PermissionError as error:
        raise UserError(f"cannot read {path}: permission denied") from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} is damaged or cut short: it cannot be read as a checkpoint") from error
    if not isinstance(data, dict):
        raise UserError(f"{path} is not a checkpoint of tiny_diffusion")
    return data
