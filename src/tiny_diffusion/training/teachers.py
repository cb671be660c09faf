"""The teachers of a run: read from their checkpoints, and refused if they do not read what the student reads."""

from pathlib import Path

import torch

from ..checkpoint import Checkpoint, load_checkpoint
from ..config import ModelConfig, ProjectConfig, TrainingConfig
from ..data.artefacts import Processed
from ..errors import UserError
from ..files import fingerprint
from ..model.loss import Teachers


def teacher_shapes(settings: TrainingConfig) -> tuple[ModelConfig, ...]:
    """The shapes of ``settings.teachers``, without their weights; raises UserError for a file that is no checkpoint."""
    return tuple(_read(settings, number, mmap=True).config.model for number in range(len(settings.teachers)))


def load_teachers(config: ProjectConfig, data: Processed, best: Path, device: torch.device) -> Teachers | None:
    """The models of ``training.teachers`` on ``device``; None if the run has none.

    ``best`` is the run's own checkpoint. Raises UserError for a file that is no checkpoint, a model that reads other
    rows than this run, or ``best`` itself, which the run overwrites.
    """
    settings = config.training
    if not settings.teachers:
        return None
    models, fingerprints = [], []
    others: dict[str, None] = {}
    for number, path in enumerate(settings.teachers):
        if Path(path).resolve() == best.resolve():
            raise UserError(f"training.teachers[{number}]={path} is overwritten by this run: give another --output")
        checkpoint = _read(settings, number)
        if differences := _differences(checkpoint, config, data):
            raise UserError(f"training.teachers[{number}]={path} cannot teach this run: {'; '.join(differences)}")
        models.append(checkpoint.build(device).requires_grad_(False))
        fingerprints.append(fingerprint(Path(path)))
        others |= dict.fromkeys(checkpoint.shelf)
    return Teachers(tuple(models), settings.teacher_share, tuple(fingerprints), tuple(others))


def _read(settings: TrainingConfig, number: int, *, mmap: bool = False) -> Checkpoint:
    path = Path(settings.teachers[number])
    if not path.is_file():
        raise UserError(f"training.teachers[{number}]={path} is no file: give the path of a trained best_model.pt")
    return load_checkpoint(path, mmap=mmap)


def _differences(teacher: Checkpoint, config: ProjectConfig, data: Processed) -> list[str]:
    """Why the teacher's laws are not of the places and tokens of this run; empty if they are."""
    own, its = config.model, teacher.config.model
    found = [
        f"its {key} is {there} and the run's {here}"
        for key, there, here in (
            ("training.objective", teacher.config.training.objective, config.training.objective),
            ("model.context", its.context, own.context),
            ("model.vocab_level", its.vocab_level, own.vocab_level),
        )
        if there != here
    ]
    if teacher.book_identity != data.book_identity:
        found.append(f"it learnt from other prepared data, of {teacher.meta.get('source')!r}")
    elif teacher.tokenizer.to_json() != data.tokenizer.to_json():
        found.append("it has another tokenizer")
    if not teacher.marks:
        found.append("an older version trained it, without marks of beginnings and ends: train it again")
    if own.controls and not its.controls:
        found.append("it has not learnt the controls: give --model.controls false")
    return found
