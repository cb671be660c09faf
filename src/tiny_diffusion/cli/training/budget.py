"""``train --time-budget``: choosing what to train, and keeping the run to its time."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from ...config import ProjectConfig
from ...config.overrides import arguments_to_overrides
from ...errors import UserError
from ..options import console, duration, errors, say

if TYPE_CHECKING:
    from ...data.artefacts import Processed
    from ...studies.budget import Candidate, Law, Limits
    from ...training.run_time import Pace
    from ...training.trainer import Trainer

MARGIN = 0.03  # of the budget left free by the plan: stretching a run costs nothing, cutting it some quality
SLOWER = 0.7  # share of the planned steps below which the choice is looked at again when the run is over
PATIENCE = 4  # validations without a better one that end a run which may go beyond the epochs that were tried


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


@dataclass(frozen=True)
class Choice:
    """What was chosen to train, and the candidates that it was chosen from, the chosen one first."""

    config: ProjectConfig
    ranked: "list[Candidate]"
    law: "Law"
    limits: "Limits"
    seconds: float

    def tell_if_wrong(self, steps: int, planned: int) -> None:
        """Say so where the run took far fewer ``steps`` than ``planned``, and what would have suited its pace."""
        from ...studies.budget import hindsight

        if steps >= SLOWER * planned:
            return
        slowdown = planned / max(1, steps)
        better = hindsight(self.ranked, self.law, self.limits, slowdown, self.seconds)
        advice = "" if better is None else f"; at this pace {better.option.name} would have been the better choice"
        say(f"the machine was {slowdown:.1f} times as slow as measured: {steps:,} of {planned:,} planned steps{advice}")


def choose(budget: Budget, data: "Processed", output: Path) -> Choice:
    """Measure the sizes, print what could be trained, and choose the best; raises UserError when nothing fits."""
    from ...studies.budget import Law, Option, TooShort, candidates
    from ...studies.machine import look
    from ...studies.measure import in_order, measure_options, word_pair_bits

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
    seconds = budget.left() - MARGIN * budget.seconds
    try:
        ranked = candidates(options, law, limits, seconds)
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
    settings: dict[str, object] = dict(best.settings())
    settings["training.compile"] = "off" if config.training.compile == "auto" else config.training.compile
    longest = best.epochs[-1] >= law.nearest(best.option.parameters).most_epochs
    if longest and not config.training.early_stopping_patience:
        settings["training.early_stopping_patience"] = PATIENCE
    pairs = word_pair_bits(data, config.model.vocab_level)
    if best.bits_per_byte > pairs:
        say(
            f"in this time the model is expected to stay behind counts of word pairs, which reach {pairs:.3f} bits per "
            f"byte on this book's validation text; give it more time",
            style="yellow",
            to=errors,
        )
    return Choice(config.override(**settings), ranked, law, limits, seconds)


def keep_deadline(budget: Budget, trainer: "Trainer", pace: "Pace") -> None:
    """Have ``trainer`` end within ``budget``; with more epochs than planned where there is time, unless they are fixed.

    A resumed run knows the time that it has used: the budget is for what is left of it.
    """
    from ...training.course import Deadline

    used = trainer.progress.used
    stretches = not (budget.fixes_epochs or trainer.config.training.max_steps)
    pause = pace.validation + pace.state
    deadline = Deadline(used + budget.seconds, began=budget.began, used=used, stretches=stretches, pause=pause)
    trainer.course.keep(deadline)


def _limits(budget: Budget, config: ProjectConfig) -> "Limits":
    from ...studies.budget import Limits

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
    if best.epochs[-1] >= size.most_epochs:
        say(
            f"{best.option.name} was tried for at most {size.most_epochs} epochs: it goes on while its validation gets "
            "better, and may end before its time"
        )
    say(
        f"chosen: {best.option.name}, about {best.epochs[-1]} epochs of paragraphs, batches of {best.batch}: "
        "the lowest bits per byte expected of the test text"
    )
    beyond = abs(size.parameters / best.option.parameters - 1) > 0.2
    say(
        f"these figures come from a book of {law.book_bytes / 1e6:.2f} MB"
        + (" and from another size" if beyond else "")
        + "; another book moves them all"
    )
