"""Settings: presets, overrides from code, files and arguments, errors, round trips."""

import argparse
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tiny_diffusion.config import (
    CurriculumConfig,
    EvaluationConfig,
    GenerationConfig,
    ModelConfig,
    PipelineConfig,
    ProjectConfig,
    StageConfig,
    TrainingConfig,
)
from tiny_diffusion.config.project import PRESETS
from tiny_diffusion.config.reference import describe
from tiny_diffusion.errors import UserError

DESIGN_PRESETS = {
    ModelConfig: "tiny_125m memory_efficient_125m experimental_125m cpu_1m cpu_2m cpu_5m cpu_10m cpu_30m smoke",
    TrainingConfig: "default memory_efficient fast_debug",
    CurriculumConfig: "three_stage single_stage fast_debug research_config",
    GenerationConfig: "default creative conservative fast",
    PipelineConfig: "default fast_processing high_quality",
    EvaluationConfig: "default fast comprehensive memory_efficient",
    ProjectConfig: " ".join(PRESETS),
}
CASES = [(cls, name) for cls, names in DESIGN_PRESETS.items() for name in names.split()]


@pytest.mark.parametrize(("cls", "name"), CASES, ids=lambda value: getattr(value, "__name__", value))
def test_every_named_preset_is_valid_and_round_trips(cls: Any, name: str) -> None:
    preset = getattr(cls, name)()
    assert cls(**json.loads(json.dumps(preset.model_dump(mode="json")))) == preset


def test_presets_of_one_class_differ() -> None:
    for cls, names in DESIGN_PRESETS.items():
        values = [json.dumps(getattr(cls, name)().model_dump(mode="json")) for name in names.split()]
        same = 1 if cls is TrainingConfig else 0
        assert len(set(values)) >= len(values) - same, cls


@pytest.mark.parametrize("name", ["tiny_125m", "memory_efficient_125m", "experimental_125m"])
def test_full_sizes_count_125m_with_a_small_embedding(name: str) -> None:
    model = getattr(ModelConfig, name)()
    count = model.parameters(25_016)
    assert 120e6 <= count <= 130e6
    assert 25_016 * model.d_model / count < 0.20


@pytest.mark.parametrize("millions", [1, 2, 5, 10, 30])
def test_cpu_sizes(millions: int) -> None:
    project = ProjectConfig.preset(f"cpu_{millions}m")
    assert project.model.parameters(project.vocab_size) / 1e6 == pytest.approx(millions, rel=0.07)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("form", ["toml", "yaml"])
def test_the_printed_config_is_read_back(name: str, form: str, tmp_path: Path) -> None:
    config = ProjectConfig.preset(name)
    writers: dict[str, Callable[[], str]] = {
        "toml": config.to_toml,
        "yaml": lambda: yaml.safe_dump(config.to_dict()),
    }
    path = tmp_path / f"é resolved.{form}"
    path.write_text(writers[form](), encoding="utf-8")
    assert ProjectConfig.preset(path) == config


def test_default_override_of_the_description() -> None:
    changes = {"model.d_model": 512, "training.batch_size": 16, "curriculum.stages[0].epochs": 25}
    config = ProjectConfig.default().override(**changes)
    assert config.model.heads == 8 and config.training.batch_size == 16
    config = ProjectConfig.default().override(**{"model.d_model": 768 * 2, "curriculum.stages[0].epochs": 25})
    assert config.model.d_model == 1536
    assert [stage.epochs for stage in config.curriculum.stages] == [25, 100, 150]
    assert ProjectConfig.default().curriculum.stages[0].epochs == 50


PROPERTIES = {
    "training.batch_size": st.integers(1, 10**6),
    "training.learning_rate": st.floats(1e-12, 10, exclude_min=True),
    "training.tensorboard": st.booleans(),
    "training.masking_strategy": st.sampled_from(["uniform", "whole_word", "span", "rare_first"]),
    "pipeline.language": st.text(st.characters(exclude_categories=["Cs"])),
    "pipeline.difficulty.lexical_rarity": st.floats(0, 1e6),
    "curriculum.stages[1].epochs": st.integers(1, 10**9),
    "curriculum.stages[2].mask_range[0]": st.floats(0.001, 0.1),
    "curriculum.stages[0].name": st.text(st.characters(exclude_categories=["Cs"])),
    "evaluation.ngram_orders": st.lists(st.integers(1, 9), min_size=1, max_size=5),
}


