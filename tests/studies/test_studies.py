"""Studies: runs are found by their settings and resumed exactly; compared runs differ only in what is compared."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

import pytest

from tiny_diffusion.checkpoint import load_checkpoint
from tiny_diffusion.config import ProjectConfig, StudyConfig
from tiny_diffusion.config.evaluation_config import SCORING
from tiny_diffusion.config.study_config import Schedule
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.errors import UserError
from tiny_diffusion.evaluation.likelihood.bound import Likelihood
from tiny_diffusion.evaluation.seeds import paired, seeds_note, spread
from tiny_diffusion.model.flops import critical_flops
from tiny_diffusion.studies.ablation import ablation_plan, ablation_rows, ablation_runs, budget
from tiny_diffusion.studies.compare import compare_plan, crossover, diffusion_run, size_result
from tiny_diffusion.studies.plan import Lengths, RunDone, RunStarted, distinct, execute, speed
from tiny_diffusion.studies.plots import draw_compare
from tiny_diffusion.studies.runs import Interrupted, Point, Run, RunResult, Scoring, Store, study_run
from tiny_diffusion.studies.settings import fitted, plain, schedules
from tiny_diffusion.studies.tables import (
    Table,
    ablation_table,
    compare_lines,
    compare_table,
    edge_lines,
    twin_seeds_table,
    twin_table,
    write_study,
)
from tiny_diffusion.studies.twin import (
    Setting,
    best_of,
    equal_run,
    over_seeds,
    publish,
    steps_within,
    sweep_runs,
    twin_plan,
    twin_run,
    winner,
)
from tiny_diffusion.training.events import StepDone
from tiny_diffusion.training.trainer import Trainer


@pytest.fixture(scope="module")
def base(config: ProjectConfig) -> ProjectConfig:
    few = {"draws": 2, "bootstrap": 100, "windows": 20}
    shape = {"model.n_layers": 1, "model.d_ff": 32, "training.batch_size": 32, "training.validation_draws": 1}
    return config.override(evaluation=few, **shape)


@pytest.fixture(scope="module")
def lengths(data: Processed) -> Lengths:
    return Lengths(data)


def finish(store: Store, runs: list[Run]) -> list[Any]:
    return list(execute(lambda find: runs, store))


def made_up(bits: Callable[[Run], float]) -> Callable[[Run], RunResult]:
    """A lookup that returns all results without training."""

    def find(run: Run) -> RunResult:
        test = Likelihood(run.label, bits(run) + 0.1, bits(run), bits(run) + 0.2, 9.0, 9.0, [])
        best = Point(7, 3, bits(run), 1e9)
        return RunResult(7, 3, 1000, 2000, 1e9, 2.0, (best,), best, test, Path("none"))

    return find


# One run


def test_a_finished_run_is_found_again_by_its_settings(tmp_path: Path, base: ProjectConfig, data: Processed) -> None:
    store, run = Store(tmp_path, data, base.evaluation), study_run("a", plain(base, 2, 0))
    assert store.find(run) is None
    events = finish(store, [run])
    steps = [e for e in events if isinstance(e, StepDone)]
    result = store.find(run)
    assert result is not None and result == events[-1].result
    assert (result.steps, result.epochs) == (len(steps), 2)
    assert result.tokens == sum(e.tokens for e in steps) and result.seconds == sum(e.seconds for e in steps)
    checkpoint = load_checkpoint(result.checkpoint)
    assert checkpoint.meta["validation_bits_per_byte"] == result.best.bits_per_byte
    assert [p.epoch for p in result.curve] == [1, 2] and result.curve[-1].flops == result.flops
    assert not (store.folder(run) / "checkpoints" / "last.pt").exists()
    # Another store reads the same figures from the files and trains nothing.
    again = Store(tmp_path, data, base.evaluation)
    assert again.find(run) == result and finish(again, [run]) == []


def test_what_moves_the_result_is_in_the_key_and_nothing_else(base: ProjectConfig, data: Processed) -> None:
    store = Store(Path("runs"), data, base.evaluation)
    key = store.key(study_run("a", base))
    for same in (
        {"training.threads": 2},
        {"evaluation.draws": 3},
        {"study.seeds": 9},
        {"training.tensorboard": True},
        {"generation.steps": 9},
    ):
        assert store.key(study_run("other label", base.override(**same))) == key
    for other in (
        {"training.seed": 1},
        {"model.dropout": 0.5},
        {"training.max_steps": 3},
        {"curriculum.stages[0].epochs": 7},
    ):
        assert store.key(study_run("a", base.override(**other))) != key
    learning = {"training.self_training_share": 0.1}  # from its own texts, which the generation settings determine
    own = store.key(study_run("a", base.override(**learning)))
    assert store.key(study_run("a", base.override(**learning, **{"generation.steps": 9}))) != own != key
    assert (
        Store(Path("runs"), replace(data, identity="another", book_identity="another"), base.evaluation).key(
            study_run("a", base)
        )
        != key
    )


def test_other_scoring_scores_again_without_training(tmp_path: Path, base: ProjectConfig, data: Processed) -> None:
    run = study_run("a", plain(base, 1, 0))
    store = Store(tmp_path, data, base.evaluation)
    finish(store, [run])
    closer = Store(tmp_path, data, base.evaluation.model_copy(update={"draws": 5}))
    assert closer.find(run) is None
    events = finish(closer, [run])
    assert [type(e) for e in events] == [RunStarted, Scoring, RunDone]
    first, second = store.find(run), closer.find(run)
    assert first is not None and second is not None
    assert first.curve == second.curve and first.test.bits_per_byte != second.test.bits_per_byte


@pytest.mark.parametrize("stop", [1, 5, 8])
def test_an_interrupted_run_comes_to_the_same_numbers(
    tmp_path: Path, base: ProjectConfig, data: Processed, stop: int
) -> None:
    run = study_run("a", plain(base, 3, 0))
    whole = Store(tmp_path / "whole", data, base.evaluation)
    finish(whole, [run])
    parts = Store(tmp_path / "parts", data, base.evaluation)
    with pytest.raises(Interrupted):
        for event in execute(lambda find: [run], parts):
            parts.stop_requested = isinstance(event, StepDone) and event.step == stop or parts.stop_requested
    assert parts.find(run) is None
    # A crash after the state was saved leaves rows of steps that will be repeated, and half a line.
    log = parts.folder(run) / "logs" / "metrics.jsonl"
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"event": "StepDone", "step": stop + 1, "tokens": 10**9, "seconds": 1.0}) + '\n{"eve')
    parts = Store(tmp_path / "parts", data, base.evaluation)
    finish(parts, [run])
    a, b = whole.find(run), parts.find(run)
    assert a is not None and b is not None
    same = ("steps", "epochs", "tokens", "parameters", "flops", "curve", "best", "test")
    assert {k: getattr(a, k) for k in same} == {k: getattr(b, k) for k in same}


def test_damaged_records_are_told(tmp_path: Path, base: ProjectConfig, data: Processed) -> None:
    run = study_run("a", plain(base, 1, 0))
    store = Store(tmp_path, data, base.evaluation)
    finish(store, [run])
    result = store.folder(run) / "result.json"
    for text in ("{", json.dumps(json.loads(result.read_text()) | {"trained": {"curve": []}})):
        result.write_text(text)
        with pytest.raises(UserError, match="damaged"):
            Store(tmp_path, data, base.evaluation).find(run)
    result.unlink()
    Trainer(run.config, data, store.folder(run)).save_run()
    (store.folder(run) / "logs" / "metrics.jsonl").unlink()
    with pytest.raises(UserError, match="incomplete"):
        finish(Store(tmp_path, data, base.evaluation), [run])


def test_a_plan_is_followed_and_left_at_any_run(tmp_path: Path, base: ProjectConfig, data: Processed) -> None:
    runs = [study_run(f"seed {s}", plain(base, 1, s)) for s in range(3)]
    runs.append(study_run("the first again", runs[0].config))
    store = Store(tmp_path, data, base.evaluation)
    with pytest.raises(Interrupted):
        for event in execute(lambda find: runs, store):
            store.stop_requested = isinstance(event, RunDone)
    started = [e for e in finish(Store(tmp_path, data, base.evaluation), runs) if isinstance(e, RunStarted)]
    assert [(e.index, len(e.runs), e.run.label) for e in started] == [(2, 3, "seed 1"), (3, 3, "seed 2")]
    assert [r.label for r in distinct(runs, store)] == ["seed 0", "seed 1", "seed 2"]


def test_steps_and_speed_are_known_before(
    tmp_path: Path, base: ProjectConfig, data: Processed, lengths: Lengths
) -> None:
    for config in (base, plain(base, 2, 0), base.override(**{"training.max_steps": 5})):
        trainer = Trainer(config, data, tmp_path)
        assert lengths.steps(config) == trainer.total_steps
        assert lengths.steps_per_epoch(config) == trainer.state.steps_per_epoch
    run, store = study_run("a", plain(base, 1, 0)), Store(tmp_path, data, base.evaluation)
    assert lengths.work(run, store) > lengths.flops(run.config, lengths.steps(run.config))
    assert speed([run], store) > 0
    finish(store, [run])
    result = store.find(run)
    assert result is not None and speed([run], store) == result.flops / result.seconds


# The twin


def test_the_twin_differs_in_its_objective_and_its_sweep_alone(base: ProjectConfig) -> None:
    twin = twin_run(base, Setting(0.25, 0.75, 9), 3).config
    changes = twin.differences(diffusion_run(base, 9, 3).config)
    assert {key: now for key, (now, _) in changes.items()} == {
        "training.objective": "autoregressive",
        "model.causal": True,
        "model.dropout": 0.25,
        "training.weight_decay": 0.75,
    }
    often = diffusion_run(base.override(**{"training.eval_every_epochs": 5}), 9, 3).config
    assert set(twin.differences(often)) == {*changes, "training.eval_every_epochs"}


def test_the_sweep_names_its_winner_and_the_plan_follows_it(base: ProjectConfig, lengths: Lengths) -> None:
    grid = {"twin_epochs": [6, 12], "twin_dropouts": [0.1, 0.2], "twin_weight_decays": [0.3, 0.4]}
    base = base.override(study={**grid, "seeds": 2})
    sweep = sweep_runs(base)
    assert len(sweep) == 8 and winner(base, lambda run: None) == Setting(0.1, 0.3, 6)

    def bits(run: Run) -> float:
        settings = run.config.model.dropout, run.config.training.weight_decay, run.config.curriculum.epochs
        return 1.0 if settings == (0.2, 0.3, 12) else 2.0

    find = made_up(bits)
    assert winner(base, find) == Setting(0.2, 0.3, 12)
    later = twin_plan(base, 100, lengths, find)[8:]
    assert {(r.config.model.dropout, r.config.training.weight_decay) for r in later} == {(0.2, 0.3)}
    assert [r.config.training.seed for r in later] == [0, 0, 1, 1]
    assert len(twin_plan(base, 100, lengths, find)) == len(twin_plan(base, 100, lengths, lambda run: None))
    largest, smallest = Setting(0.2, 0.4, 12), Setting(0.1, 0.3, 6)
    assert [line.split(",")[0] for line in edge_lines(base, largest)] == [
        f"study.{name}: the largest value tried" for name in ("twin_dropouts", "twin_weight_decays", "twin_epochs")
    ]
    assert sum("smaller one" in line for line in edge_lines(base, smallest)) == 3
    inner = base.override(study={"twin_epochs": [6, 12, 24], "twin_dropouts": [0.0, 0.2], "twin_weight_decays": [0.3]})
    assert not edge_lines(inner, Setting(0.0, 0.3, 12))
    assert best_of(later, find)[1].best.bits_per_byte == 1.0


def test_the_twin_over_seeds_has_spread_interval_and_a_paired_difference(base: ProjectConfig, lengths: Lengths) -> None:
    def bits(run: Run) -> float:  # 1.5 and 1.7 for the winner, longer runs 0.25 worse: the difference is certain
        return 1.5 + 0.2 * run.config.training.seed + (0.25 if run.config.training.max_steps else 0.0)

    two = base.override(study={"seeds": 2, "twin_epochs": [6]})
    rows = over_seeds(two, 100, lengths, made_up(bits))
    assert [(row.name, row.validation.mean, row.test.seeds) for row in rows] == [
        ("sweep's winner", pytest.approx(1.6), 2),
        ("equal compute", pytest.approx(1.85), 2),
    ]
    # t of one degree of freedom, 12.706, times the deviation, 0.2 / root 2, over root 2.
    winner_test = rows[0].test
    assert (winner_test.low, winner_test.high) == (pytest.approx(0.4294, abs=1e-4), pytest.approx(2.9706, abs=1e-4))
    assert rows[0].against is None and str(rows[1].against) == "+0.250 [+0.250, +0.250]"
    table = twin_seeds_table(two, rows)
    assert table.rows[0][2:] == ("1.600 ±0.141", "[0.329, 2.871]", "1.700 ±0.141", "[0.429, 2.971]", "")
    assert "seed 0 alone" in table.lines[1]
    one = base.override(study={"twin_epochs": [6]})
    table = twin_seeds_table(one, over_seeds(one, 100, lengths, made_up(bits)))
    assert table.rows[0][2:] == ("1.500", "", "1.600", "", "")
    assert table.lines == [seeds_note(1)]


def test_the_twins_compute_is_the_diffusion_runs(
    tmp_path: Path, base: ProjectConfig, data: Processed, lengths: Lengths
) -> None:
    flops = lengths.flops(base, lengths.steps(base))  # three stages of one epoch
    steps = steps_within(base, flops, lengths)
    run = equal_run(base, Setting(0.1, 0.1, 1), steps, lengths, 0)
    store = Store(tmp_path, data, base.evaluation)
    finish(store, [run])
    result = store.find(run)
    assert result is not None and result.flops == flops and result.steps == lengths.steps(base)
    with pytest.raises(UserError, match="less than one"):
        steps_within(base, 1.0, lengths)
    publish(result, tmp_path / "twin" / "best_model.pt")
    assert load_checkpoint(tmp_path / "twin" / "best_model.pt").config.model.causal
    result.checkpoint.unlink()
    with pytest.raises(UserError, match="is gone"):
        publish(result, tmp_path / "twin" / "best_model.pt")


# The ablation


def test_schedules_are_what_their_names_say() -> None:
    found = schedules()
    assert sorted(found) == sorted(get_args(Schedule))
    described, back = found["described"], found["reversed"]
    rates = [(0.75, 0.90), (0.40, 0.60), (0.10, 0.30)]
    assert [s.mask_range for s in described.stages] == rates and described.full_range_share == 0
    assert back.stages == described.stages[::-1] and back.full_range_share == 0
    assert found["mixed"] == described.model_copy(update={"full_range_share": 0.25})
    assert [(s.format, s.mask_range) for s in found["none"].stages] == [("paragraphs", (0.001, 1.0))]
    assert found["last"].stages == described.stages[2:]


@pytest.mark.parametrize("steps", [40, 137, 1000])
def test_fitted_epochs_keep_their_proportions_and_reach_the_steps(steps: int) -> None:
    per_epoch = [3, 5, 11]
    described = schedules()["described"]
    epochs = [s.epochs for s in fitted(described, per_epoch, steps).stages]
    taken = [n * e for n, e in zip(per_epoch, epochs, strict=True)]
    assert sum(taken[:2]) < steps <= sum(taken) < steps + per_epoch[2]
    wanted = [n * e for n, e in zip(per_epoch, (50, 100, 150), strict=True)]
    for have, want, n in zip(taken, wanted, per_epoch, strict=True):
        assert abs(have - want * steps / sum(wanted)) <= 2 * max(per_epoch) + n
    with pytest.raises(UserError, match="too few"):
        fitted(described, per_epoch, 8)


@pytest.mark.long
def test_the_ablation_spends_the_same_on_each_schedule(
    tmp_path: Path, base: ProjectConfig, data: Processed, lengths: Lengths
) -> None:
    base = base.override(study={"ablation_epochs": 4, "seeds": 2})
    runs = ablation_runs(base, lengths)
    plan = ablation_plan(runs)
    assert [r.config.training.seed for r in plan] == [0] * 5 + [1] * 5
    store = Store(tmp_path, data, base.evaluation)
    order: dict[str, list[str]] = {}
    for event in execute(lambda find: plan, store):
        if isinstance(event, RunStarted):
            names = order.setdefault(event.run.label, [])
        elif isinstance(event, StepDone) and event.stage_name not in names:
            names.append(event.stage_name)
    assert order["described, seed 1"] == ["foundational", "structural", "refinement"]
    assert order["reversed, seed 1"] == ["refinement", "structural", "foundational"]
    results = [store.find(run) for run in plan]
    assert {r.steps for r in results if r} == {budget(base, lengths)} and len({r.flops for r in results if r}) == 1
    rows = ablation_rows(runs, store.find)
    assert [r.test.mean for r in rows] == sorted(r.test.mean for r in rows) and len(rows) == 5
    assert [r.schedule for r in rows if r.against is None] == ["described"]
    assert "| none |" in ablation_table(rows).markdown() and " of 2 |" in ablation_table(rows).markdown()
    paths = write_study(tmp_path, "ablation", base, data, store, plan, rows, "text")
    record = json.loads(paths[0].read_text())
    assert record["data"] == data.identity and len(record["runs"]) == 10 and record["summary"][0]["steps"] > 0
    assert ProjectConfig.from_dict(record["config"]) == base and paths[1].read_text() == "text"


def test_a_study_of_two_schedules_trains_no_other(base: ProjectConfig, lengths: Lengths) -> None:
    runs = ablation_runs(base.override(study={"schedules": ["none", "described"], "ablation_epochs": 4}), lengths)
    assert list(runs) == ["none", "described"] and all(len(same) == 1 for same in runs.values())
    with pytest.raises(UserError, match="nonsense"):
        base.override(study={"schedules": ["nonsense"]})
    with pytest.raises(UserError, match="twice"):
        base.override(study={"schedules": ["none", "none"]})


def test_unequal_compute_is_refused(base: ProjectConfig, lengths: Lengths) -> None:
    runs = ablation_runs(base.override(study={"ablation_epochs": 9}), lengths)
    find = made_up(lambda run: 1.0)
    assert len(ablation_rows(runs, find)) == 5

    def uneven(run: Run) -> RunResult:
        return replace(find(run), flops=2e9) if run.label.startswith("none") else find(run)

    with pytest.raises(UserError, match="unequal compute"):
        ablation_rows(runs, uneven)


# The crossover


def test_crossover_on_curves_of_known_answers() -> None:
    epochs, flops = [1.0, 10.0, 100.0], [1e3, 1e4, 1e5]
    found = crossover(epochs, flops, [3.0, 2.5, 1.5], [2.0] * 3)
    # From +0.5 to -0.5 between 10 and 100: half way in the logarithm.
    assert found is not None and not found.at_first
    assert found.epochs == pytest.approx(10**1.5) and found.flops == pytest.approx(10**4.5)
    touched = crossover(epochs, flops, [3.0, 2.0, 1.5], [2.0] * 3)
    assert touched is not None and touched.epochs == pytest.approx(10)
    assert crossover(epochs, flops, [3.0, 2.5, 2.0], [2.0] * 3) is None
    first = crossover(epochs, flops, [1.0, 3.0, 3.0], [2.0] * 3)
    assert first is not None and first.at_first and (first.epochs, first.flops, first.back) == (1.0, 1e3, 10.0)
    again = crossover(epochs, flops, [3.0, 1.5, 2.0], [2.0] * 3)  # touching does not count as below
    assert again is not None and again.back == 100.0 and found.back is None
    moving = crossover(epochs, flops, [3.0, 2.6, 2.4], [2.0, 2.5, 2.6])
    assert moving is not None and moving.epochs == pytest.approx(10 ** (1 + 1 / 3))


def test_the_formula_takes_millions() -> None:
    assert critical_flops(1_000_000) == pytest.approx(2.12e15)
    assert critical_flops(10_000_000) / critical_flops(1_000_000) == pytest.approx(10**2.174)
    assert 1.3e13 < critical_flops(100_000) < 1.5e13  # a book of the size of Frankenstein


def curves(run: Run) -> float:
    """Diffusion 3 - log10(epochs) + 0.01 per seed; the twin at its best, 2, after six epochs."""
    epochs = run.config.curriculum.epochs
    if run.config.model.causal:
        return 2.0 + abs(math.log(epochs / 6))
    return 3.0 - math.log10(epochs) + 0.01 * run.config.training.seed


def test_the_comparison_finds_the_crossing(base: ProjectConfig, lengths: Lengths) -> None:
    base = base.override(study={"epochs": [1, 5, 20], "seeds": 2, "twin_epochs": [6, 30]})
    find = made_up(curves)
    plan = compare_plan({"small": base}, find)
    both = compare_plan({"small": base, "large": base.override(**{"model.d_model": 64})}, find)
    assert {run.label.split(": ")[0] for run in both} == {"small", "large"} and len(both) == 2 * len(plan)
    # Four runs of the sweep; for each seed three of diffusion and four of the twin, including its best length.
    assert len(plan) == 4 + 2 * (3 + 4)
    result = size_result("small", base, lengths, find)
    assert [p.epochs for p in result.diffusion] == [1, 5, 20] and [p.epochs for p in result.twin] == [1, 5, 6, 20]
    assert result.setting == Setting(0.0, 0.1, 6)
    level = [(x, 3.0 - math.log10(x) + 0.005) for x in (5, 20)]
    share = (level[0][1] - 2) / (level[0][1] - level[1][1])
    assert result.best is not None and result.best.epochs == pytest.approx(5 * 4**share)
    # After one epoch the twin is at 3.79 and diffusion at 3.
    assert result.equal is not None and result.equal.at_first and result.equal.back == 5
    assert result.at_best.lower == 2 and result.at_best.mean == pytest.approx(3 - math.log10(20) + 0.005 - 2)
    assert list(result.differences) == [1, 5, 20]
    assert result.differences[20].mean == pytest.approx(3 - math.log10(20) + 0.005 - 2 - math.log(20 / 6))
    lines = compare_lines(base, result)
    assert f"first below at about {result.best.epochs:.1f} epochs" in lines[0] and "and stays below" in lines[0]
    assert "first point, 1 epochs" in lines[1] and "but not below any more at 5 epochs" in lines[1]
    assert "extrapolation" in lines[2]
    assert "20 epochs each, test text: diffusion 1.804 ±0.007, twin 3.304 ±0.000; diffusion is better, " in lines[3]
    assert "the twin at its best is beaten: diffusion is better, diffusion minus twin -0.296" in lines[4]
    assert "lower in 2 of 2 seeds" in lines[4]


def test_a_comparison_without_a_crossing_says_how_near_it_came(base: ProjectConfig, lengths: Lengths) -> None:
    short = base.override(study={"epochs": [1, 5], "twin_epochs": [6, 30]})
    lines = compare_lines(short, size_result("s", short, lengths, made_up(curves)))
    said = "none; diffusion is below at no length of the grid (1 to 5 epochs), and nearest after 5, +0.301"
    assert said in lines[0]
    assert "the twin at its best is not beaten on this seed: the twin is better on this seed" in lines[4]
    # Two seeds that disagree leave the result open.
    two = base.override(study={"epochs": [10], "twin_epochs": [6], "seeds": 2})

    def torn(run: Run) -> float:
        return curves(run) + (0.5 * run.config.training.seed - 0.25 if not run.config.model.causal else 0.0)

    assert (
        "neither beaten nor sure to win: which is better is left open"
        in compare_lines(two, size_result("s", two, lengths, made_up(torn)))[4]
    )


def test_a_drawing_is_the_same_for_the_same_study(tmp_path: Path, base: ProjectConfig, lengths: Lengths) -> None:
    base = base.override(study={"epochs": [1, 5, 20], "seeds": 2, "twin_epochs": [6, 30]})
    result = size_result("small", base, lengths, made_up(curves))
    assert "| 20 |" in compare_table(base, result).markdown()
    for name in ("a.svg", "b.svg", "c.png"):
        draw_compare([result], tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


STUDY = {
    "seeds": 3, "epochs": (2, 3), "ablation_epochs": 30, "twin_epochs": (2, 5), "twin_dropouts": (0.0,),
    "twin_weight_decays": (0.2, 0.9), "schedules": ("none", "described"),
}  # fmt: skip


@pytest.mark.parametrize("key", STUDY)
def test_each_study_setting_changes_the_runs(base: ProjectConfig, lengths: Lengths, data: Processed, key: str) -> None:
    assert set(STUDY) == set(StudyConfig.model_fields) - {"sizes"}  # read by the command line
    store = Store(Path("runs"), data, base.evaluation)

    def keys(config: ProjectConfig) -> set[str]:
        runs = [*compare_plan({"a": config}, lambda run: None), *ablation_plan(ablation_runs(config, lengths))]
        return {store.key(run) for run in runs}

    assert keys(base) != keys(base.override(study={key: STUDY[key]}))


# Seeds and tables


def test_spread_and_paired_differences() -> None:
    # t of two degrees of freedom, 4.3027, over the root of three.
    ends = {"low": pytest.approx(2 - 2.48414, abs=1e-4), "high": pytest.approx(2 + 2.48414, abs=1e-4)}
    assert asdict(spread([1.0, 2.0, 3.0])) == {"mean": 2.0, "deviation": 1.0, "seeds": 3} | ends
    assert str(spread([1.5])) == "1.500" and spread([1.5]).deviation is None and spread([1.5]).interval == ""
    # An equal difference for each seed is certain, however much the seeds differ.
    same = paired([1.0, 2.0, 4.0], [1.5, 2.5, 4.5])
    assert (same.mean, same.low, same.high, same.lower) == (-0.5, -0.5, -0.5, 3)
    # t of one degree of freedom, 12.706, times the deviation of (-0.5, 1), 1.0607, over the root of two.
    mixed = paired([1.0, 2.0], [1.5, 1.0])
    assert (mixed.low, mixed.high, mixed.lower) == (
        pytest.approx(-9.27965, abs=1e-4),
        pytest.approx(9.77965, abs=1e-4),
        1,
    )
    one = paired([1.0], [2.0])
    assert one.low is None and str(one) == "-1.000" and "one seed" in seeds_note(1)
    assert "over 2 seeds" in seeds_note(2)
    with pytest.raises(ValueError):
        paired([1.0], [1.0, 2.0])


def test_tables(base: ProjectConfig) -> None:
    table = Table("t", ("a", "b"), [("1", "2")], ["so"])
    assert table.markdown() == "**t**\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\n- so\n"
    runs = [twin_run(base, Setting(0.1, 0.3, e), 0) for e in (6, 12)]
    rows = twin_table("twin", runs, made_up(curves)).rows
    assert [row[0] for row in rows] == ["6", "12"]
    assert rows[0][1:] == ("0.1", "0.3", "0", "3", "1.0e+09", "2.000", "2.100 [2.000, 2.200]")


@pytest.mark.parametrize(
    "content",
    ["[1, 2]", '{"a": 1}', '{"trained": 1, "scoring": SCORING, "test": {}}', "[" * 100_000, "\x00", "null"],
)
def test_a_foreign_result_is_told(tmp_path: Path, base: ProjectConfig, data: Processed, content: str) -> None:
    run, store = study_run("a", base), Store(tmp_path, data, base.evaluation)
    store.folder(run).mkdir(parents=True)
    scoring = json.dumps(base.evaluation.model_dump(mode="json", include=set(SCORING)))
    (store.folder(run) / "result.json").write_text(content.replace("SCORING", scoring))
    with pytest.raises(UserError, match="result.json is damaged; delete the folder"):
        store.find(run)


def test_a_result_that_is_a_folder_or_no_text_is_told(tmp_path: Path, base: ProjectConfig, data: Processed) -> None:
    run, store = study_run("a", base), Store(tmp_path, data, base.evaluation)
    (store.folder(run) / "result.json").mkdir(parents=True)
    with pytest.raises(UserError, match="result.json is damaged"):
        store.find(run)
