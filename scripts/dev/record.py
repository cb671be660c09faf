"""Record what the program computes, to see that a change of structure changes nothing, to the bit.

    python scripts/dev/record.py before.json        # on the code as it was
    python scripts/dev/record.py after.json before.json   # on the changed code: exit code 1 where a figure differs

It holds the losses of up to 200 steps of ``smoke``, 20 texts of each sampler, 10 filled gaps, 5 rewritten texts and the
numbers of ``evaluate --fast``, all on one thread of one CPU. Figures are the same on one machine only.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, get_args

import torch

from tiny_diffusion import Writer
from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.config.generation_config import Sampler
from tiny_diffusion.data.artefacts import load_processed
from tiny_diffusion.data.pipeline import prepare
from tiny_diffusion.data.reading.example import write_reference_text
from tiny_diffusion.errors import UserError
from tiny_diffusion.training.events import StepDone, Validated
from tiny_diffusion.training.trainer import Trainer

CLOCKED = {"seconds", "written", "date"}
TEMPLATES = (
    "The value is {2 words} of the list.",
    "A ___ object has {1-3 words} that are called ___.",
    "{sentence} This is the type of the expression.",
    "The statement {4 tokens} in the class {5-9 tokens}.",
    "If {3 words}, the exception is raised. {paragraph}",
)


def record(folder: Path) -> dict[str, Any]:
    """All figures, by name."""
    torch.set_num_threads(1)
    changed = {"training.device": "cpu", "training.threads": 1, "training.max_steps": 200}
    config = ProjectConfig.smoke().override(**changed, **{"curriculum.stages[2].epochs": 20})
    for _ in prepare(write_reference_text(folder / "book.txt", characters=60_000), folder / "data", config.pipeline):
        pass
    trainer = Trainer(config, load_processed(folder / "data"), folder / "run")
    found: dict[str, Any] = {"losses": [], "validations": []}
    for event in trainer.run():
        if isinstance(event, StepDone):
            found["losses"].append((event.loss, event.gradient_norm))
        if isinstance(event, Validated):
            found["validations"].append(event.bits_per_byte)
    writer = Writer.load(trainer.best_path, "cpu", folder / "data")
    settings = config.generation.model_copy(update={"length": 40, "num_samples": 4, "steps": 20})
    for sampler in get_args(Sampler):
        drawn = settings.model_copy(update={"sampler": sampler, "seed": 1})
        prompts = ("", "The", "If the class", "A list", "Names")
        found[f"texts of {sampler}"] = [text.text for prompt in prompts for text in writer.write(prompt, drawn)]
    filled = settings.model_copy(update={"num_samples": 2})
    found["gaps"] = [_texts(writer, "infill", template, filled) for template in TEMPLATES]
    found["gaps with a word"] = _texts(writer, "infill", TEMPLATES[2], filled, ("value",))
    guarded = filled.model_copy(update={"max_copied_words": 4})
    found["guarded"] = [
        _texts(writer, "write", "The", guarded),
        _texts(writer, "rewrite", "The value is [[not]] a list.", guarded),
    ]
    found["guarded gaps"] = _texts(writer, "infill", TEMPLATES[0], guarded)
    text = "The value of the expression is [[a list]] of names, which is bound to the object."
    for strength in (0.2, 0.4, 0.6, 0.8, 1.0):
        changed = settings.model_copy(update={"num_samples": 1, "rewrite_strength": strength})
        found[f"rewritten at {strength}"] = _texts(writer, "rewrite", text, changed)
    command = [sys.executable, "-m", "tiny_diffusion", "evaluate", "--fast", "--checkpoint", str(trainer.best_path)]
    subprocess.run([*command, "--data-dir", str(folder / "data"), "--device", "cpu"], check=True, capture_output=True)
    found["evaluation"] = json.loads((folder / "run" / "evaluation.json").read_text(encoding="utf-8"))
    return json.loads(json.dumps(found))


def _texts(writer: Writer, way: str, *given: Any) -> list[list[Any]]:
    """The texts of ``way``, or why they were refused."""
    try:
        texts = getattr(writer, way)(*given)
    except UserError as error:
        return [[str(error)]]
    return [[each.text, each.ids, each.confidence] for each in texts]


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Every figure by its path, but for those that a clock gave."""
    if isinstance(value, dict):
        parts = {f"{name}.{key}".strip("."): each for key, each in value.items() if key not in CLOCKED}
    elif isinstance(value, list):
        parts = {f"{name}[{number}]": each for number, each in enumerate(value)}
    else:
        return {name: value}
    return {key: each for part, inner in parts.items() for key, each in flat(inner, part).items()}


def main() -> int:
    """Record into the first file; compare with the second one when it is given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", help="file to write, such as after.json")
    parser.add_argument("others", nargs="*", help="earlier recordings to compare with")
    options = parser.parse_args()
    target, others = options.target, options.others
    with tempfile.TemporaryDirectory() as folder:
        found = record(Path(folder))
    Path(target).write_text(json.dumps(found), encoding="utf-8")
    now = flat(found)
    print(f"{len(now):,} figures in {target}")
    for other in others:
        before = flat(json.loads(Path(other).read_text(encoding="utf-8")))
        wrong = [key for key in {**before, **now} if before.get(key) != now.get(key)]
        print(
            f"{other}: {len(wrong)} differ"
            + "".join(f"\n  {key}: {before.get(key)} -> {now.get(key)}" for key in wrong[:20])
        )
        if wrong:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