def read(config: Any, key: str) -> Any:
    for part in re.findall(r"\w+", key):
        config = config[int(part)] if part.isdigit() else getattr(config, part)
    return list(config) if isinstance(config, tuple) else config


@settings(max_examples=60, deadline=None)
@given(st.fixed_dictionaries({}, optional=PROPERTIES))
def test_overrides_set_exactly_what_they_name(changes: dict[str, Any]) -> None:
    base = ProjectConfig.default()
    changed = base.override(**changes)
    for key in PROPERTIES:
        assert read(changed, key) == changes.get(key, read(base, key))
    texts = [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in changes.items()]
    assert base.override_from_args(texts) == changed
    assert ProjectConfig.from_dict(json.loads(json.dumps(changed.to_dict()))) == changed
    restored = {key: read(base, key) for key in changes}
    assert changed.override(**restored) == base


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
@example("\x85")
@example("na\u00efve \u2028 \U0001f600")
def test_any_text_survives_toml(text: str) -> None:
    config = ProjectConfig.default().override(**{"curriculum.stages[0].name": text})
    assert ProjectConfig.from_dict(tomllib.loads(config.to_toml())) == config


def test_texts_are_read_by_the_fields_type() -> None:
    config = ProjectConfig.default().override_from_args(
        [
            "pipeline.gpt2_vocab=1984",
            "training.learning_rate=.5",
            "model.qk_norm=True",
            "pipeline.language=a=b",
        ]
    )
    assert config.pipeline.gpt2_vocab == "1984"
    assert config.pipeline.language == "a=b"
    assert config.training.learning_rate == 0.5
    assert config.model.qk_norm is True


def test_groups_take_mappings_presets_and_objects() -> None:
    base = ProjectConfig.default()
    assert base.override(model={"n_layers": 3}).model == ModelConfig(n_layers=3)
    assert base.override(model="cpu_2m").model == ModelConfig.cpu_2m()
    assert base.override(model=ModelConfig.smoke()).model == ModelConfig.smoke()
    stage = StageConfig(name="one", epochs=2, mask_range=(0.1, 0.2), format="pairs")
    assert base.override(**{"curriculum.stages": [stage]}).curriculum.stages == (stage,)


ERRORS = [
    ("model.d_modle", 512, "unknown key model.d_modle: did you mean model.d_model?"),
    ("model.batch_size", 8, "training.batch_size or evaluation.batch_size"),
    ("trainin.batch_size", 8, "did you mean training?"),
    ("curriculum.stages[0].epoch", 8, "did you mean curriculum.stages[0].epochs?"),
    ("curriculum.stages", [{"name": "a", "epoch": 1}], "did you mean curriculum.stages[0].epochs?"),
    ("curriculum.stages[3].epochs", 8, "has 3 items; the last index is 2"),
    ("curriculum.stages[-1].epochs", 8, "is no key"),
    ("curriculum.stages.epochs", 8, "write curriculum.stages[0].epochs"),
    ("curriculum.stages[0].mask_range", [0.9, 0.1], "curriculum.stages[0].mask_range=(0.9, 0.1) must rise"),
    (
        "curriculum.stages[1].mask_range[0]",
        "x",
        "curriculum.stages[1].mask_range[0]='x' should be a valid number",
    ),
    ("model.d_model", "wide", "model.d_model='wide' should be a valid integer"),
    ("model.d_model", 0, "model.d_model=0 should be greater than or equal to 8"),
    ("model", {"d_model": 100, "n_heads": 12}, "model.n_heads=12 does not divide d_model=100"),
    ("model.d_model", 33, "model.d_model=33 is odd"),
    ("model.d_model", True, "model.d_model=True should be a number"),
    ("training.batch_size", "true", "training.batch_size=True should be a number"),
    ("training.micro_batch_size", 64, "training.micro_batch_size=64 is above batch_size=32"),
    ("training.optimizer", "adam", "did you mean adamw?"),
    ("model.causal", True, "needs model.causal=false"),
    ("generation.temperature", float("nan"), "generation.temperature=nan should be"),
    ("model", "cpu2m", "model='cpu2m' should be the name of a preset (tiny_125m"),
    ("model", None, "model=None should be"),
    ("evaluation.ngram_orders", [], "evaluation.ngram_orders=[] has the wrong number of items"),
    ("pipeline.tokenizer", 5, "pipeline.tokenizer=5 should be 'bpe' or 'gpt2'"),
    ("", 5, "'' is no key"),
]


