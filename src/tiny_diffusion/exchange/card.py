"""The model card: what a folder holds, how good the model is, and how to use and to share it."""

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..checkpoint import Checkpoint
from ..errors import UserError

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def read_evaluation(path: Path) -> dict[str, Any]:
    """The report that ``tiny-diffusion evaluate`` wrote; raises UserError if the file is not one."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"no evaluation at {path}; tiny-diffusion evaluate writes one") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(report, dict) or not {"source", "split", "windows", "window_tokens", "likelihood"} <= set(report):
        raise UserError(f"{path} is not the report of one checkpoint by tiny-diffusion evaluate")
    return report


def card(name: str, checkpoint: Checkpoint, report: dict[str, Any] | None) -> str:
    """The card as Markdown with a YAML head; ``report`` is what ``read_evaluation`` gives."""
    shape = checkpoint.config.model
    return _TEMPLATES.get_template("card.md.j2").render(
        name=name,
        shape=shape,
        objective=checkpoint.config.training.objective,
        parameters=sum(weight.numel() for weight in checkpoint.weights.values()),
        tokens=checkpoint.tokenizer.level_size(shape.vocab_level),
        source=checkpoint.meta.get("source", "one book"),
        language=checkpoint.meta.get("language", ""),
        validation=checkpoint.meta.get("validation_bits_per_byte"),
        shelf=checkpoint.shelf,
        marks=checkpoint.marks,
        ends=checkpoint.ends,
        report=report,
    )
