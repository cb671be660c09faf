"""A checkpoint as a folder that the transformers library loads, and back."""

import json
from itertools import accumulate
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from ..checkpoint import Checkpoint, from_parts
from ..config import ModelConfig
from ..config.generation_config import CONTROL_ROWS, CONTROLS
from ..data.tokenizer import BOS, END, NUM_RESERVED, PAD
from ..errors import UserError
from ..files import write_together
from ..version import PROGRAM_VERSION
from .tokens import as_json, positions, tokenizer_files

CODE = "modeling_tiny_diffusion"
_CLASSES = {"masked": ("MaskedLM",), "causal": ("CausalLM",), "dual": ("MaskedLM", "CausalLM")}
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def write_folder(folder: Path, checkpoint: Checkpoint, evaluation: dict[str, Any] | None = None) -> None:
    """Write everything that ``from_pretrained`` and ``read_folder`` need; ``evaluation`` fills the model card.

    Raises UserError or WorldError if the folder cannot be written.
    """
    weights = {name: value.detach().cpu().contiguous() for name, value in checkpoint.weights.items()}
    contents = {
        "config.json": as_json(model_settings(checkpoint)),
        "generation_config.json": as_json(generation_settings(checkpoint)),
        **tokenizer_files(checkpoint.tokenizer, checkpoint.config.model),
        "model.safetensors": save(weights, metadata={"format": "pt"}),
        f"{CODE}.py": (Path(__file__).parent / f"{CODE}.py").read_bytes(),
        "README.md": card(folder.name, checkpoint, evaluation).encode("utf-8"),
    }
    write_together(folder, contents)


def read_folder(folder: Path) -> Checkpoint:
    """The checkpoint that was exported to ``folder``, with the weights that are there now; runs no code in it.

    Raises UserError if the folder is not one of ``write_folder``, or is damaged.
    """
    config, weights = folder / "config.json", folder / "model.safetensors"
    if not config.is_file() or not weights.is_file():
        raise UserError(f"{folder} holds no config.json and model.safetensors: give a folder of tiny-diffusion export")
    try:
        saved = json.loads(config.read_text(encoding="utf-8")).get("tiny_diffusion")
        if not isinstance(saved, dict) or not {"program", "config", "tokenizer", "meta"} <= saved.keys():
            raise UserError(f"{config} has no settings of tiny-diffusion: the folder is of another program")
        tensors = load_file(weights)
    except (OSError, ValueError, AttributeError, RecursionError, SafetensorError) as error:
        raise UserError(f"{folder} is damaged: {error}") from error
    return from_parts(saved | {"weights": tensors}, config)


def model_settings(checkpoint: Checkpoint) -> dict[str, Any]:
    """What ``config.json`` holds: the shape under the library's names, and all that a checkpoint has beside weights."""
    shape, reading = checkpoint.config.model, reading_of(checkpoint.config.model)
    starts = list(accumulate(map(len, CONTROLS.values()), initial=0))
    return {
        "model_type": "tiny_diffusion",
        "architectures": [f"TinyDiffusionFor{kind}" for kind in _CLASSES[reading]],
        "auto_map": {
            "AutoConfig": f"{CODE}.TinyDiffusionConfig",
            **{f"AutoModelFor{kind}": f"{CODE}.TinyDiffusionFor{kind}" for kind in _CLASSES[reading]},
        },
        "dtype": "float32",
        "vocab_size": len(checkpoint.weights["embedding.weight"]),
        "reserved": NUM_RESERVED,
        "lowest": END if checkpoint.ends else NUM_RESERVED,
        "hidden_size": shape.d_model,
        "intermediate_size": shape.d_ff,
        "num_hidden_layers": shape.n_layers,
        "num_attention_heads": shape.heads,
        "max_position_embeddings": positions(shape),
        "rope_base": shape.rope_base,
        "qk_norm": shape.qk_norm,
        "value_residual": shape.value_residual,
        "tied": shape.tie_embeddings,
        "reading": reading,
        "control_starts": starts[:-1] if shape.controls else [],
        "control_rows": CONTROL_ROWS if shape.controls else 0,
        "bos_token_id": BOS,
        "pad_token_id": PAD,
        "eos_token_id": END if checkpoint.ends else None,
        "tiny_diffusion": {
            "program": PROGRAM_VERSION,
            "config": checkpoint.config.to_dict(),
            "tokenizer": checkpoint.tokenizer.to_json(),
            "meta": checkpoint.meta,
        },
    }


def generation_settings(checkpoint: Checkpoint) -> dict[str, Any]:
    """What ``generation_config.json`` holds: how the checkpoint draws, in the library's words."""
    drawing = checkpoint.config.generation
    return {
        "do_sample": True,
        "temperature": drawing.temperature,
        "top_k": drawing.top_k,
        "top_p": drawing.top_p,
        "max_new_tokens": drawing.length,
        "use_cache": False,
        "bos_token_id": BOS,
        "pad_token_id": PAD,
        "eos_token_id": END if checkpoint.ends else None,
    }


def read_evaluation(path: Path) -> dict[str, Any]:
    """The report that ``tiny-diffusion evaluate`` wrote; raises UserError if the file is not one."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"no evaluation at {path}; tiny-diffusion evaluate writes one") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as JSON: {error}") from error
    known = isinstance(report, dict) and {"source", "split", "windows", "window_tokens", "likelihood"} <= set(report)
    if not known or not isinstance(report["likelihood"], list) or not all(map(_is_row, report["likelihood"])):
        raise UserError(f"{path} is not the report of one checkpoint by tiny-diffusion evaluate")
    return report


def _is_row(row: object) -> bool:
    """Whether it has what the card shows of a row of the report's table."""
    figures = ("bits_per_byte", "low", "high")
    return isinstance(row, dict) and "name" in row and all(isinstance(row.get(figure), float) for figure in figures)


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


def reading_of(shape: ModelConfig) -> str:
    """Masked, causal, or dual."""
    return "dual" if shape.dual else "causal" if shape.causal else "masked"
