"""``train --time-budget``: choosing what to train, and keeping the run to its time."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...config import ProjectConfig
from ...config.overrides import arguments_to_overrides
from ...errors import UserError
from ...wording import counted, duration
from ..console import errors, print_table, say, warn

if TYPE_CHECKING:
    from ...data.artefacts import Processed
    from ...studies.budget import Candidate, Law, Limits, Option
    from ...training.trainer import Trainer

MARGIN = 0.03  # share of the budget that the plan leaves free: extending a run costs nothing, cutting one quality
SLOWER = 0.7  # share of the planned steps below which the choice is reviewed after the run
LEAST = 0.2  # share of the quickest run that the budget must hold; the schedule then takes its course in fewer steps
PATIENCE = 4  # validations without a new best that end a run longer than those the law was fitted to


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
        """Whether the user gave epochs for any stage."""
        own = [key for key in self.keys if key.startswith("curriculum.stages[") and key.endswith((".epochs", "]"))]
        return bool(own) or not {"curriculum", "curriculum.stages"}.isdisjoint(self.keys)


@dataclass(frozen=True)
class Choice:
    """The chosen config, and the candidates it was chosen from, best first."""

    config: ProjectConfig
    ranked: "list[Candidate]"
    law: "Law"
    limits: "Limits"
    seconds: float

    def tell_if_wrong(self, steps: int, planned: int) -> None:
        """If the run took far fewer ``steps`` than ``planned``, say so, and which size would have suited its pace."""
        from ...studies.budget import hindsight

        if steps >= SLOWER * planned:
            return
        slowdown = planned / max(1, steps)
        better = hindsight(self.ranked, self.law, self.limits, slowdown, self.seconds)
        advice = "" if better is None else f"; at this pace {better.option.name} would have been the better choice"
        say(f"the machine was {slowdown:.1f} times as slow as measured: {steps:,} of {planned:,} planned steps{advice}")


def choose(budget: Budget, data: "Processed", output: Path) -> Choice:
    """Measure the sizes on this machine, print what could be trained, and choose the best.

    Raises:
        UserError: no size fits into the memory, or the budget is too short for any.
    """
    from ...studies.budget import Law
    from ...studies.measure import in_order

    law = Law.load()
    configs = {
        name: config.override(pipeline=data.pipeline).override_from_args(budget.overrides)
        for name, config in in_order(tuple(law.sizes) if budget.preset is None else (budget.preset,)).items()
    }
    options, untried = _measure(budget, configs, data, output)
    limits = _limits(budget, configs[options[0].name])
    seconds = budget.left() - MARGIN * budget.seconds
    ranked = _rank(budget, options, law, limits, seconds)
    _show(ranked, law, budget.left())
    for line in untried:
        say(line)
    best = ranked[0]
    config = configs[best.option.name].override(**_settings(best, configs[best.option.name], law))
    choice = Choice(config, ranked, law, limits, seconds)
    _warn_of_pairs(choice, data)
    return choice


def _measure(
    budget: Budget, configs: dict[str, ProjectConfig], data: "Processed", output: Path
) -> "tuple[list[Option], list[str]]":
    """The sizes with their measured pace, and a line about each that was not tried; raises UserError without any."""
    from ...runtime import memory_errors
    from ...studies.machine import look
    from ...studies.measure import measure_options

    machine = look(output)
    with memory_errors(), errors.status("measuring this machine"):
        found = list(measure_options(configs, data, output, budget.seconds, budget.left, machine))
    options = [each for each in found if not isinstance(each, str)]
    untried = [each for each in found if isinstance(each, str)]
    if not options:
        raise UserError(f"--time-budget: {untried[0]}; close other programs, or take a smaller --config")
    return options, untried


def _rank(budget: Budget, options: "list[Option]", law: "Law", limits: "Limits", seconds: float) -> "list[Candidate]":
    """What could be trained in ``seconds``, best first; raises UserError with the least time that works.

    If not even one epoch of each stage fits, the quickest run is cut short: the deadline ends every run on time.
    """
    from ...studies.budget import TooShort, candidates

    try:
        return candidates(options, law, limits, seconds)
    except TooShort as error:
        used = budget.seconds - budget.left()
        if LEAST * error.least.seconds <= seconds:
            whole = f"all of it takes {duration((used + error.least.seconds) / (1 - MARGIN))} here"
            warn(f"too little time for one epoch of each stage: a part of the text is read; {whole}")
            return [error.least]
        least = (used + LEAST * error.least.seconds + 1) / (1 - MARGIN)
        shelf = error.least.option.shelf
        raise UserError(
            f"--time-budget {duration(budget.seconds)} is too short here: the least that works is about "
            f"{duration(least + 1)} ({error.least.option.name}, a part of an epoch"
            + (f" after {shelf} of the shelf; give fewer curriculum.shelf_epochs)" if shelf else ")")
        ) from error


def _settings(best: "Candidate", config: ProjectConfig, law: "Law") -> dict[str, object]:
    """What the choice changes in the config of its size."""
    # The steps were timed without compilation, which would take its own share of the time.
    compiles = "off" if config.training.compile == "auto" else config.training.compile
    settings: dict[str, object] = {**best.settings(), "training.compile": compiles}
    longest = best.epochs[-1] >= law.nearest(best.option.parameters).most_epochs
    if longest and not config.training.early_stopping_patience:
        settings["training.early_stopping_patience"] = PATIENCE
    return settings


def _warn_of_pairs(choice: Choice, data: "Processed") -> None:
    """Warn if the model is not expected to pass counts of word pairs, and say what time would suffice."""
    from ...studies.budget import time_to_reach
    from ...studies.measure import count_bits

    pairs = count_bits(data, choice.config.model.vocab_level, 2)
    if choice.ranked[0].bits_per_byte <= pairs:
        return
    enough = time_to_reach(pairs, choice.ranked, choice.law, choice.limits, choice.seconds)
    advice = "no size here is expected to reach that" if enough is None else f"about {duration(enough)} would do"
    warn(
        "in this time the model is expected to stay behind counts of word pairs, which reach "
        f"{pairs:.3f} bits per byte on this book's validation text; {advice}"
    )


def keep_deadline(budget: Budget, trainer: "Trainer", pause: float) -> None:
    """Make ``trainer`` end within ``budget``, with more epochs than planned if time allows and they are not fixed.

    A dual network gets no more epochs than were tried: beyond them its causal half memorises the book. A resumed run
    knows how much time it has used; the budget counts from there. ``pause``: expected seconds of a validation with its
    saves. Of several processes the first one's clock and ``pause`` count.
    """
    import torch

    from ...studies.budget import Law
    from ...training.course import Deadline

    used, config = trainer.progress.used, trainer.config
    most = Law.load().nearest(config.model.parameters(trainer.model.vocab_size)).most_epochs
    whole = config.model.dual and config.curriculum.stages[-1].epochs >= most
    stretches = not (budget.fixes_epochs or config.training.max_steps or whole)
    known = torch.tensor([budget.began, pause], dtype=torch.float64)
    trainer.ranks.agree(known)
    trainer.clock.read()
    began, pause = known.tolist()
    clock = trainer.clock
    trainer.course.keep(Deadline(used + budget.seconds, used + clock() - began, stretches, pause, clock))


def may_be_taught(config: ProjectConfig) -> bool:
    """Whether members and a student of them may be trained instead of one run; measured for dual networks."""
    training = config.training
    return training.objective == "dual" and not training.teachers and not training.max_steps


def _limits(budget: Budget, config: ProjectConfig) -> "Limits":
    """What the user fixed, so that the choice leaves it as it is."""
    from ...studies.budget import Limits

    training, keys = config.training, {*budget.keys}

    def given(name: str) -> int | None:
        return getattr(training, name) if keys & {"training", f"training.{name}"} else None

    return Limits(
        student_epochs=training.student_epochs if may_be_taught(config) else None,
        epochs=tuple(stage.epochs for stage in config.curriculum.stages) if budget.fixes_epochs else None,
        batch=given("batch_size"),
        eval_every=given("eval_every_epochs"),
        sample_every=given("sample_every_epochs"),
    )


def _show(ranked: "list[Candidate]", law: "Law", left: float) -> None:
    """Print the candidates, the chosen one first, and why."""
    best = ranked[0]
    rows = []
    for each in ranked:
        time_of = duration(each.seconds) + (": too long" if each.seconds > left else "")
        name = each.option.name + (f", student of {each.members}" if each.members else "")
        rows.append((name, each.epochs[-1], each.batch, f"{each.bits_per_byte:.3f}", time_of))
    head = ("size", "epochs", "batch", "expected bpb", "expected time")
    print_table(head, rows, "what could be trained", bold=0)
    size = law.nearest(best.option.parameters)
    better = [c for c in ranked if c.seconds > left and c.bits_per_byte < best.bits_per_byte]
    if best.epochs[-1] >= size.most_epochs and better:
        soonest = min(better, key=lambda each: each.seconds)
        told = f"{best.option.name} learns one book in {size.most_epochs} epochs and memorises it in more"
        what = f"a student of {counted(soonest.members, 'member')} would learn more"
        say(f"{told}, so it may end early; in {duration(soonest.seconds)} {what}")
    first = f"{counted(best.members, 'member')} and then a student, " if best.members else ""
    say(
        f"chosen: {best.option.name}, {first}about {counted(best.epochs[-1], 'epoch')} of paragraphs, batches of "
        f"{best.batch}: the lowest expected bits per byte on the test text"
    )
    if best.option.shelf:
        say(
            f"{counted(best.option.shelf, 'epoch')} of the shelf first, within this time (curriculum.shelf_epochs "
            "changes that); the expected bits per byte are those of the book alone"
        )
    beyond = abs(size.parameters / best.option.parameters - 1) > 0.2
    say(
        f"the expected figures were measured on Frankenstein ({law.book_bytes / 1e6:.2f} MB)"
        + (" with another size" if beyond else "")
        + "; with your book they all differ"
    )
