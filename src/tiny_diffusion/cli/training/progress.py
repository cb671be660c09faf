"""A training in the terminal: its events in the log and in a progress bar."""

from collections import deque
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TextColumn

from ...wording import duration
from ..console import errors, say
from ..stopping import STOPPING, graceful_stop
from .trackers import Trackers, complete_table

if TYPE_CHECKING:
    from ...training.events import Finished
    from ...training.trainer import Trainer


def attend(trainer: "Trainer") -> bool:
    """Train silently, beside the process that reports; return whether the run was stopped."""
    if trainer.progress.finished:  # the first process says so
        return False
    with graceful_stop(trainer, lambda: None):
        deque(trainer.run(), maxlen=0)
    return not trainer.progress.finished


def complete(trainer: "Trainer") -> bool:
    """Write the end of a finished run where a kill after its last save left it out; return whether it was missing."""
    from ...training.events import Finished, RunLog, tells_end

    p, output = trainer.progress, trainer.output
    end = Finished(p.step, False, p.best, trainer.best_path)
    missing = not tells_end(output)
    if missing:
        with RunLog(output, after=p) as log:
            log.write(end)
    return complete_table(output, trainer.config, end) or missing


def follow(trainer: "Trainer", *, resumed: bool) -> "Finished":
    """Train to the end, and show the events in the log, in trackers and in a progress bar."""
    from ...training import events

    metrics = events.RunningMetrics()
    columns = (BarColumn(bar_width=20), TextColumn("{task.percentage:>3.0f}% {task.description}"))
    after = trainer.progress if resumed else None
    part = "micro-batch" if trainer.ranks.count == 1 else "step"
    with (
        events.RunLog(trainer.output, after=after) as log,
        Trackers(trainer.output, trainer.config, None if after is None else after.step) as trackers,
        Progress(*columns, console=errors, refresh_per_second=4) as progress,
        graceful_stop(trainer, lambda: say(STOPPING.format(part=part), to=errors)),
    ):
        state, step = "starting", None
        task, deadline = progress.add_task(state, total=1.0), trainer.course.deadline
        trainer.tell = lambda what: progress.update(task, description=f"{state}, {what}")
        for event in trainer.run():
            metrics.add(event)
            log.write(event)
            trackers.write(event)
            if isinstance(event, events.StepDone):
                step = event
            if step is not None and isinstance(event, events.StepDone | events.Validated):
                left = metrics.seconds_left if deadline is None else max(0.0, deadline.seconds - deadline.used)
                bits = "-" if metrics.validation is None else f"{metrics.validation:.3f}"
                state = (
                    f"{step.stage_name} {step.epoch} loss {metrics.loss:.3f} bpb {bits} "
                    f"{metrics.tokens_per_second:,.0f} tok/s {duration(left)} left"
                )
                progress.update(task, completed=trainer.course.place, description=state)
            if isinstance(event, events.Validated) and not errors.is_terminal:  # a log file sees no bar
                say(f"step {event.step}/{trainer.course.end}: {state}", to=errors)
            elif isinstance(event, events.Sampled):
                text = " ".join(event.text.split())
                say(f"step {event.step} writes: {text[:160]}", style="dim", to=errors)
            elif isinstance(event, events.CoolingDown):
                rest = f"{event.left:,.0f} more steps" if deadline is None else f"the next {duration(event.left)}"
                say(f"no better validation: the learning rate decays over {rest}, then the run ends", to=errors)
            elif isinstance(event, events.StageEnded) and event.early and not trainer.progress.cooling:
                say(f"stage {event.name} ended early: no better validation", to=errors)
            elif isinstance(event, events.Finished):
                finished = event
                progress.update(task, description=state)
    return finished
