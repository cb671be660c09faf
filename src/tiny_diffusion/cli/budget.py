"""``train --time-budget``: choosing what to train, and keeping the run to its time."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from ..config import ProjectConfig
from ..config.overrides import arguments_to_overrides
from ..errors import UserError
from .options import console, duration, errors, say

if TYPE_CHECKING:
    from ..data.artefacts import Processed
    from ..studies.budget import Candidate, Law, Limits
    from ..training.estimate import Pace
    from ..training.pace import Pacer
    from ..training.trainer import Trainer

MARGIN = 0.03  # of the budget left free by the plan: stretching a run costs nothing, cutting it some quality


@dataclass(frozen=True)
class Budget:
    """Seconds for the whole command since ``began``, and what the user fixed: a preset and settings."""

    seconds: float
    began: float
    preset: str | None
    overrides: list[str]

    def left(self) -> float:
        """Seconds left now."""
        return self.began + self.seconds - time.monotonic()

    @property
    def keys(self) -> dict[str, object]:
        """The settings that the user gave, by dotted key."""
        return arguments_to_overrides(ProjectConfig, self.overrides)

    @property
    def fixes_epochs(self) -> bool:
        """Whether the user gave epochs of any stage."""
        whole = ("curriculum", "curriculum.stages")
        stages = [key for key in self.keys if key.startswith("curriculum.stages[")]
        return any(key in whole for key in self.keys) or any(key.endswith((".epochs", "]")) for key in stages)


def choose(budget: Budget, data: "Processed", output: Path) -> ProjectConfig:
    """Measure the sizes, print what could be trained, and return the best; raises UserError when nothing fits."""
    from ..studies.budget import Law, Option, TooShort, candidates
    from ..studies.machine import look
    from ..studies.measure import in_order, measure_options

    law, machine = Law.load(), look(output)
    names = tuple(law.sizes) if budget.preset is None else (budget.preset,)
    pipeline = data.pipeline.model_dump(mode="json")
    configs = {
        name: config.override(pipeline=pipeline).override_from_args(budget.overrides)
        for name, config in in_order(names).items()
    }
    options: list[Option] = []
    untried: list[str] = []
    with errors.status("measuring this machine"):
        for found in measure_options(configs, data, output, budget.seconds, budget.left, machine):
            if isinstance(found, Option):
                options.append(found)
            else:
                untried.append(found)
    if not options:
        raise UserError(f"--time-budget: {untried[0]}; close what is not needed, or take a smaller --config")
    limits = _limits(budget, configs[options[0].name])
    used = budget.seconds - budget.left()
    try:
        ranked = candidates(options, law, limits, budget.left() - MARGIN * budget.seconds)
    except TooShort as error:
        least = (used + error.least.seconds + 1) / (1 - MARGIN)
        raise UserError(
            f"--time-budget {duration(budget.seconds)} is too short here: the least that works is about "
            f"{duration(least + 1)} ({error.least.option.name}, {error.least.epochs[-1]} epoch of paragraphs)"
        ) from error
    _show(ranked, law, budget.left())
    for line in untried:
        say(line)
    best = ranked[0]
    config = configs[best.option.name]
    # The steps were timed without compilation, which would take its own share of the time.
    compiling = "off" if config.training.compile == "auto" else config.training.compile
    return config.override(**best.settings(), **{"training.compile": compiling})


def make_pacer(budget: Budget, trainer: "Trainer", pace: "Pace") -> "Pacer":
    """What keeps ``trainer`` within ``budget``: it may cut the run, and stretch it unless the user fixed the epochs."""
    from ..studies.budget import Law
    from ..training.pace import Pacer

    trainer.end_at(trainer.end)
    most = Law.load().nearest(trainer.model.count()[0]).most_epochs
    more = max(0, most - trainer.config.curriculum.stages[-1].epochs) * trainer.steps_per_epoch[-1]
    fixed = budget.fixes_epochs or trainer.config.training.max_steps
    limit = trainer.end if fixed else max(trainer.end, trainer.total_steps + more)
    pause, step = pace.validation + pace.sample + pace.state, pace.step(trainer.config.training.batch_size)
    return Pacer(trainer, budget.began + budget.seconds, pause, step, limit)


def _limits(budget: Budget, config: ProjectConfig) -> "Limits":
    from ..studies.budget import Limits

    training, keys = config.training, {*budget.keys}
    whole = "training" in keys
    return Limits(
        epochs=tuple(stage.epochs for stage in config.curriculum.stages) if budget.fixes_epochs else None,
        batch=training.batch_size if whole or "training.batch_size" in keys else None,
        eval_every=training.eval_every_epochs if whole or "training.eval_every_epochs" in keys else None,
        sample_every=training.sample_every_epochs if whole or "training.sample_every_epochs" in keys else None,
    )


def _show(ranked: "list[Candidate]", law: "Law", left: float) -> None:
    """Print the candidates, the chosen one first, and why."""
    best = ranked[0]
    table = Table("size", "epochs", "batch", "expected bpb", "expected time", title="what could be trained")
    for each in ranked:
        time_of = duration(each.seconds) if each.seconds <= left else f"{duration(each.seconds)}: too long"
        bits = f"{each.bits_per_byte:.3f}"
        style = "bold" if each is best else None
        table.add_row(each.option.name, str(each.epochs[-1]), str(each.batch), bits, time_of, style=style)
    console.print(table)
    size = law.nearest(best.option.parameters)
    beyond = best.epochs[-1] > size.most_epochs or abs(size.parameters / best.option.parameters - 1) > 0.2
    if best.epochs[-1] == size.most_epochs:
        say(f"more than {size.most_epochs} epochs of {best.option.name} were not tried: it may end before its time")
    say(
        f"chosen: {best.option.name}, {best.epochs[-1]} epochs of paragraphs, batches of {best.batch}: the lowest bits "
        f"per byte expected of the test text. The figures come from a book of {law.book_bytes / 1e6:.2f} MB; another "
        "book moves them all" + ("; this choice lies beyond the runs they come from" if beyond else "")
    )
