"""The training loop: a generator of events, resumable to the bit.

Every random draw comes from (seed, purpose, step), so the state of a run is its weights, averages, optimiser
state and counters, and nothing else.
"""

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from ..allocator import keep_freed_memory, release_freed_memory
from ..checkpoint import Checkpoint, new_model, save_checkpoint, save_plain, warm_start
from ..config import GenerationConfig, ProjectConfig
from ..config.controls import uncontrolled
from ..config.memory import check_memory
from ..data.artefacts import Processed
from ..data.tokenizer import NUM_RESERVED
from ..errors import DivergedError, UserError
from ..files import write_text
from ..runtime import find_device, generator_for, seed_for
from ..writing.writer import Writer
from .compiling import wants_compile
from .control_labels import drop_controls
from .course import Course
from .epochs import StageRows
from .events import CoolingDown, Event, Finished, Sampled, StageEnded, StepDone, Validated
from .masking import Masker
from .objective import Objective, Stopped, add_gradients
from .optimizers import clip_gradients, make_optimizers, rates_in_use, update_average
from .processes import ALONE, Ranks
from .rows import Rows
from .run_state import ALL_STEPS, SAMPLED, VALIDATED, Progress, restore_run, run_state
from .saving import Saving
from .scheduler import Line, learning_rate_scale, mask_range, stage_steps
from .self_training import due_to_write, write_rows
from .steps_in_flight import RunningStep, StepsInFlight
from .threads import ThreadChooser
from .validation import Validation, rescore

RELEASE_STEPS = 100  # steps after which free memory goes back to the system: it takes as long as half of one
MASKS, DROPOUT, CONTROLS = 3, 4, 9  # purposes of random draws, see runtime.seed_for


