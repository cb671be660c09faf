"""The configurations that studies compare, each made from one base so that nothing else differs."""

from ..config import CurriculumConfig, ProjectConfig
from ..errors import UserError

SINGLE = CurriculumConfig.single_stage()


def plain(config: ProjectConfig, epochs: int, seed: int) -> ProjectConfig:
    """Diffusion on paragraphs alone at all mask rates, ``epochs`` long, never ended early.

    The learning-rate schedule belongs to the length: a run of 40 epochs looked at after 10 has not decayed yet and
    is worse than one of 10, so each length is a run of its own.
    """
    return config.override(
        curriculum=scaled(SINGLE, (epochs,)),
        training={"seed": seed, "early_stopping_patience": 0, "max_steps": 0},
    )


def twin_of(config: ProjectConfig, dropout: float, weight_decay: float) -> ProjectConfig:
    """The autoregressive twin of a diffusion run: another objective, a causal mask, and its own regularisation.

    It is validated after each epoch, since on one book it is best after a few, and its best epoch is kept. No run is
    ended early: before the learning rate decays its best is not its best yet.
    """
    return config.override(
        training={
            "objective": "autoregressive",
            "weight_decay": weight_decay,
            "eval_every_epochs": 1,
        },
        model={"causal": True, "controls": False, "dropout": dropout},
    )


def scaled(curriculum: CurriculumConfig, epochs: tuple[int, ...]) -> CurriculumConfig:
    """``curriculum`` with other epochs for its stages."""
    stages = [s.model_copy(update={"epochs": n}) for s, n in zip(curriculum.stages, epochs, strict=True)]
    return curriculum.model_copy(update={"stages": tuple(stages)})


def fitted(curriculum: CurriculumConfig, steps_per_epoch: list[int], steps: int) -> CurriculumConfig:
    """``curriculum`` with its epochs scaled alike to about ``steps`` optimiser steps, never fewer.

    ``training.max_steps`` cuts the last stage to the exact number. Raises UserError when the stages before it
    leave nothing for it.
    """
    stages = curriculum.stages
    scale = steps / sum(n * s.epochs for n, s in zip(steps_per_epoch, stages, strict=True))
    epochs = [max(1, int(scale * s.epochs)) for s in stages[:-1]]
    left = steps - sum(n * e for n, e in zip(steps_per_epoch, epochs, strict=False))
    if left < 1:
        raise UserError(f"{steps} optimiser steps are too few for {len(stages)} stages; raise study.ablation_epochs")
    return scaled(curriculum, (*epochs, -(-left // steps_per_epoch[-1])))


def schedules() -> dict[str, CurriculumConfig]:
    """The schedules of the ablation by name; their epochs are proportions, see ``fitted``."""
    mixed = CurriculumConfig.three_stage()
    described = mixed.model_copy(update={"full_range_share": 0.0})
    return {
        "described": described,
        "full range mixed in": mixed,
        "reversed": described.model_copy(update={"stages": described.stages[::-1]}),
        "none": SINGLE,
        "last stage alone": described.model_copy(update={"stages": described.stages[-1:]}),
    }
