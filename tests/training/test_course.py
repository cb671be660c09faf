"""Learning rate, blending and mask ranges as exact numbers."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny_diffusion.config import CurriculumConfig, ProjectConfig, TrainingConfig
from tiny_diffusion.training.course import Course, Line, Progress, blend, learning_rate_scale, mask_range


def scale(config: TrainingConfig, step: int, stage_step: int = 0, stage: int = 0) -> float:
    return learning_rate_scale(config, step, step / 1000, stage_step / 400, stage, step / 1000)


def test_warm_up_is_linear_and_at_most_a_twentieth_of_the_run() -> None:
    config = TrainingConfig(scheduler="constant", warmup_steps=20)
    assert [scale(config, s) for s in (0, 9, 19, 500)] == pytest.approx([1 / 20, 10 / 20, 1, 1])
    long = TrainingConfig(scheduler="constant", warmup_steps=900)
    assert [scale(long, s) for s in (0, 25, 50, 500)] == pytest.approx([1 / 900, 25 / 50, 1, 1])
    assert scale(TrainingConfig(scheduler="constant", warmup_steps=0), 0) == 1
    # Few slow steps, by time far into the schedule: warm-up is over all the same.
    assert learning_rate_scale(long, 3, 0.2, 0.0, 0, 0.2) == 1


def test_warm_up_takes_at_most_half_of_the_first_stage() -> None:
    """As with ``default`` on a novel: a first stage of 50 steps in a run of 1,600, of which a twentieth are 80."""
    config = TrainingConfig(scheduler="constant", warmup_steps=1000)
    rises = [learning_rate_scale(config, step, step / 1600, step / 50, 0, step / 1600) for step in (1, 5, 25, 26, 49)]
    assert rises == pytest.approx([1 / 25, 5 / 25, 1, 1, 1])
    assert learning_rate_scale(config, 50, 50 / 1600, 0.0, 1, 50 / 1600) == 1
    alone = [learning_rate_scale(config, step, step / 1600, step / 1600, 0, step / 1600) for step in (40, 80)]
    assert alone == pytest.approx([0.5, 1])


@given(st.integers(1, 500), st.data())
def test_a_line_moves_on_without_jumps_and_reaches_its_end(total: int, draw: st.DataObject) -> None:
    line = Line(total)
    assert [line.place(s) for s in range(total + 1)] == pytest.approx([s / total for s in range(total + 1)])
    step = 0
    for _ in range(draw.draw(st.integers(1, 5))):
        step = draw.draw(st.integers(step, int(line.end)))
        before = line.place(step)
        line = line.moved(step, draw.draw(st.integers(step, step + 300)))
        assert line.end == step or line.place(step) == before
        places = [line.place(s) for s in range(step, int(line.end) + 1)]
        assert places == sorted(places) and places[-1] == 1


def test_linear_is_flat_then_falls_to_its_floor() -> None:
    config = TrainingConfig(scheduler="linear", warmup_steps=0, decay_share=0.4, min_lr_ratio=0.1)
    expected = [1, 1, 0.1 + 0.9 * 0.5, 0.1]
    assert [scale(config, s) for s in (0, 600, 800, 1000)] == pytest.approx(expected)


def test_cosine_restarts_in_each_stage_from_a_lower_peak() -> None:
    config = TrainingConfig(scheduler="cosine_with_restarts", warmup_steps=0, min_lr_ratio=0.1, restart_decay=0.5)
    for stage, peak in ((0, 1.0), (1, 0.5), (2, 0.25)):
        values = [scale(config, 500, s, stage) for s in (0, 100, 200, 400)]
        waves = [0.5 * (1 + math.cos(math.pi * x)) for x in (0, 0.25, 0.5, 1)]
        assert values == pytest.approx([0.1 + (peak - 0.1) * w for w in waves])
    low = TrainingConfig(scheduler="cosine_with_restarts", warmup_steps=0, min_lr_ratio=0.3, restart_decay=0.5)
    assert scale(low, 500, 0, 2) == 0.3  # a peak below the floor stays at the floor


def test_stages_pass_over_gradually() -> None:
    config = CurriculumConfig().model_copy(update={"transition_share": 0.04})
    length = 0.04 * config.stages[1].epochs  # 4 epochs of 100
    assert blend(config, 0, 0) == 1
    assert [blend(config, 1, e) for e in (0, 1, 3, 4, 50)] == pytest.approx([1 / (length + 1), 2 / 5, 4 / 5, 1, 1])
    assert mask_range(config, 0, 0) == config.stages[0].mask_range
    (old_low, old_high), (low, high) = config.stages[0].mask_range, config.stages[1].mask_range
    between = (old_low + 0.4 * (low - old_low), old_high + 0.4 * (high - old_high))
    assert mask_range(config, 1, 1) == pytest.approx(between)
    assert mask_range(config, 1, 4) == (low, high)
    sudden = config.model_copy(update={"transition_share": 0.0})
    assert mask_range(sudden, 2, 0) == config.stages[2].mask_range


def test_a_step_is_told_its_rate_its_masks_and_its_place() -> None:
    config = ProjectConfig.debug().override(**{"curriculum.transition_share": 0.0, "training.warmup_steps": 0})
    progress = Progress(line=Line(30.0))
    course = Course(config, [10, 10, 10], progress)
    for step, stage in ((0, 0), (9, 0), (10, 1), (25, 2)):
        progress.step, progress.stage = step, stage
        expected = learning_rate_scale(config.training, step, step / 30, step / 10 - stage, stage, step / 30)
        point = course.at(0)
        assert point.scale == pytest.approx(expected) and point.in_book == pytest.approx(step / 30)
        assert point.mask_range == config.curriculum.stages[stage].mask_range
