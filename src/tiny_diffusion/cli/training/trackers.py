"""Programs that draw a run while it goes on: TensorBoard, Weights & Biases, MLflow. Each is an extra.

A tracker gets the figures of ``logs/metrics.jsonl``: losses, validations and samples, and also the settings.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...config import ProjectConfig, TrainingConfig
from ...config.overrides import flatten
from ...errors import UserError, WorldError

if TYPE_CHECKING:
    from ...training.events import Event, Finished

PROJECT = "tiny-diffusion"
BEST = "best_bits_per_byte"


class TensorBoard:
    """Event files in the folder ``tensorboard`` of the run; what a run repeats ``after`` a step is shown once."""

    def __init__(self, output: Path, settings: dict[str, Any], after: int | None = None) -> None:
        from torch.utils.tensorboard import SummaryWriter

        purge = None if after is None else after + 1
        folder = output / "tensorboard"
        self._settings = settings
        self._others = threading.excepthook
        threading.excepthook = self._of_thread
        with _write_errors():
            _keep_order(folder)
            self._writer: Any = SummaryWriter(str(folder), purge_step=purge)

    def _of_thread(self, given: threading.ExceptHookArgs) -> None:
        """What fails in the writer's own thread is raised again by its next call: a traceback would tell it twice."""
        if not issubclass(given.exc_type, OSError):
            self._others(given)

    def scalar(self, name: str, value: float, step: int) -> None:
        """Note a figure."""
        with _write_errors():
            self._writer.add_scalar(name, value, step)
            self._writer.flush()  # a saved state must have all its steps behind it

    def text(self, text: str, step: int) -> None:
        """Note a sample."""
        with _write_errors():
            self._writer.add_text("sample", text, step)

    def close(self, end: "Finished | None") -> None:
        """End the run; with its ``end``, the tab of hyper-parameters compares it with others."""
        with _write_errors():
            if end is not None:
                self._tell_settings(end)
            self._writer.close()
        threading.excepthook = self._others

    def _tell_settings(self, end: "Finished") -> None:
        """The writer's own ``add_hparams`` takes a new file, which would not follow if the clock was set back."""
        from torch.utils.tensorboard.summary import hparams

        for part in hparams(self._settings, {BEST: end.best_bits_per_byte}):
            self._writer.file_writer.add_summary(part, end.step)
        self._writer.add_scalar(BEST, end.best_bits_per_byte, end.step)


@contextmanager
def _write_errors() -> Iterator[None]:
    """Raise WorldError where TensorBoard's files cannot be written, or were removed."""
    try:
        yield
    except OSError as error:
        raise WorldError(f"cannot write TensorBoard's files: {error.strerror or error}") from error


def _keep_order(folder: Path) -> None:
    """Rename event files that a new one would not follow, because the clock was set back since they began.

    TensorBoard reads files in the order of the seconds in their names, and forgets what a later file repeats.
    """
    now = int(time.time())
    for age, path in enumerate(sorted(folder.glob("events.out.tfevents.*"), reverse=True), 1):
        began, rest = path.name.removeprefix("events.out.tfevents.").split(".", 1)
        if int(began) > now - age:
            path.rename(path.with_name(f"events.out.tfevents.{now - age:010d}.{rest}"))


class WeightsAndBiases:
    """A run of Weights & Biases; ``WANDB_MODE=offline`` keeps it on this machine, in the folder of the run."""

    def __init__(self, output: Path, settings: dict[str, Any]) -> None:
        import wandb

        self._html = wandb.Html
        try:
            self._run: Any = wandb.init(project=PROJECT, name=output.resolve().name, dir=str(output), config=settings)
        except wandb.errors.Error as error:
            raise WorldError(f"wandb: {error}; WANDB_MODE=offline keeps the run on this machine") from error

    def scalar(self, name: str, value: float, step: int) -> None:
        """Note a figure."""
        self._run.log({name: value}, step=step)

    def text(self, text: str, step: int) -> None:
        """Note a sample."""
        self._run.log({"sample": self._html(f"<pre>{escape(text)}</pre>")}, step=step)

    def close(self, end: "Finished | None") -> None:
        """End the run."""
        if end is not None:
            self._run.summary[BEST] = end.best_bits_per_byte
        self._run.finish()