class Trainer:
    """Trains one model on one prepared book into ``output``; read ``run()`` for its events.

    Set ``stop_requested`` at any time to end the run with its state saved: of one process after the micro-batch or the
    model's pass under way, of several after the step. ``tell`` is called with what the run does between its steps. The
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
        """``start``: whose weights a new run begins with, see ``warm_start``; not together with ``resume``."""
        if resume and start is not None:
            raise UserError("a resumed run goes on with its own weights: take either resume or start")
        self.config, self.data, self.output, self.ranks = config, data, output, ranks
        settings = config.training
        if settings.threads:
            torch.set_num_threads(settings.threads)
        keep_freed_memory()
        self.device = find_device(settings.device)
        kind: Literal["cpu", "cuda"] = "cuda" if self.device.type == "cuda" else "cpu"
        vocab_size = NUM_RESERVED + data.tokenizer.level_size(config.model.vocab_level)
        check_memory(config, vocab_size, device=kind, processes=ranks.count)
        torch.manual_seed(seed_for(settings.seed))
        self.model = new_model(config, data.tokenizer)
        if start is not None:
            warm_start(self.model, config, data.tokenizer, start)
        self.model.to(self.device)
        self.model.gradient_checkpointing = settings.gradient_checkpointing
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.average.embedding.register_forward_pre_hook(lambda *_: self._give_up())
        self.optimizers = make_optimizers(self.model, settings)
        self.rows = StageRows(config, data)
        # On CUDA a step's figures are read while the next one runs, so that the GPU never waits for the host.
        self.steps_in_flight = 1 if self.device.type == "cuda" else 0
        self.masker = Masker(settings, config.curriculum.full_range_share, data.tokenizer, self.model.vocab_size)
        self.validation = Validation(config, data, ranks.rows(settings.batch_size))
        self.progress = Progress(line=Line(self.total_steps))
        self.written: Tensor | None = None
        self.stop_requested = False
        self.tell: Callable[[str], None] = lambda what: None
        self.saving = Saving(self.save_run)
        if resume:
            restore_run(self)
        self.course = Course(settings, self.stage_steps, self.progress)
        self.compiled = wants_compile(config, self.model.vocab_size, self.total_steps, self.device)
        if self.compiled:
            self.model.compile_blocks(ranks.rows_at_once(settings), config.model.context)
        self.objective = ranks.distribute(Objective(self.model, settings))
        # Compiled blocks are made for a number of threads.
        chooses = self.device.type == "cpu" and not settings.threads and not self.compiled
        self.threads = ThreadChooser(torch.get_num_threads()) if chooses else None

    @property
    def steps_per_epoch(self) -> list[int]:
        """Optimiser steps in an epoch of each stage."""
        return [math.ceil(rows / self.config.training.batch_size) for rows in self.rows.rows_per_epoch]

    @property
    def stage_steps(self) -> list[int]:
        """Optimiser steps in each stage, were none ended early."""
        return stage_steps(self.config, self.rows.rows_per_epoch)

    @property
    def total_steps(self) -> int:
        """Optimiser steps of the whole run, were no stage ended early."""
        return sum(self.stage_steps)

    def _stops(self) -> bool:
        """Whether the run ends now because one of the processes was asked to stop."""
        return self.ranks.any(self.stop_requested)

    def _stops_amid_step(self) -> bool:
        """Whether the step is thrown away; several processes, who exchange gradients, end together after a step."""
        return self.stop_requested and self.ranks.count == 1

    def _give_up(self) -> None:
        """Before each pass of the averaged model (validation, samples): raise Stopped when asked to stop."""
        if self._stops_amid_step():
            raise Stopped

    @property
    def run_path(self) -> Path:
        """The file that ``--resume`` reads."""
        return self.output / "checkpoints" / "last.pt"

    @property
    def best_path(self) -> Path:
        """The best checkpoint so far."""
        return self.output / "best_model.pt"

    @property
    def sample_settings(self) -> GenerationConfig:
        """How the text at the end of an epoch is written."""
        return uncontrolled(self.config.generation).as_drawn().model_copy(update={"num_samples": 1})

    def run(self) -> Iterator[Event]:
        """Train to the end, or until ``stop_requested``; the state is saved before the last event.

        Of a finished run there is only the last event. Raises DivergedError when a loss, a gradient norm, a validation
        or the weights are no finite numbers; nothing of that is saved.
        """
        ended_before = self.progress.finished
        while not self.progress.finished and not self._stops():
            with suppress(Stopped):
                yield from self._epoch()
        if not ended_before:
            self.tell("saving")
            self.save_run()
        self.ranks.wait()
        yield Finished(self.progress.step, not self.progress.finished, self.progress.best, self.best_path)

    def _epoch(self) -> Iterator[Event]:
        """The rest of the current epoch, then what is due at its end."""
        p = self.progress
        steps = self.steps_per_epoch[p.stage]
        epoch = (p.stage_step - (p.closing > 0)) // steps
        if not p.closing:
            yield from self._steps(epoch)
            if p.stage_step // steps == epoch and not self.course.stage_is_over():
                return
            p.closing = ALL_STEPS
        if not self._stops():
            yield from self._end_epoch(epoch + 1, self.course.stage_is_over())

    def _end_epoch(self, epoch: int, over: bool) -> Iterator[Event]:
        """What is due after ``epoch`` epochs of the stage; ``over``: its time, or the run's end, has come."""
        p, settings, course = self.progress, self.config.training, self.course
        stage, final = self.config.curriculum.stages[p.stage], p.stage == len(self.config.curriculum.stages) - 1
        over = over or (epoch >= stage.epochs and not course.stretches)
        ends = over and (final or course.place >= 1)
        due = (over or epoch % settings.eval_every_epochs == 0) and (ends or course.may_pause())
        began = course.now
        if due and p.closing < VALIDATED:
            self.tell("validating")
            validated = self.validate(epoch)
            p.closing = VALIDATED
            yield validated
        validating = course.now - began
        sampling = settings.sample_every_epochs and epoch % settings.sample_every_epochs == 0
        if sampling and p.closing < SAMPLED and not (ends and course.deadline):  # the last seconds are for saving
            self.tell("writing a sample")
            sampled = self._sample(epoch)
            p.closing = SAMPLED
            yield sampled
        rescore(self)
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
        if due:
            self.tell("saving")
            self.saving.when_due()
            course.paused(began)

    def _steps(self, epoch: int) -> Iterator[Event]:
        """The steps that are left of the epoch, up to a stop or the end of the run."""
        p, batch_size = self.progress, self.config.training.batch_size
        if due_to_write(self, epoch):
            self.tell("writing rows to learn from")
            self.written = self.ranks.agree(write_rows(self, epoch))
        rows = self.rows.epoch(p.stage, epoch, self.written)
        running = StepsInFlight(self.steps_in_flight)
        for start in range((p.stage_step % self.steps_per_epoch[p.stage]) * batch_size, len(rows), batch_size):
            batch = self.rows.take(rows, torch.arange(start, min(start + batch_size, len(rows))))
            try:
                running.add(self.train_step(batch, epoch))
            except Stopped:
                self.model.zero_grad(set_to_none=True)
                break
            if p.step % RELEASE_STEPS == 0:
                release_freed_memory()
            yield from map(self._choose_threads, self._checked(running.done()))
            if self._stops() or self.course.stage_is_over():
                break
        yield from self._checked(running.rest())

    def _choose_threads(self, step: StepDone) -> StepDone:
        """Take as many threads for the next step as the pace of the last ones advises."""
        if self.threads is not None and self.threads.add(step.seconds) != torch.get_num_threads():
            torch.set_num_threads(self.threads.threads)
        return step

    def _checked(self, steps: Iterator[StepDone]) -> Iterator[StepDone]:
        """The same events; raises DivergedError at the first whose figures are no finite numbers."""
        for event in steps:
            self._check_finite(event.loss, f"the loss of step {event.step}")
            self._check_finite(event.gradient_norm, f"the gradient norm of step {event.step}")
            yield event

    def _check_finite(self, value: float, what: str) -> None:
        if math.isfinite(value):
            return
        kept = ""
        if self.progress.best < math.inf:
            kept = f"; the best checkpoint so far is kept, and --from {self.best_path} starts from it"
        rates = rates_in_use(self.config.training)
        raise DivergedError(f"{what} is {value}, not a finite number: lower {rates} and train again{kept}")

    def train_step(self, batch: Rows, epoch: int) -> RunningStep:
        """One optimiser step on ``batch``, in micro-batches whose gradients add up to the whole batch's.

        On CUDA the step may still run when this returns. Raises Stopped, with a part of the gradients left, when the
        run is to stop between two micro-batches.
        """
        p, settings = self.progress, self.config.training
        began = time.perf_counter()
        self.model.train()
        torch.manual_seed(seed_for(settings.seed, *self.ranks.own(DROPOUT, p.step)))
        place = self.course.place
        scale = learning_rate_scale(settings, p.step, place, self.course.stage_place(place), p.stage)
        generator = generator_for(settings.seed, MASKS, p.step)
        masked, t = self.masker.draw(batch, mask_range(self.config.curriculum, p.stage, epoch), generator)
        if batch.controls is not None:
            numbers = generator_for(settings.seed, CONTROLS, p.step)
            batch = replace(batch, controls=drop_controls(batch.controls, settings.control_dropout, numbers))
        loss = add_gradients(self.objective, settings, batch, masked, t, self.ranks, self._stops_amid_step)
        norm = clip_gradients(list(self.model.parameters()), settings.gradient_clipping)
        self.optimizers.step(scale)
        # Early on the average forgets its random start sooner: decay min(d, (1 + n) / (10 + n)).
        update_average(self.average, self.model, min(settings.ema_decay, (1 + p.step) / (10 + p.step)))
        p.step += 1
        p.stage_step += 1
        stage, tokens = self.config.curriculum.stages[p.stage].name, int(batch.scorable.sum())
        done = StepDone(p.step, self.course.end, p.stage, stage, epoch + 1, math.nan, scale, math.nan, tokens, 0.0)
        return RunningStep(done, loss, norm, began)

    def validate(self, epoch: int) -> Validated:
        """Score the validation passages on fixed masks with the averaged weights; keep the best checkpoint."""
        p = self.progress
        bits = float(self.ranks.agree(torch.tensor(self.validation.bits_per_byte(self.average), dtype=torch.float64)))
        self._check_finite(bits, f"the validation after step {p.step}, in bits per byte,")
        best = bits < p.best
        p.since_best = 0 if best else p.since_best + 1
        if best:
            p.best = bits
            if self.ranks.first:
                self._save_best(epoch)
        return Validated(p.step, p.stage, epoch, bits, best)

    def _save_best(self, epoch: int) -> None:
        meta = {
            "data": self.data.identity,
            "source": self.data.source,
            "language": self.data.language,
            "step": self.progress.step,
            "stage": self.progress.stage,
            "epoch": epoch,
            "validation_bits_per_byte": self.progress.best,
        }
        weights = self.average.state_dict()
        save_checkpoint(self.best_path, Checkpoint(self.config, self.data.tokenizer, weights, meta))

    def _sample(self, epoch: int) -> Sampled:
        """Write one text with the averaged weights and keep it."""
        text = Writer(self.average, self.data.tokenizer).write("", self.sample_settings)[0].text
        path = self.output / "samples" / f"step_{self.progress.step:07d}.txt"
        if self.ranks.first:
            write_text(path, text + "\n")
        return Sampled(self.progress.step, text, path)

    def save_run(self) -> None:
        """Write all that ``--resume`` needs, whole or not at all; raises DivergedError for weights without bounds."""
        norm = torch.nn.utils.get_total_norm([parameter.detach() for parameter in self.model.parameters()])
        self._check_finite(float(norm), f"the norm of the weights after step {self.progress.step}")
        if self.ranks.first:
            save_plain(self.run_path, run_state(self))
