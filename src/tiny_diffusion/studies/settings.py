"""The configurations that studies compare, each derived from one base so that nothing else differs."""

from ..config import CurriculumConfig, ProjectConfig
from ..errors import UserError

SINGLE = CurriculumConfig.single_stage()


def plain(config: ProjectConfig, epochs: int, seed: int) -> ProjectConfig:
    """Diffusion on paragraphs alone at all mask rates for ``epochs``, without early stopping and learnt controls.

    The learning-rate schedule belongs to the length: after 10 of 40 epochs the rate has not decayed yet, and the model
    is worse than one trained for 10 epochs. So each length is a run of its own.
    """
    return config.override(
        curriculum=scaled(SINGLE, (epochs,)),
        training={"seed": seed, "early_stopping_patience": 0, "max_steps": 0},
        model={"controls": False},
    )


def twin_of(config: ProjectConfig, dropout: float, weight_decay: float) -> ProjectConfig:
    """The autoregressive twin of a diffusion run: another objective, a causal mask, and its own regularisation.

    It is validated after each epoch, because on one book it is best after a few epochs, and its best epoch is kept.
    There is no early stopping: before the learning rate decays, the best checkpoint so far is not the best of the run.
    """
    return config.override(
        training={"objective": "autoregressive", "weight_decay": weight_decay, "eval_every_epochs": 1},
        model={"controls": False, "dropout": dropout},
    )


def scaled(curriculum: CurriculumConfig, epochs: tuple[int, ...]) -> CurriculumConfig:
    """``curriculum`` with other epochs for its stages."""
    stages = [s.model_copy(update={"epochs": n}) for s, n in zip(curriculum.stages, epochs, strict=True)]
    return curriculum.model_copy(update={"stages": tuple(stages)})


def fitted(curriculum: CurriculumConfig, steps_per_epoch: list[int], steps: int) -> CurriculumConfig:
    """``curriculum`` with its epochs scaled alike to about ``steps`` optimiser steps, never fewer.

    ``training.max_steps`` cuts the last stage to the exact number. Raises UserError if the stages before it leave
    nothing for it.
    """
    stages = curriculum.stages
    scale = steps / sum(n * s.epochs for n, s in zip(steps_per_epoch, stages, strict=True))
    epochs = [max(1, int(scale * s.epochs)) for s in stages[:-1]]
    left = steps - sum(n * e for n, e in zip(steps_per_epoch, epochs, strict=False))
    if left < 1:
        raise UserError(f"{steps} optimiser steps are too few for {len(stages)} stages; raise study.ablation_epochs")
    return scaled(curriculum, (*epochs, -(-left // steps_per_epoch[-1])))


def schedules() -> dict[str, CurriculumConfig]:
    """The schedules that ``study.schedules`` names; their epochs are proportions, see ``fitted``."""
    mixed = CurriculumConfig.three_stage()
    described = mixed.model_copy(update={"full_range_share": 0.0})
    return {
        "described": described,
        "mixed": mixed,
        "reversed": described.model_copy(update={"stages": described.stages[::-1]}),
        "none": SINGLE,
        "last": described.model_copy(update={"stages": described.stages[-1:]}),
    }
