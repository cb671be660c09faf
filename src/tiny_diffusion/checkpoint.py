"""One file that rebuilds everything: weights, full config, tokenizer, and where the data came from."""

import struct
import warnings
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError  # only the name of the error that torch raises; nothing is ever unpickled
from typing import TYPE_CHECKING, Any, BinaryIO

import torch
from torch import Tensor

from .config import ProjectConfig
from .data.language.punctuation import Punctuation
from .data.tokenizer import NUM_RESERVED, BookTokenizer
from .errors import UserError
from .files import atomic_write
from .model.schedule import SCHEDULES
from .model.transformer import Transformer
from .version import PROGRAM_VERSION

if TYPE_CHECKING:
    from .data.artefacts import Processed
    from .data.folder import TrainingText

VERSION = 1
# What torch raises for a damaged file besides UnpicklingError.
_DAMAGE = (
    RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError, AttributeError, AssertionError, OverflowError,
    struct.error, zipfile.BadZipFile,
)  # fmt: skip
NO_SHAPE = ("vocab_level", "context", "dropout", "init_std")  # settings of the model that weights do not depend on


@dataclass(frozen=True)
class Checkpoint:
    """A trained model and what it needs.

    ``meta`` is plain data: data hash, language, epoch, validation figure, and the words of the training text.
    """

    config: ProjectConfig
    tokenizer: BookTokenizer
    weights: dict[str, Tensor]
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def keeps_lines(self) -> bool:
        """Whether the book keeps its line ends, as verse and plays do."""
        return bool(self.meta.get("lines", False))

    @property
    def shelf(self) -> tuple[str, ...]:
        """Names of other books that the model, the model it began from or its teachers have learnt from."""
        return tuple(self.meta.get("shelf", ()))

    @property
    def book_identity(self) -> str | None:
        """``Processed.book_identity`` of the training data; None for a model of other origin."""
        found: str | None = self.meta.get("book", self.meta.get("data"))
        return found

    @property
    def marks(self) -> bool:
        """Whether the model has learnt the marks of beginnings and ends; older checkpoints have not."""
        return bool(self.meta.get("marks", False))

    @property
    def ends(self) -> bool:
        """Whether the model has learnt END, by which its causal reading ends a chapter or text."""
        return self.marks and self.config.model.dual

    @property
    def words(self) -> list[str]:
        """The words of the training text in their commonest spelling; older checkpoints hold none."""
        return str(self.meta.get("words", "")).split()

    @property
    def doubled(self) -> list[str] | None:
        """The words that somewhere follow themselves in the training text; None in older checkpoints."""
        found = self.meta.get("doubled")
        return None if found is None else list(found)

    @property
    def punctuation(self) -> Punctuation | None:
        """How the training text uses its marks; None in older checkpoints."""
        found = self.meta.get("punctuation") or {}
        if "letters" not in found:
            return None
        return Punctuation(tuple(found["joints"]), tuple(found["brackets"]), found["letters"])

    @property
    def lengths(self) -> dict[str, list[int]]:
        """Words of the training text's sentences and paragraphs, see ``usual_lengths``; older checkpoints hold none."""
        return dict(self.meta.get("lengths", {}))

    def build(self, device: torch.device) -> Transformer:
        """The model with these weights, in evaluation mode."""
        model = new_model(self.config, self.tokenizer).to(device)
        try:
            model.load_state_dict(self.weights)
        except RuntimeError as error:
            raise UserError("the checkpoint's weights do not fit its own config: the file is damaged") from error
        model.marks = self.marks
        return model.eval()


def new_model(config: ProjectConfig, tokenizer: BookTokenizer) -> Transformer:
    """A freshly initialised model for ``config`` at its vocabulary level."""
    vocab_size = tokenizer.ids_of(config.model.vocab_level)
    return Transformer(config.model, vocab_size, NUM_RESERVED, SCHEDULES[config.training.mask_schedule]())


def warm_start(model: Transformer, config: ProjectConfig, tokenizer: BookTokenizer, start: Checkpoint) -> None:
    """Give ``model``, made for ``config`` and ``tokenizer``, the weights of ``start``; its further ids keep their own.

    Raises UserError, naming what differs, unless the shapes are the same and the vocabulary begins with that of
    ``start``.
    """
    own, other = config.model.model_dump(), start.config.model.model_dump()
    if changed := [key for key in own if key not in NO_SHAPE and own[key] != other[key]]:
        told = ", ".join(f"model.{key} is {own[key]} and was {other[key]}" for key in changed)
        raise UserError(f"the checkpoint is of another model: {told}; take the same settings")
    count = start.tokenizer.ids_of(start.config.model.vocab_level)
    if count > model.vocab_size:
        raise UserError(
            f"model.vocab_level={config.model.vocab_level} gives {model.vocab_size} ids, the checkpoint {count}: "
            f"give model.vocab_level={start.config.model.vocab_level}"
        )
    if any(tokenizer.token_bytes(i) != start.tokenizer.token_bytes(i) for i in range(count)):
        raise UserError(
            "the checkpoint has another tokenizer than the prepared book: the model would read other tokens than it "
            "knows; prepare the checkpoint's own book with the same pipeline settings, or train from the start"
        )
    weights = dict(start.weights)
    for name in {"embedding.weight", "head.weight"} & weights.keys():
        weights[name] = torch.cat([weights[name], model.state_dict()[name][count:]])
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError("the checkpoint's weights do not fit its own config: the file is damaged") from error


