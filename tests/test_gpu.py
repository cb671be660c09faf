"""On a CUDA device: what a CPU learns and writes, without waiting for the device, in the memory that was foretold.

Off by default: ``pytest -m gpu``.
"""

import gc
from pathlib import Path

import pytest
import torch

from tiny_diffusion import runtime
from tiny_diffusion.config import GenerationConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.runtime import can_compile, find_device
from tiny_diffusion.sampling.denoise import SAMPLERS
from tiny_diffusion.training.events import StepDone
from tiny_diffusion.training.memory import estimate_memory
from tiny_diffusion.training.trainer import Trainer
from tiny_diffusion.writing.writer import Writer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
STEPS = 12
EXACT = {"training.precision": "float32", "model.dropout": 0.0, "training.compile": "off"}


def run_steps(trainer: Trainer, steps: int = STEPS) -> list[float]:
    """Losses of the first steps; on a GPU one more may be under way when the run is asked to stop."""
    found = []
    for event in trainer.run():
        if isinstance(event, StepDone):
            found.append(event.loss)
            trainer.stop_requested = len(found) >= steps
    return found


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"training.optimizer": "adamw", "training.masking_strategy": "span"},
        {"training.micro_batch_size": 3, "training.gradient_checkpointing": True, "model.controls": True},
        {"model.causal": True, "training.objective": "autoregressive"},
    ],
    ids=["muon", "adamw", "passes", "twin"],
)
def test_the_losses_are_a_cpus(tmp_path: Path, config: ProjectConfig, data: Processed, changes: dict) -> None:
    config = config.override(**EXACT).override(**changes)
    found = {
        device: run_steps(Trainer(config.override(**{"training.device": device}), data, tmp_path / device))
        for device in ("cpu", "cuda")
    }
    assert found["cuda"][:STEPS] == pytest.approx(found["cpu"][:STEPS], rel=2e-3)


def test_a_run_goes_on_where_it_stopped(tmp_path: Path, config: ProjectConfig, data: Processed) -> None:
    config = config.override(**EXACT, **{"training.device": "cuda"})
    whole = run_steps(Trainer(config, data, tmp_path / "whole"))
    parts = run_steps(Trainer(config, data, tmp_path / "parts"), STEPS // 2)
    rest = run_steps(Trainer(config, data, tmp_path / "parts", resume=True), STEPS - len(parts))
    assert (parts + rest)[:STEPS] == pytest.approx(whole[:STEPS], rel=1e-3)


@pytest.mark.parametrize("compiled", [False, True])
def test_no_step_waits_for_the_device(tmp_path: Path, config: ProjectConfig, data: Processed, compiled: bool) -> None:
    if compiled and not can_compile(torch.device("cuda")):
        pytest.skip("needs Triton and a C compiler")
    choice = {"training.device": "cuda", "training.compile": "on" if compiled else "off"}
    trainer = Trainer(config.override(**choice), data, tmp_path)
    batch = trainer.rows.epoch(0, 0).take(torch.arange(config.training.batch_size))
    for _ in range(2):  # memory is taken, code is compiled
        trainer.stepper.step(batch, 0)
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.stepper.step(batch, 0)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("changes", [{}, {"training.micro_batch_size": 4}, {"training.gradient_checkpointing": True}])
def test_memory_is_as_foretold(tmp_path: Path, data: Processed, changes: dict) -> None:
    config = ProjectConfig.cpu_30m().override(**changes, **{"training.device": "cuda", "training.compile": "off"})
    gc.collect()  # a trainer of an earlier test, which would be freed while this one is measured
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    trainer = Trainer(config, data, tmp_path)
    rows = trainer.rows.epoch(0, 0)
    for _ in range(2):
        trainer.stepper.step(rows.take(torch.arange(config.training.batch_size) % len(rows)), 0)
    peak = torch.cuda.max_memory_allocated() - before
    assert estimate_memory(config, trainer.model.vocab_size, device="cuda").total == pytest.approx(peak, rel=0.2)


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_texts_are_a_cpus(
    tmp_path: Path, config: ProjectConfig, data: Processed, sampler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "fast_bfloat16", lambda device: False)  # rounding would make other draws
    trainer = Trainer(config.override(**EXACT), data, tmp_path)
    run_steps(trainer)
    settings = GenerationConfig(sampler=sampler, length=48, steps=8, num_samples=2)
    found = {}
    for device in ("cpu", "cuda"):
        writer = Writer(trainer.average.to(device), data.tokenizer, None, data.language)
        found[device] = [
            *(text.text for text in writer.write("The old", settings)),
            *(text.text for text in writer.infill("The old ___ went to ___.", settings)),
            *(text.text for text in writer.rewrite("The old miller went home.", settings)),
        ]
    same = sum(a == b for a, b in zip(found["cpu"], found["cuda"], strict=True))
    assert same >= len(found["cpu"]) - 1, found  # a draw at the very edge of two tokens may fall otherwise


def test_the_validation_is_a_cpus(tmp_path: Path, config: ProjectConfig, data: Processed) -> None:
    trainer = Trainer(config.override(**EXACT), data, tmp_path)
    run_steps(trainer)
    found = [trainer.validation.bits_per_byte(trainer.average.to(device), 0) for device in ("cpu", "cuda")]
    assert found[0] == pytest.approx(found[1], rel=1e-3)


def test_the_device_is_found() -> None:
    assert find_device("auto").type == "cuda"
