"""The training loop: a generator of events that can be resumed to the bit.

Every random draw comes from (seed, purpose, step), so the state of a run is its weights, averages, optimiser
state and counters, and nothing else.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import torch

from ..allocator import keep_freed_memory, release_freed_memory
from ..checkpoint import Checkpoint
from ..config import ProjectConfig
from ..data.artefacts import Processed
from ..errors import UserError
from ..files import write_text
from ..model.flops import wants_compile
from ..runtime import ThreadChooser, compile_errors, find_device
from .averaged_model import Validation, due_to_write, example_losses, sample_settings, write_rows, write_sample
from .course import ALL_STEPS, SAMPLED, VALIDATED, Course
from .events import CoolingDown, Event, Finished, Sampled, StageEnded, StepDone, Validated
from .memory import check_memory
from .output_folder import Saving
from .processes import ALONE, CommonClock, Ranks
from .run_state import RunState
from .step import RunningStep, Stepper, Stopped
from .teachers import teacher_shapes

T = TypeVar("T")


class Trainer:
    """Trains one model on one prepared book into ``output``; read ``run()`` for its events.

    Set ``stop_requested`` at any time to end the run with its state saved, after the present micro-batch (of several
    processes: step) or pass of the averaged model. ``tell`` is called with what the run does between its steps. The
    best checkpoint is written when it is found, the state for ``resume`` when due (see ``Saving``) and at the end.
    """

    def __init__(
        self,
        config: ProjectConfig,
        data: Processed,
        output: Path,
        *,
        resume: bool = False,
        start: Checkpoint | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        """``start`` gives a new run its first weights, see ``checkpoint.warm_start``; not together with ``resume``.

        Raises UserError if the run does not fit into ``training.memory_limit_gb``, or cannot be resumed or start so.
        """
        if resume and start is not None:
            raise UserError("a resumed run goes on with its own weights: take either resume or start")
        settings, device = config.training, find_device(config.training.device)
        if settings.threads:
            torch.set_num_threads(settings.threads)
        keep_freed_memory()
        vocab_size = data.tokenizer.ids_of(config.model.vocab_level)
        check_memory(config, vocab_size, device=device.type, processes=ranks.count, teachers=teacher_shapes(settings))
        self.state = state = RunState.begin(config, data, output, start, ranks)
        if resume:
            state.restore()
        ranks.agree(*state.model.parameters(), *state.average.parameters())  # unlike machines draw unlike numbers
        self.config, self.data, self.output, self.ranks, self.device = state.config, data, output, ranks, device
        self.model, self.average, self.rows, self.progress = state.model, state.average, state.rows, state.progress
        self.best_path, self.run_path = state.best_path, state.run_path
        self.average.embedding.register_forward_pre_hook(lambda *_: self._give_up())
        self.clock = CommonClock(ranks)
        self.course = Course(state.config, state.stage_steps, state.progress, self.clock)
        self.stage_steps, self.total_steps = self.course.stage_steps, self.course.total_steps
        self.compiled = wants_compile(config, self.model.vocab_size, self.total_steps, device)
        if self.compiled:
            self.model.compile_blocks(ranks.rows_at_once(settings), config.model.context + self.model.shift)
        self.stepper = Stepper(state, self.course, lambda: self.stop_requested)
        self.validation = Validation(state.config, data, ranks.rows(settings.batch_size))
        self.saving = Saving(self.save_run)
        self.stop_requested, self._last_read = False, 0.0
        self.tell: Callable[[str], None] = lambda what: None
        # On CUDA the figures of a step are read during the next one, so that the GPU never waits for the host.
        self.steps_in_flight = 1 if device.type == "cuda" else 0
        # Compiled blocks are made for a fixed number of threads, and unlike numbers round unlike in several processes.
        chooses = device.type == "cpu" and not settings.threads and not self.compiled and ranks.count == 1
        self.threads = ThreadChooser(torch.get_num_threads()) if chooses else None

    def _stops(self) -> bool:
        """Whether the run was asked to stop; several processes agree on it, and on the time."""
        return self.stop_requested if self.ranks.count == 1 else self.clock.read(self.stop_requested)

    def _give_up(self) -> None:
        """Raise Stopped before a pass of the averaged model (validation, samples) if a stop was asked for."""
        if self.stop_requested:
            raise Stopped

    def _together(self, work: Callable[[], T]) -> T:
        """The result of this process's ``work`` with the averaged model; raises Stopped in all if one gave it up."""
        done: list[T] = []
        with suppress(Stopped):
            done.append(work())
        if self.ranks.any(not done):
            raise Stopped
        return done[0]

    def run(self) -> Iterator[Event]:
        """Train to the end, or until ``stop_requested``; the state is saved before the last event.

        A run that is finished already gives only the last event. Raises DivergedError, and saves nothing more, if a
        loss, a gradient norm, a validation or the norm of the weights is not a finite number; WorldError if
        ``torch.compile`` fails.
        """
        p, ended_before = self.progress, self.progress.finished
        with compile_errors():
            while not p.finished and not self._stops():
                with suppress(Stopped):
                    yield from self._epoch()
        if not ended_before:
            self.tell("saving")
            self.save_run()
        if self.threads is not None:  # the next run in this process may find a quieter machine
            torch.set_num_threads(self.threads.most)
        self.ranks.wait()
        yield Finished(p.step, not p.finished, p.best, self.best_path)

    def _epoch(self) -> Iterator[Event]:
        """The rest of the current epoch, then what is due at its end."""
        p, steps = self.progress, self.state.steps_per_epoch[self.progress.stage]
        epoch = (p.stage_step - (p.closing > 0)) // steps
        if not p.closing:
            yield from self._steps(epoch)
            if p.stage_step // steps == epoch and not self.course.stage_is_over():
                return
            p.closing = ALL_STEPS
        if not self._stops():
            yield from self._end_epoch(epoch + 1, self.course.stage_is_over())

    def _end_epoch(self, epoch: int, over: bool) -> Iterator[Event]:
        """What is due after ``epoch`` epochs of the stage; ``over``: the stage, or the run, ends here by its steps."""
        p, settings, course = self.progress, self.config.training, self.course
        stage, final = self.config.curriculum.stages[p.stage], p.stage == len(self.config.curriculum.stages) - 1
        over = over or (epoch >= stage.epochs and not (course.deadline and course.deadline.stretches))
        ends = over and (final or course.place >= 1)
        due = (over or epoch % settings.eval_every_epochs == 0) and (ends or course.may_pause())
        began = course.now
        if due and p.closing < VALIDATED:
            self.tell("validating")
            yield self.validate(epoch)
        validating = course.now - began
        sampling = settings.sample_every_epochs and epoch % settings.sample_every_epochs == 0
        if sampling and p.closing < SAMPLED and not (ends and course.deadline):  # the last seconds are for saving
            self.tell("writing a sample")
            yield self._sample()
        self._rescore()
        p.closing, began = 0, course.now - validating
        early = 0 < settings.early_stopping_patience <= p.since_best and not (ends or p.cooling)
        if early:
            left = course.stop_early(final)
            over = not p.cooling
            if p.cooling:
                yield CoolingDown(p.step, left)
        if over:
            yield StageEnded(p.stage, stage.name, early or p.cooling)
            p.finished = ends or final
            if not p.finished:  # a finished run keeps its place: with more epochs it goes on there
                p.stage, p.stage_step, p.since_best = p.stage + 1, 0, 0
                levels = self.config.stage_levels
                if levels[p.stage] != levels[p.stage - 1]:  # figures at other levels tell nothing of this one
                    p.best = math.inf
        if due:
            self.tell("saving")
            self.saving.when_due()
            self.clock.read()
            course.paused(began)

    def _steps(self, epoch: int) -> Iterator[StepDone]:
        """The remaining steps of the epoch, up to a stop or the end of the run."""
        p, batch_size = self.progress, self.config.training.batch_size
        if due_to_write(self.state, epoch):
            self.tell("writing rows to learn from")
            self.state.written = self._together(lambda: write_rows(self.state, epoch))
            self.ranks.total(self.state.written)
        rows = self.rows.epoch(p.stage, epoch, self.state.written)
        running: deque[RunningStep] = deque()
        first = (p.stage_step % self.state.steps_per_epoch[p.stage]) * batch_size
        for batch in torch.arange(first, len(rows)).split(batch_size):
            try:
                running.append(self.stepper.step(rows.take(batch), epoch))
            except Stopped:
                self.model.zero_grad(set_to_none=True)
                break
            if p.step % 100 == 0:  # it takes as long as half a step
                release_freed_memory()
            yield from self._read(running, self.steps_in_flight)
            if self._stops() or self.course.stage_is_over():
                break
        yield from self._read(running, 0)

    def _read(self, running: deque[RunningStep], left: int) -> Iterator[StepDone]:
        """Wait for the oldest of the ``running`` steps until ``left`` of them remain; raises DivergedError."""
        while len(running) > left:
            event = running.popleft().done(self._last_read)
            self._last_read = time.perf_counter()
            if not math.isfinite(event.loss + event.gradient_norm):
                self.state.check_finite(event.loss, f"the loss of step {event.step}")
                self.state.check_finite(event.gradient_norm, f"the gradient norm of step {event.step}")
            if self.threads is not None and self.threads.add(event.seconds) != torch.get_num_threads():
                torch.set_num_threads(self.threads.threads)
            yield event

    def validate(self, epoch: int) -> Validated:
        """Validate the averaged weights and keep them if they are the best so far."""
        p = self.progress
        found = self._together(lambda: self.validation.bits_per_byte(self.average, p.stage, self.ranks.share))
        bits = self.ranks.sum(found)
        self.state.check_finite(bits, f"the validation after step {p.step}, in bits per byte,")
        best = bits < p.best
        p.best, p.since_best = (bits, 0) if best else (p.best, p.since_best + 1)
        if best:
            self.state.save_best(epoch)
        p.closing = VALIDATED
        return Validated(p.step, p.stage, epoch, bits, best)

    def _rescore(self) -> None:
        """Tell the stage's dynamic scorer, if there is one, how hard its examples are now."""
        losses, scorer = self._together(lambda: example_losses(self.state)), self.rows.scorers[self.progress.stage]
        if losses is not None and scorer is not None:
            self.ranks.agree(losses)
            scorer.update(losses.numpy())

    def _sample(self) -> Sampled:
        """Have the averaged weights of the first process write one text, and keep it."""
        first, path = self.ranks.first, self.output / "samples" / f"step_{self.progress.step:07d}.txt"
        text = self._together(lambda: write_sample(self.state, sample_settings(self.config)) if first else "")
        if first:
            write_text(path, text + "\n")
        self.progress.closing = SAMPLED
        return Sampled(self.progress.step, text, path)

    def save_run(self) -> None:
        """Write all that ``--resume`` needs, see ``RunState.save``."""
        if self.course.deadline is not None:
            self.progress.used = self.course.deadline.used
        self.state.save()