@pytest.mark.parametrize(("key", "value", "said"), ERRORS)
def test_bad_overrides_end_in_one_clear_line(key: str, value: Any, said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)) as caught:
        ProjectConfig.default().override(**{key: value})
    assert "\n" not in str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_what_the_network_reads_follows_the_objective() -> None:
    config = ProjectConfig.cpu_1m()
    assert (config.training.objective, config.model.dual, config.model.causal) == ("dual", True, False)
    twin = config.override(training={"objective": "autoregressive"}, model={"controls": False})
    assert (twin.model.dual, twin.model.causal) == (False, True)
    assert not config.override(**{"training.objective": "diffusion", "model": "cpu_2m"}).model.dual
    assert config.override(model="cpu_2m").model.dual
    with pytest.raises(UserError, match="training.objective=autoregressive needs model.causal=true"):
        config.override(**{"training.objective": "autoregressive", "model.causal": False, "model.controls": False})
    with pytest.raises(UserError, match="training.objective=dual needs model.dual=true"):
        config.override(model=ModelConfig.cpu_2m())


def test_a_stage_that_lacks_keys_does_not_make_its_list_too_short() -> None:
    with pytest.raises(UserError) as refused:
        ProjectConfig.default().override(**{"curriculum.stages": [{"name": "a", "format": "sentences", "epochs": 1}]})
    assert str(refused.value).startswith("curriculum.stages[0].mask_range is missing") and ";" not in str(refused.value)


def test_building_a_group_by_hand_raises_the_same_errors() -> None:
    with pytest.raises(UserError, match="did you mean d_model"):
        ModelConfig(**{"d_modell": 64})
    with pytest.raises(UserError, match=r"model.d_ff='x' should be"):
        ProjectConfig.from_dict({"model": {"d_ff": "x"}})
    with pytest.raises(UserError, match="groups by name"):
        ProjectConfig.from_dict([1])  # type: ignore[arg-type]


def test_a_copy_that_skipped_validation_is_caught() -> None:
    with pytest.raises(UserError, match=re.escape("stages[0].epochs=0")):
        CurriculumConfig.cpu(0, 1, 1)


def test_argument_namespace_mapping_and_order() -> None:
    base = ProjectConfig.default()
    args = argparse.Namespace(**{"model.n_layers": "4", "training.seed": None, "checkpoint": None, "model": None})
    assert base.override_from_args(args) == base.override(**{"model.n_layers": 4})
    assert base.override_from_args({"model.n_layers": 4, "training.seed": None}).model.n_layers == 4
    assert base.override_from_args(["model.n_layers=4", "model=cpu_2m"]).model == ModelConfig.cpu_2m()
    assert base.override_from_args(["model=cpu_2m", "model.n_layers=9"]).model.n_layers == 9
    with pytest.raises(UserError, match="write key=value"):
        base.override_from_args(["model.n_layers"])
    with pytest.raises(UserError, match="unknown key checkpoint"):
        base.override_from_args({"checkpoint": "x.pt"})


def test_a_plain_name_in_a_namespace_is_taken_when_it_is_unique() -> None:
    base = ProjectConfig.default()
    changed = base.override_from_args(argparse.Namespace(n_layers=4, learning_rate="0.5", top_k=None))
    assert changed == base.override(**{"model.n_layers": 4, "training.learning_rate": 0.5})
    for name, said in {
        "batch_size": "training.batch_size or evaluation.batch_size",
        "epochs": "curriculum.stages[0].epochs or study.epochs",
        "mask_range": "curriculum.stages[0].mask_range",
        "checkpoint": "checkpoint is no setting",
        "n_layer": "did you mean n_layers?",
    }.items():
        with pytest.raises(UserError, match=re.escape(said)):
            base.override_from_args(argparse.Namespace(**{name: 8}))


def test_heads_follow_the_width_unless_they_are_set() -> None:
    widths = {8: 1, 64: 1, 96: 2, 100: 2, 192: 3, 254: 1, 512: 8, 768: 12, 1536: 24}
    assert {width: ModelConfig(d_model=width).heads for width in widths} == widths
    assert ModelConfig(d_model=512, n_heads=4).heads == 4
    assert ProjectConfig.cpu_2m().override(**{"model.d_model": 256}).model.head_dim == 64


