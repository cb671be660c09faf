"""The memory estimate: what it counts, how near it is to the measured peak, and the runs that it refuses."""

import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tiny_diffusion import allocator
from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.errors import UserError, WorldError
from tiny_diffusion.training import memory
from tiny_diffusion.training.memory import MemoryEstimate, check_memory, estimate_memory
from tiny_diffusion.training.trainer import Trainer


def test_memory_counts_what_the_settings_say() -> None:
    base = ProjectConfig.cpu_10m()
    count = base.model.parameters(base.vocab_size)
    estimate = estimate_memory(base, base.vocab_size)
    assert estimate.parameters == estimate.gradients == estimate.ema == 4 * count
    assert 4 * count < estimate.optimizer < 8 * count
    adamw = base.override(**{"training.optimizer": "adamw"})
    assert estimate_memory(adamw, base.vocab_size).optimizer == 8 * count


def test_memory_falls_with_checkpointing_small_passes_and_bfloat16() -> None:
    base = ProjectConfig.default()

    def activations(**changes: Any) -> int:
        changed = base.override(**{key.replace("__", "."): value for key, value in changes.items()})
        return estimate_memory(changed, base.vocab_size).activations

    plain = activations()
    assert activations(training__gradient_checkpointing=True) < 0.5 * plain
    assert activations(training__micro_batch_size=4) < plain / 4
    assert activations(training__precision="bfloat16") < plain
    on_gpu = estimate_memory(base, base.vocab_size, device="cuda").activations
    assert on_gpu < activations(training__precision="bfloat16")  # less is wasted


def test_a_row_of_a_dual_model_holds_one_token_more() -> None:
    base = ProjectConfig.cpu_2m()
    plain, dual = (
        base.override(**{"training.objective": objective, "model.context": base.model.context - bos})
        for objective, bos in (("diffusion", 0), ("dual", 1))
    )
    both = [estimate_memory(config, base.vocab_size, device="cuda").activations for config in (plain, dual)]
    assert both[0] == both[1]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the benchmark reads /proc")
def test_the_memory_estimate_is_within_a_fifth_of_the_measured_peak() -> None:
    benchmark = Path(__file__).parents[2] / "benchmarks" / "memory.py"
    printed = subprocess.run([sys.executable, benchmark], check=True, capture_output=True, text=True).stdout
    ratios = [float(line.split()[-1]) for line in printed.splitlines()[1:]]
    assert len(ratios) >= 3 and all(0.8 <= ratio <= 1.2 for ratio in ratios), printed


def test_a_run_that_cannot_fit_is_refused() -> None:
    project = ProjectConfig.memory_efficient()
    assert estimate_memory(project, project.vocab_size, device="cuda").process <= 8 * 10**9
    assert estimate_memory(project, project.vocab_size, device="mps").process > 10**9
    larger = project.override(**{"training.micro_batch_size": 32, "training.gradient_checkpointing": False})
    with pytest.raises(UserError, match="training.batch_size=32 and training.micro_batch_size=32"):
        check_memory(larger, larger.vocab_size, device="cuda")
    with pytest.raises(UserError, match="below the estimated"):
        check_memory(project, 10**7)
    check_memory(ProjectConfig.default(), 10**7)


def test_a_run_above_the_limit_does_not_start(tmp_path: Path, config: ProjectConfig, data: Processed) -> None:
    with pytest.raises(UserError, match="training.memory_limit_gb=0.001 is below the estimated"):
        Trainer(config.override(**{"training.memory_limit_gb": 0.001}), data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="limits of the address space are read on Linux only")
def test_a_run_that_a_limit_leaves_too_little_for_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    project = ProjectConfig.cpu_10m()
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = taken + allocator.SCRATCH + 200_000_000  # enough for the kernels, and for a smaller run
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    memory._check_limit.cache_clear()
    with pytest.raises(WorldError, match=r"this run .* need 1\.\d\d GB; raise the limit"):
        check_memory(project, project.vocab_size)
    check_memory(project, project.vocab_size, device="cuda")
    check_memory(ProjectConfig.smoke(), 512)


def test_processes_share_the_rows() -> None:
    config = ProjectConfig.cpu_10m()  # batches of 16

    def estimate(micro: int, processes: int) -> MemoryEstimate:
        changed = config.override(**{"training.micro_batch_size": micro})
        return estimate_memory(changed, config.vocab_size, processes=processes)

    halves = config.override(**{"training.batch_size": 8})
    assert estimate(0, 2) == estimate_memory(halves, config.vocab_size)
    assert estimate(4, 2) == estimate(4, 1)  # gradients are exchanged where they are
    assert estimate(0, 20).activations == estimate(1, 1).activations