def check_same_data(checkpoint: Checkpoint, data: "Processed | TrainingText") -> None:
    """Raise UserError unless ``data`` holds the book that ``checkpoint`` was trained on, whatever the shelf."""
    if checkpoint.book_identity != data.book_identity:
        raise UserError(
            "the prepared data is not what the checkpoint was trained on (another book, other pipeline settings, or "
            "cleaning rules of another version); the checkpoint's book was "
            f"{checkpoint.meta.get('source')!r}: prepare it again with the same settings"
        )


def check_alike(first: Checkpoint, other: Checkpoint, number: int) -> None:
    """Raise UserError unless the laws of two checkpoints have a mean: the same book, tokens and reading of rows.

    number: of the other one among all that are given, for the message.
    """
    if first.book_identity != other.book_identity or first.tokenizer.to_json() != other.tokenizer.to_json():
        raise UserError(f"network {number} was trained on other prepared data than the first one")
    for key in ("vocab_level", "context", "causal", "dual"):
        own, its = getattr(first.config.model, key), getattr(other.config.model, key)
        if own != its:
            raise UserError(
                f"network {number} has model.{key}={its}, the first one {own}: only networks of one kind have a mean"
            )


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write ``checkpoint`` to ``path``, whole or not at all."""
    save_plain(
        path,
        {
            "format": "tiny_diffusion",
            "version": VERSION,
            "program": PROGRAM_VERSION,
            "config": checkpoint.config.to_dict(),
            "tokenizer": checkpoint.tokenizer.to_json(),
            "weights": {k: v.detach().cpu() for k, v in checkpoint.weights.items()},
            "meta": checkpoint.meta,
        },
    )


def load_checkpoint(path: Path, *, mmap: bool = False) -> Checkpoint:
    """Read a checkpoint, with ``mmap`` as in ``load_plain``; runs no code in it.

    Raises UserError for a missing, damaged, foreign or unknown file.
    """
    data = load_plain(path, mmap=mmap)
    if data.get("format") != "tiny_diffusion" or "weights" not in data:
        raise UserError(f"{path} is not a checkpoint of tiny_diffusion")
    if data.get("version") != VERSION:
        raise UserError(f"{path} has checkpoint version {data.get('version')}; this program reads version {VERSION}")
    return from_parts(data, path)


def from_parts(data: dict[str, Any], path: Path) -> Checkpoint:
    """The checkpoint whose parts were read from ``path``. Raises UserError if they are damaged or do not agree."""
    for name, kind in {"config": dict, "tokenizer": str, "weights": dict, "meta": dict}.items():
        if not isinstance(data.get(name), kind):
            raise UserError(f"{path} is damaged: its part {name!r} is missing or not of its kind")
    config = ProjectConfig.from_saved(data["config"], path, data.get("program"))
    tokenizer = BookTokenizer.from_json(data["tokenizer"])
    if _size(data["weights"]) != config.model.parameters(tokenizer.ids_of(config.model.vocab_level)):
        raise UserError(f"{path} is damaged: its weights are not of the size that its config names")
    return Checkpoint(config, tokenizer, data["weights"], data["meta"])


def _size(weights: dict[str, Any]) -> int:
    """Number of values in ``weights``; -1 if one is no plain tensor: it could claim more values than it has."""
    for weight in weights.values():
        if not (isinstance(weight, Tensor) and weight.layout == torch.strided and weight.is_contiguous()):
            return -1
    return sum(weight.numel() for weight in weights.values())


class _Stream:
    """What ``torch.save`` writes to. It keeps the first error of ``file``, which torch would hide behind its own."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, part: memoryview) -> int:
        """Pass ``part`` on; after an error, drop it."""
        if self.error is None:
            try:
                self.file.write(part)
            except OSError as error:
                self.error = error
        return len(part)

    def flush(self) -> None:
        """Nothing to do: ``atomic_write`` flushes the file."""


def save_plain(path: Path, data: dict[str, Any]) -> None:
    """Write tensors and plain data to ``path``, whole or not at all; tensors on the CPU are not copied."""
    with atomic_write(path) as file:
        stream = _Stream(file)
        torch.save(data, stream)  # type: ignore[arg-type]  # torch needs no more of a file than this
        if stream.error is not None:
            raise stream.error


def load_plain(path: Path, *, mmap: bool = False) -> dict[str, Any]:
    """Read what ``save_plain`` wrote, tensors on the CPU; raises UserError when that cannot be done safely.

    With ``mmap`` the tensors' values are read from the file only when they are used.
    """
    if not path.exists():
        raise UserError(f"no checkpoint at {path}: train a model first, or give the path of one")
    if path.is_dir():
        raise UserError(f"{path} is a folder: name the file in it, such as {path / 'best_model.pt'}")
    try:
        with zipfile.ZipFile(path) as archive:  # torch packs without compression
            if sum(member.file_size for member in archive.infolist()) > path.stat().st_size:
                raise UserError(f"{path} unpacks to more than it holds: refused as a zip bomb")
        with warnings.catch_warnings():  # torch warns of some foreign pickles, which are refused anyway
            warnings.simplefilter("ignore")
            data = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except UnpicklingError as error:
        raise UserError(f"{path} holds more than plain data (or is no checkpoint): refused, nothing was run") from error
    except PermissionError as error:
        raise UserError(f"cannot read {path}: permission denied") from error
    except UserError:
        raise  # it is a ValueError
    except _DAMAGE as error:
        raise UserError(f"{path} is damaged, cut short or no checkpoint: refused, nothing was run") from error
    if not isinstance(data, dict):
        raise UserError(f"{path} is not a checkpoint of tiny_diffusion")
    return data