def test_a_config_that_names_its_heads_is_equal_in_effect_to_one_whose_heads_follow() -> None:
    base = ProjectConfig.default()
    named = ProjectConfig.from_dict(base.override(**{"model.n_heads": 12}).to_dict())
    assert named.model.n_heads == 12 and base.model.n_heads == 0
    assert named.differences(base) == {} and named.to_dict_in_full() == base.to_dict_in_full()
    assert set(base.differences(base.override(**{"model.n_heads": 6}))) == {"model.n_heads"}


def test_later_calls_win(tmp_path: Path) -> None:
    path = tmp_path / "experiment.yaml"
    path.write_text("training: {seed: 1, batch_size: 7}\nmodel.n_layers: 2\n")
    config = ProjectConfig.default().override_from_file(path).override_from_args(["training.seed=2"])
    assert (config.training.seed, config.training.batch_size, config.model.n_layers) == (2, 7, 2)
    assert config.override(**{"training.seed": 3}).training.seed == 3


FILES = {
    "a.py": '"""W."""\n# c\nmodel = {"n_layers": 2}\noverrides = {"curriculum.stages[0].epochs": 25}\n',
    "a.toml": '"curriculum.stages[0].epochs" = 25\n[model]\nn_layers = 2\n',
    "a.yaml": "model:\n  n_layers: 2\ncurriculum.stages[0].epochs: 25\n",
    "a.yml": "{model: {n_layers: 2}, curriculum: {'stages[0]': {epochs: 25}}}",
}


@pytest.mark.parametrize("name", FILES)
def test_files(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(FILES[name], encoding="utf-8")
    expected = ProjectConfig.default().override(**{"model.n_layers": 2, "curriculum.stages[0].epochs": 25})
    assert ProjectConfig.default().override_from_file(path) == expected


BAD_FILES = [
    ("a.py", "import os\n", "line 1: only assignments"),
    ("a.py", "model = open('x', 'w')\n", "line 1: model should be a literal"),
    ("a.py", "model = {\n", "not well formed"),
    ("a.py", "model['a'] = 3\n", "only assignments to names"),
    ("a.toml", "[model\n", "not well formed"),
    ("a.yaml", "model: [1\n", "not well formed"),
    ("a.yaml", "- 1\n", "should hold keys and values"),
    ("a.yaml", "1: 2\n", "1 is no key"),
    ("a.yml", "{", "not well formed"),
    ("a.yml", "model: {n_layer: 2}", "did you mean model.n_layers?"),
    ("a.txt", "", "should end in one of .py"),
]


@pytest.mark.parametrize(("name", "text", "said"), BAD_FILES)
def test_bad_files_are_refused_by_name(name: str, text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=re.escape(said)) as caught:
        ProjectConfig.default().override_from_file(path)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_unreadable_files_and_unknown_presets(tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe\xff")
    (tmp_path / "c.toml").mkdir()
    for path, said in (("a.toml", "cannot read"), ("b.toml", "UTF-8"), ("c.toml", "cannot read")):
        with pytest.raises(UserError, match=said):
            ProjectConfig.preset(tmp_path / path)
    with pytest.raises(UserError, match="did you mean memory_efficient"):
        ProjectConfig.preset("memory_eficient")
    with pytest.raises(UserError, match="take one of default, debug"):
        ProjectConfig.preset("zzzz")


def test_reference_has_each_setting_once_with_help() -> None:
    rows = describe(ProjectConfig)
    keys = [row.key for row in rows]
    assert len(set(keys)) == len(keys)
    assert all(row.description and row.type for row in rows)
    by_key = {row.key: row for row in rows}
    assert by_key["model.d_model"].type == "int >= 8"
    assert by_key["model.d_model"].default == "768"
    assert by_key["training.optimizer"].type == "muon | adamw"
    assert by_key["training.causal_share"].type == "[float, float]"
    assert by_key["study.twin_dropouts"].type == "list of float"
    assert by_key["pipeline.difficulty.lexical_rarity"].default == "0.3"
    assert by_key["curriculum.stages[i].epochs"].default == ""
    flat = [row.key for row in rows if "[i]" not in row.key and row.key != "curriculum.stages"]
    base = ProjectConfig.default()
    assert base.override_from_args([f"{key}={by_key[key].default}" for key in flat]) == base


@pytest.mark.parametrize(
    "text", ["model: &a {d_model: *a}", "training: {teachers: [&a [x, x], &b [*a, *a], [*b, *b]]}"]
)
def test_yaml_that_holds_itself_or_grows_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(UserError, match="aliases"):
        ProjectConfig.preset(str(tmp_path / "own.yaml"))
