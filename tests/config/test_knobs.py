"""Every setting has a reader: its name is read as an attribute in a part of the project that it is meant for.

This is read from the source, so it shows that a setting is used, not what it does: the parts' own tests show that.
"""

import ast
from pathlib import Path

from pydantic import BaseModel

from tiny_diffusion import config as settings
from tiny_diffusion.config.pipeline_config import DifficultyWeights
from tiny_diffusion.data.difficulty import SCORES

ROOT = Path(__file__).parents[2] / "src" / "tiny_diffusion"
# Parts where a group's settings must be read: names such as `seed` stand in several groups.
READERS: dict[type[BaseModel], tuple[str, ...]] = {
    settings.ModelConfig: ("model", "checkpoint.py", "training"),
    settings.TrainingConfig: ("training",),
    settings.CurriculumConfig: ("training",),
    settings.StageConfig: ("data", "training"),
    settings.GenerationConfig: ("sampling", "writing"),
    settings.PipelineConfig: ("data",),
    settings.EvaluationConfig: ("evaluation",),
    settings.StudyConfig: ("studies",),
    settings.PageConfig: ("page",),
}
# Single settings with their only reader: a model is built with its schedule, and the command line opens the logs.
ELSEWHERE: dict[tuple[type[BaseModel], str], str] = {
    (settings.TrainingConfig, "mask_schedule"): "checkpoint.py",
    (settings.TrainingConfig, "compile"): "model/flops.py",
    (settings.TrainingConfig, "tensorboard"): "cli/training",
    (settings.TrainingConfig, "tracker"): "cli/training",
    (settings.TrainingConfig, "time_budget_minutes"): "cli/training",
    (settings.TrainingConfig, "student_epochs"): "cli/training",
    (settings.StudyConfig, "sizes"): "cli/studies",
    (settings.PageConfig, "port"): "cli/serve.py",
}
BY_PROPERTY = {"n_heads": "heads", "shelf_epochs": "with_shelf"}  # read through a property or method of their group
OWN = ("self", "torch", "np", "math")


def reads(source: str) -> set[str]:
    """Names read as attributes, but of an object's own or a library's; a name only assigned does not count."""
    nodes = (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Load))
    return {n.attr for n in nodes if not (isinstance(n.value, ast.Name) and n.value.id in OWN)}


def reads_of(part: str) -> set[str]:
    path = ROOT / part
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    assert files and all(f.exists() for f in files), f"no source in {part}"
    return set().union(*(reads(f.read_text(encoding="utf-8")) for f in files))


def test_every_setting_has_a_reader() -> None:
    unread = []
    for group, parts in READERS.items():
        found = set().union(*map(reads_of, parts))
        names = [name for name in group.model_fields if (group, name) not in ELSEWHERE]
        unread += [f"{group.__name__}.{name} in {parts}" for name in names if BY_PROPERTY.get(name, name) not in found]
    assert unread == []


def test_no_group_is_left_out() -> None:
    classes = {g for g in vars(settings).values() if isinstance(g, type) and issubclass(g, BaseModel)}
    sections = {g for g in classes if not any(g in other.__bases__ for other in classes)}
    assert sections - {settings.ProjectConfig} == set(READERS)


def test_each_setting_is_in_exactly_one_group() -> None:
    for section in (settings.GenerationConfig, settings.EvaluationConfig, settings.TrainingConfig):
        groups = section.__bases__
        counts = {name: sum(name in group.model_fields for group in groups) for name in section.model_fields}
        assert set(counts.values()) == {1}, counts
        assert sorted(key for group in groups for key in settings.keys_of(group)) == sorted(settings.keys_of(section))
    of_project = {f.annotation for f in settings.ProjectConfig.model_fields.values()}
    assert of_project <= set(READERS)


def test_the_exceptions_are_read_where_they_say() -> None:
    for (group, name), part in ELSEWHERE.items():
        assert name in group.model_fields and name in reads_of(part)


def test_each_difficulty_weight_is_a_score() -> None:
    # The weights are read by the scores' names, in a loop.
    assert set(DifficultyWeights.model_fields) == set(SCORES)


def test_only_reads_count() -> None:
    assert reads("a.kept = b.seen\nx = 'c.quoted'\nf(self.own, self.used.deep)") == {"seen", "deep"}
