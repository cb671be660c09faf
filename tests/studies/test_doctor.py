"""The problems that the doctor finds, each with a remedy, and what it prints."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.cli.running import run
from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.studies import doctor, reproduce
from tiny_diffusion.studies.doctor import Need, presets_here, problems
from tiny_diffusion.studies.machine import Machine, Peaks, look, measure_peaks, read_memory

FINE = Machine(
    system="Linux", processor="a processor", cores=4, threads=4, load=0.2, memory=16_000_000_000,
    memory_free=14_000_000_000, disk_free=50_000_000_000, device="cpu", gpu=None, gpu_memory=None,
    gpu_memory_free=None, torch="2", bfloat16=True, compiles=True, matmul_precision="highest", variables={},
)  # fmt: skip
PEAKS = Peaks(float32=2e11, bfloat16=8e11, bandwidth=2e10)
NEEDS = [Need("cpu_2m", 2_000_000, 700_000_000, 900.0, True), Need("default", 125_000_000, 13_000_000_000, 9e6, False)]


def test_a_good_machine_has_nothing_wrong() -> None:
    assert problems(FINE, PEAKS, NEEDS[:1]) == []


@pytest.mark.parametrize(
    ("change", "what", "remedy"),
    [
        ({"compiles": False}, "no C++ compiler", "install"),
        ({"threads": 8}, "8 threads on 4 cores", "--training.threads 4"),
        ({"threads": 1, "variables": {"OMP_NUM_THREADS": "1"}}, "1 of 4 cores (OMP_NUM_THREADS=1)", "threads 4"),
        ({"variables": {"OPENBLAS_NUM_THREADS": "64"}}, "OPENBLAS_NUM_THREADS=64 is above the 4 cores", "unset"),
        ({"variables": {"OMP_WAIT_POLICY": "ACTIVE"}}, "OMP_WAIT_POLICY=ACTIVE", "unset OMP_WAIT_POLICY"),
        ({"variables": {"OMP_PROC_BIND": "true"}}, "OMP_PROC_BIND=true", "unset OMP_PROC_BIND"),
        ({"bfloat16": False}, "no bfloat16", "--training.precision"),
        ({"load": 6.0}, "load 6.0 on 4 cores", "close"),
        ({"disk_free": 500_000_000}, "0.5 GB are free on the disk", "free some space"),
        ({"memory_free": 8_000_000_000}, "(8.0 GB) for default", "smaller preset"),
    ],
)  # fmt: skip
def test_each_problem_is_found_with_what_to_do(change: dict, what: str, remedy: str) -> None:
    (found,) = problems(replace(FINE, **change), PEAKS, NEEDS)
    assert what in found.what and remedy in found.remedy


def test_a_gpus_memory_counts_where_there_is_one() -> None:
    gpu = replace(FINE, gpu="a card", gpu_memory=8_000_000_000, gpu_memory_free=7_000_000_000, threads=1)
    (found,) = problems(gpu, PEAKS, NEEDS)
    assert "(7.0 GB) for default" in found.what


def test_looking_at_this_machine(tmp_path: Path) -> None:
    machine = look(tmp_path / "not" / "there")
    assert machine.cores >= 1 and machine.threads == torch.get_num_threads() and machine.disk_free > 0
    total, free = read_memory()
    assert machine.memory == total and (free is None or (total is not None and 0 < free <= total))


def test_products_are_measured_small_where_bfloat16_is_emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    randn = torch.randn
    monkeypatch.setattr(torch, "randn", lambda *size, **more: (sizes.append(size[0]), randn(*size, **more))[1])
    monkeypatch.setattr("tiny_diffusion.studies.machine.fast_bfloat16", lambda device: False)
    peaks = measure_peaks(torch.device("cpu"))
    assert sizes == [1024, 256] and min(peaks.float32, peaks.bfloat16, peaks.bandwidth) > 0


def test_presets_are_timed_while_that_is_quick(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, config: ProjectConfig, data: Processed
) -> None:
    monkeypatch.setattr(
        ProjectConfig, "preset", lambda name: config if name == "cpu_1m" else getattr(ProjectConfig, name)()
    )
    monkeypatch.setattr(doctor, "SECONDS", 0.01)
    monkeypatch.setattr(doctor, "AFFORDABLE", 0.0)
    needs = {need.preset: need for need in presets_here(FINE, data, 100_000, tmp_path)}
    assert needs["cpu_1m"].measured and sum(need.measured for need in needs.values()) == 1
    assert needs["cpu_2m"].seconds < needs["cpu_10m"].seconds < needs["cpu_30m"].seconds < needs["default"].seconds
    assert needs["cpu_2m"].memory < needs["default"].memory and not {"smoke", "debug"} & set(needs)
    work: list[float] = []
    monkeypatch.setattr(doctor, "training_flops", lambda config, vocab, tokens: work.append(tokens) or 1.0)
    for tokens in (100_000, 200_000):  # no figure of a clock
        list(presets_here(FINE, data, tokens, tmp_path))
    runs = [each for each in work if each > 1000]  # the others are of one row
    half = len(runs) // 2
    assert half and runs[half:] == [2 * each for each in runs[:half]]


@pytest.mark.long
def test_the_command_prints_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "SECONDS", 0.01)
    monkeypatch.setattr(doctor, "AFFORDABLE", 0.0)
    found = json.loads(run(tmp_path, "doctor", "--json").stdout)
    assert set(found) == {"machine", "peaks", "book", "presets", "problems"}
    assert found["book"] == "a book of 100,000 tokens" and found["presets"][0]["measured"]


def test_runs_are_reproduced_to_the_bit(tmp_path: Path, data: Processed, monkeypatch: pytest.MonkeyPatch) -> None:
    found = list(reproduce.compare_runs(data, tmp_path))
    assert [each.equal for each in found if each.promised] == [True, True] and len(found) == 3
    monkeypatch.setattr(reproduce, "_run", lambda data, output, **_: [output.name == "parts"])
    assert [each.equal for each in reproduce.compare_runs(data, tmp_path)] == [True, False, True]