class MLflow:
    """A run of MLflow, where ``MLFLOW_TRACKING_URI`` says."""

    def __init__(self, output: Path, settings: dict[str, Any]) -> None:
        import mlflow

        self._mlflow: Any = mlflow
        try:
            mlflow.set_experiment(PROJECT)
            mlflow.start_run(run_name=output.resolve().name)
            mlflow.log_params({_plain(name): value for name, value in settings.items()})
        except mlflow.exceptions.MlflowException as error:
            raise WorldError(f"mlflow: {error}") from error

    def scalar(self, name: str, value: float, step: int) -> None:
        """Note a figure."""
        self._mlflow.log_metric(name, value, step=step)

    def text(self, text: str, step: int) -> None:
        """Note a sample."""
        self._mlflow.log_text(text, f"samples/step-{step}.txt")

    def close(self, end: "Finished | None") -> None:
        """End the run."""
        if end is not None:
            self._mlflow.log_metric(BEST, end.best_bits_per_byte)
        self._mlflow.end_run()


Tracker = TensorBoard | WeightsAndBiases | MLflow
TRACKERS: dict[str, type[Tracker]] = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases, "mlflow": MLflow}


def check_trackers(training: TrainingConfig) -> None:
    """Raise UserError if the library of a tracker that ``training`` asks for is missing. For a check before work."""
    for name in _wanted(training):
        if find_spec(name) is None:
            how = "tensorboard=true" if name == "tensorboard" else f"tracker={name}"
            raise UserError(f"training.{how} needs a library: pip install {name}")


class Trackers:
    """All trackers that a run's settings ask for; leaving the context ends their runs.

    Raises WorldError if the server of one does not answer.
    """

    def __init__(self, output: Path, config: ProjectConfig, after: int | None = None) -> None:
        """``after``: the step of the saved state from which the run goes on; None for a new run."""
        settings = _settings(config)
        self._open: list[Tracker] = [
            TensorBoard(output, settings, after) if name == "tensorboard" else TRACKERS[name](output, settings)
            for name in _wanted(config.training)
        ]
        self._end: Finished | None = None

    def __enter__(self) -> "Trackers":
        return self

    def __exit__(self, *_: object) -> None:
        for tracker in self._open:
            tracker.close(self._end)

    def write(self, event: "Event") -> None:
        """Pass an event on."""
        from ...training.events import Finished, Sampled, StepDone, Validated

        for tracker in self._open:
            if isinstance(event, StepDone):
                tracker.scalar("train/loss", event.loss, event.step)
                tracker.scalar("train/learning_rate_scale", event.scale, event.step)
                tracker.scalar("train/gradient_norm", event.gradient_norm, event.step)
            elif isinstance(event, Validated):
                tracker.scalar("validation/bits_per_byte", event.bits_per_byte, event.step)
            elif isinstance(event, Sampled):
                tracker.text(event.text, event.step)
        if isinstance(event, Finished) and not event.interrupted:
            self._end = event


def complete_table(output: Path, config: ProjectConfig, end: "Finished") -> bool:
    """Give TensorBoard's table of settings the result of a run that is finished; return whether that was missing.

    Weights & Biases and MLflow count each start as a run of its own, so theirs cannot be completed.
    """
    if not config.training.tensorboard or _in_table(output / "tensorboard", end.step):
        return False
    TensorBoard(output, _settings(config), end.step).close(end)
    return True


def _in_table(folder: Path, step: int) -> bool:
    """Whether a run's files of TensorBoard hold its result at its last ``step``, which is the last that they get."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    files = sorted(folder.glob("events.out.tfevents.*"), reverse=True)
    events = (event for path in files for event in EventFileLoader(str(path)).Load())
    return any(value.tag == BEST for event in events if event.step == step for value in event.summary.value)


def _settings(config: ProjectConfig) -> dict[str, Any]:
    """All settings, as numbers and text."""
    settings = flatten(config.to_dict())
    return {key: value if isinstance(value, int | float | str) else str(value) for key, value in settings.items()}


def _wanted(training: TrainingConfig) -> list[str]:
    return ["tensorboard"] * training.tensorboard + [training.tracker] * (training.tracker != "none")


def _plain(name: str) -> str:
    return name.replace("[", ".").replace("]", "")
