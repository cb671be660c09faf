"""The training loop: a generator of events, resumable to the bit.

Every random draw comes from (seed, purpose, step), so the state of a run is its weights, averages, optimiser
state and counters, and nothing else.
"""

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from ..allocator import keep_freed_memory, release_freed_memory
from ..checkpoint import Checkpoint, new_model, save_checkpoint, save_plain
from ..config import GenerationConfig, ProjectConfig
from ..config.controls import uncontrolled
from ..config.memory import check_memory
from ..data.artefacts import Processed
from ..data.tokenizer import NUM_RESERVED
from ..files import write_text
from ..runtime import find_device, generator_for, seed_for
from ..sampling.writer import Writer
from .batches import StageRows
from .compiling import wants_compile
from .control_labels import drop_controls
from .course import Course
from .events import CoolingDown, Event, Finished, Sampled, StageEnded, StepDone, Validated
from .format_datasets import Rows
from .masking import Masker
from .objective import Objective, add_gradients
from .optimizers import clip_gradients, make_optimizers, update_average
from .ranks import ALONE, Ranks
from .run_state import Progress, restore_run, run_state
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

    The best checkpoint is written when it is found, the state for ``resume`` when due (see ``Saving``) and at the end.
    """

    def __init__(
        self, config: ProjectConfig, data: Processed, output: Path, *, resume: bool = False, ranks: Ranks = ALONE
    ) -> None:
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
        self.model = new_model(config, data.tokenizer).to(self.device)
        self.model.gradient_checkpointing = settings.gradient_checkpointing
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.optimizers = make_optimizers(self.model, settings)
        self.rows = StageRows(config, data)
        # On CUDA a step's figures are read while the next one runs, so that the GPU never waits for the host.
        self.steps_in_flight = 1 if self.device.type == "cuda" else 0
        self.masker = Masker(settings, config.curriculum.full_range_share, data.tokenizer, self.model.vocab_size)
        self.validation = Validation(config, data, ranks.rows(settings.batch_size))
        self.progress = Progress(line=Line(self.total_steps))
        self.written: Tensor | None = None
        self.stop_requested = False
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
        """Train to the end, or until ``stop_requested``; the state is saved before the last event."""
        while not self.progress.finished and not self._stops():
            yield from self._epoch()
        self.save_run()
        self.ranks.wait()
        yield Finished(self.progress.step, not self.progress.finished, self.progress.best, self.best_path)

    def _epoch(self) -> Iterator[Event]:
        """The rest of the current epoch, then what is due at its end."""
        p, settings = self.progress, self.config.training
        steps = self.steps_per_epoch[p.stage]
        epoch = p.stage_step // steps
        if due_to_write(self, epoch):
            self.written = self.ranks.agree(write_rows(self, epoch))
        rows = self.rows.epoch(p.stage, epoch, self.written)
        running, over = StepsInFlight(self.steps_in_flight), False
        for start in range((p.stage_step % steps) * settings.batch_size, len(rows), settings.batch_size):
            batch = self.rows.take(rows, torch.arange(start, min(start + settings.batch_size, len(rows))))
            running.add(self.train_step(batch, epoch))
            if p.step % RELEASE_STEPS == 0:
                release_freed_memory()
            yield from map(self._choose_threads, running.done())
            over = self.course.stage_is_over()
            if over or self._stops():
                break
        yield from running.rest()
        if p.stage_step % steps == 0 or over:
            yield from self._end_epoch(epoch + 1, over)

    def _choose_threads(self, step: StepDone) -> StepDone:
        """Take as many threads for the next step as the pace of the last ones advises."""
        if self.threads is not None and self.threads.add(step.seconds) != torch.get_num_threads():
            torch.set_num_threads(self.threads.threads)
        return step

    def _end_epoch(self, epoch: int, over: bool) -> Iterator[Event]:
        """What is due after ``epoch`` epochs of the stage; ``over``: its time, or the run's end, has come."""
        p, settings, course = self.progress, self.config.training, self.course
        stage, final = self.config.curriculum.stages[p.stage], p.stage == len(self.config.curriculum.stages) - 1
        over = over or (epoch >= stage.epochs and not course.stretches)
        ends = over and (final or course.place >= 1)
        due = over or epoch % settings.eval_every_epochs == 0
        early, due = False, due and (ends or course.may_pause())
        if due:
            began = course.now
            yield self.validate(epoch)
            early = 0 < settings.early_stopping_patience <= p.since_best and not (ends or p.cooling)
        rescore(self)
        if early:
            left = course.stop_early(final)
            over = not p.cooling
            if p.cooling:
                yield CoolingDown(p.step, left)
        if over:
            yield StageEnded(p.stage, stage.name, early or p.cooling)
            p.finished = ends or final
            p.stage, p.stage_step, p.since_best = p.stage + 1, 0, 0
        if due:
            self.saving.when_due()
            course.paused(began)
        timely = not (ends and course.deadline)  # the last seconds are for the checkpoint
        if settings.sample_every_epochs and epoch % settings.sample_every_epochs == 0 and timely:
            yield self._sample(epoch)

    def train_step(self, batch: Rows, epoch: int) -> RunningStep:
        """One optimiser step on ``batch``, in micro-batches whose gradients add up to the whole batch's.

        On CUDA the step may still run when this returns.
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
        loss = add_gradients(self.objective, settings, batch, masked, t, self.ranks)
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
        """Write all that ``--resume`` needs, whole or not at all."""
        if self.ranks.first:
            save_plain(self.run_path, run_state(self))
