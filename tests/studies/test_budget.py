"""The time budget: it chooses the best run that fits, and more time is never expected to give a worse one."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny_diffusion.cli.training.budget import Budget, _rank
from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.errors import UserError
from tiny_diffusion.studies.budget import Candidate, Law, Limits, Option, TooShort, candidate, candidates, time_to_reach
from tiny_diffusion.studies.measure import in_order
from tiny_diffusion.training.run_time import Pace

LAW = Law.load()


def option(name: str, parameters: int, row: float, validation: float = 2.0, rows: int = 970) -> Option:
    pace = Pace(optimizer=5 * row, row=row, validation=validation, sample=1.0, state=0.1, steps=3)
    return Option(name, parameters, 128, (140, 2_000, rows), 360_054, pace, build=1.0)


def test_the_epochs_of_a_shelf_come_first_within_the_time_and_change_nothing_else() -> None:
    plain = option("cpu_2m", 2_000_000, 0.001)
    own, more = (
        candidate(each, LAW, Limits(), 20, 16) for each in (plain, replace(plain, rows=(5_000, *plain.rows), shelf=4))
    )
    assert more.epochs == (4, *own.epochs) and more.settings() == own.settings()
    assert more.bits_per_byte == own.bits_per_byte
    assert more.seconds - own.seconds > 4 * 5_000 * plain.pace.row


SPEEDS = st.lists(st.floats(1e-4, 1.0), min_size=len(LAW.sizes), max_size=len(LAW.sizes)).map(sorted)


def options(speeds: list[float], validation: float = 2.0) -> list[Option]:
    sizes = LAW.sizes.items()
    return [option(name, size.parameters, row, validation) for (name, size), row in zip(sizes, speeds, strict=True)]


@given(SPEEDS, st.floats(0.01, 60), st.floats(1, 1e5), st.floats(1, 5))
def test_more_time_is_never_expected_to_give_less(
    speeds: list[float], validation: float, seconds: float, more: float
) -> None:
    found = []
    for budget in (seconds, seconds * more):
        try:
            found.append(candidates(options(speeds, validation), LAW, Limits(), budget)[0])
        except TooShort as error:
            assert error.least.seconds > budget
            found.append(None)
    short, long = found
    assert short is None or (long is not None and long.bits_per_byte <= short.bits_per_byte)


@given(SPEEDS, st.floats(100, 1e5))
def test_the_choice_is_the_best_of_all_that_fit(speeds: list[float], seconds: float) -> None:
    given = options(speeds)
    every = [
        candidate(o, LAW, Limits(), last, batch)
        for o in given
        for batch in LAW.nearest(o.parameters).batches
        for last in range(1, LAW.nearest(o.parameters).most_epochs + 1)
    ]
    fitting = [c for c in every if c.seconds <= seconds]
    if not fitting:
        with pytest.raises(TooShort) as caught:
            candidates(given, LAW, Limits(), seconds)
        assert caught.value.least.seconds == min(c.seconds for c in every if c.epochs[-1] == 1)
        return
    best = candidates(given, LAW, Limits(), seconds)[0]
    assert best.seconds <= seconds and best.bits_per_byte == min(c.bits_per_byte for c in fitting)


def test_the_law_falls_with_epochs_and_stays_above_its_floor() -> None:
    for size in LAW.sizes.values():
        bits = [LAW.bits_per_byte(size.parameters, 360_054, epochs, 2_048) for epochs in (1, 5, 25, 100, 300)]
        assert bits == sorted(bits, reverse=True) and len(set(bits)) == 5
        assert size.floor < bits[-1] < bits[0] < LAW.start
        assert LAW.bits_per_byte(size.parameters, 360_054, 5, 4_096) > bits[1]
    largest = max(LAW.sizes.values(), key=lambda size: size.parameters)
    assert LAW.nearest(900_000) is LAW.sizes["cpu_1m"] and LAW.nearest(200_000_000) is largest


def test_the_law_meets_its_source_runs() -> None:
    table = Path(__file__).parents[2] / "benchmarks" / "budget_runs.jsonl"
    runs = [json.loads(line) for line in table.read_text(encoding="utf-8").splitlines()]
    ours = [run for run in runs if run["book"] == "frankenstein" and "members" not in run]  # others have an offset
    assert {run["size"] for run in ours} == {*LAW.sizes}
    for run in ours:
        batch = run["batch"] * ProjectConfig.preset(run["size"]).model.context
        found = LAW.bits_per_byte(run["params"], run["train_bytes"], run["epochs"], batch)
        assert found == pytest.approx(run["test"], abs=0.04)


def test_no_size_gets_more_epochs_than_were_tried() -> None:
    found = candidates(options([1e-4, 2e-4]), LAW, Limits(), 1e9)
    assert {c.option.name: c.epochs[-1] for c in found} == {n: s.most_epochs for n, s in LAW.sizes.items()}


def test_a_student_of_as_many_as_there_is_time_for_is_chosen() -> None:
    limits = Limits(student_epochs=1.6)
    alone = candidates(options([1e-4, 2e-4]), LAW, Limits(), 1e9)[0]
    seconds = 1e9
    for law in reversed(LAW.students):
        student = candidates(options([1e-4, 2e-4]), LAW, limits, seconds)[0]
        assert (student.members, student.option.name) == (law.members, "cpu_2m")
        assert student.settings() == alone.settings() and student.bits_per_byte == alone.bits_per_byte - law.gain
        assert student.seconds == pytest.approx(alone.seconds * (law.members + 1.6 * (1 + law.members / 3)))
        seconds = 0.99 * student.seconds
    assert candidates(options([1e-4, 2e-4]), LAW, limits, seconds)[0].members == 0
    fixed = replace(limits, epochs=(1, 1, 25))
    assert all(c.members == 0 for c in candidates(options([1e-4, 2e-4]), LAW, fixed, 1e9))


def test_a_runs_seconds_by_hand() -> None:
    pace = Pace(optimizer=0.5, row=0.1, validation=3.0, sample=2.0, state=0.0, steps=1)
    # 1 epoch of 10 rows and 4 of 20 in batches of 8: (2 + 4 * 3) steps, 90 rows, 1 + 2 validations, 1 sample.
    seconds = pace.run((1, 4), (10, 20), 8, eval_every=2, sample_every=3)
    assert seconds == pytest.approx(14 * 0.5 + 90 * 0.1 + 3 * 3.0 + 2.0)
    assert pace.run((1, 4), (10, 20), 8, 2, 0) == pytest.approx(seconds - 2.0)
    assert pace.step(8) == pytest.approx(1.3)
    # The state is written after each of three validations and at the end, as long as that takes little time.
    assert replace(pace, state=0.5).run((1, 4), (10, 20), 8, 2, 3) == pytest.approx(seconds + 4 * 0.5)
    assert replace(pace, state=9.0).run((1, 4), (10, 20), 8, 2, 3) == pytest.approx(seconds * 10 / 9 + 2 * 9.0)


def test_what_the_user_fixed_stays() -> None:
    limits = Limits(epochs=(2, 4, 6), batch=5, eval_every=3, sample_every=0)
    (found,) = candidates([option("cpu_2m", 1_971_392, 0.001)], LAW, limits, 1e4)
    assert found.settings() == {
        "curriculum.stages[0].epochs": 2,
        "curriculum.stages[1].epochs": 4,
        "curriculum.stages[2].epochs": 6,
        "training.batch_size": 5,
        "training.eval_every_epochs": 3,
        "training.sample_every_epochs": 0,
    }
    changed = ProjectConfig.preset("cpu_2m").override(**found.settings())
    assert [stage.epochs for stage in changed.curriculum.stages] == [2, 4, 6] and changed.training.batch_size == 5


def test_the_time_that_reaches_a_figure_is_the_least_of_its_grid() -> None:
    given = options([0.01, 0.02])
    ranked = candidates(given, LAW, Limits(), 100)
    wanted = ranked[0].bits_per_byte - 0.2
    found = time_to_reach(wanted, ranked, LAW, Limits(), 100)
    assert found is not None
    assert candidates(given, LAW, Limits(), found)[0].bits_per_byte <= wanted
    assert candidates(given, LAW, Limits(), found / 1.25)[0].bits_per_byte > wanted
    assert time_to_reach(0.5, ranked, LAW, Limits(), 100) is None


def test_a_run_that_does_not_fit_is_cut_short_unless_hardly_any_of_it_fits(capsys: pytest.CaptureFixture[str]) -> None:
    given = options([0.1, 0.2])
    least = candidate(given[0], LAW, Limits(), 1, LAW.sizes["cpu_1m"].batches[0])
    budget = Budget(0.3 * least.seconds, time.monotonic(), None, [])
    assert _rank(budget, given, LAW, Limits(), 0.25 * least.seconds) == [least]
    assert "a part of the text is read" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(UserError, match="the least that works is about"):
        _rank(budget, given, LAW, Limits(), 0.15 * least.seconds)
    wanted = candidates(given, LAW, Limits(), 2 * least.seconds)[0].bits_per_byte
    assert time_to_reach(wanted, [least], LAW, Limits(), 0.2 * least.seconds) is not None


def test_too_short_names_the_quickest() -> None:
    with pytest.raises(TooShort) as caught:
        candidates(options([0.1, 0.2]), LAW, Limits(), 10)
    least: Candidate = caught.value.least
    assert least.option.name == "cpu_1m" and least.batch in LAW.sizes["cpu_1m"].batches and least.epochs == (1, 1, 1)


@pytest.mark.parametrize(
    ("setting", "fixes"),
    [
        ("curriculum.stages[2].epochs=9", True),
        ("curriculum.stages[2].mask_range=[0.1, 0.9]", False),
        ("curriculum.full_range_share=1", False),
        ("training.batch_size=8", False),
    ],
)
def test_only_epochs_fix_the_epochs(setting: str, fixes: bool) -> None:
    assert Budget(60, 0.0, None, [setting]).fixes_epochs == fixes


def test_sizes_come_in_order() -> None:
    assert list(in_order(["cpu_10m", "cpu_1m", "default", "cpu_2m"])) == ["cpu_1m", "cpu_2m", "cpu_10m", "default"]


def test_the_law_covers_what_its_runs_tried() -> None:
    lines = (Path(__file__).parents[2] / "benchmarks" / "budget_runs.jsonl").read_text().splitlines()
    runs = [json.loads(line) for line in lines]
    assert LAW.sizes.keys() == {run["size"] for run in runs}
    for name, size in LAW.sizes.items():
        own = [run for run in runs if run["size"] == name and "members" not in run]
        assert size.most_epochs == max(run["epochs"] for run in own)
        assert size.batches == tuple(sorted({run["batch"] for run in own}))
