"""Flags of settings: a command has one for each setting that it reads, and refuses all others."""

import click
import pytest
from click.testing import CliRunner

from tiny_diffusion.cli.main import COMMANDS, app
from tiny_diffusion.cli.settings import SETTINGS, changes
from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.errors import UserError

CONTROLS = {"sentence_length", "dialogue", "difficulty", "stage", "guidance"}
DRAWING = {
    "steps", "choice_noise", "block", "temperature", "top_k", "top_p", "min_p", "repetition_penalty",
    "repetition_window", "expert", "vocab_level", "cache_context", "precision",
}  # fmt: skip
DRAWN, TEXTS = {"sampler", *DRAWING, *CONTROLS}, {"num_samples", "seed", "words", "max_copied_words"}
GAPS = {"gap_sampler", "gap_tokens", "gap_candidates", "gap_rounds"}
LIKELIHOOD = {"split", "windows", "draws", "batch_size", "bootstrap", "seed"}
READING = {"reading", "drafts", "pick"}
RUN = {
    "objective", "causal_share", "max_steps", "early_stopping_patience", "cooldown_share", "time_budget_minutes",
    "sample_every_epochs", "tensorboard", "tracker", "teachers", "teacher_share", "student_epochs",
}  # fmt: skip


def names(section: str) -> set[str]:
    return {key.partition(".")[2] for key in SETTINGS if key.startswith(f"{section}.")}


def keys(**sections: set[str]) -> set[str]:
    return {f"{section}.{name}" for section, taken in sections.items() for name in taken}


SCORED = names("evaluation") - {"surprising_share", "blind_passages", "blind_words"}
STUDIED = {"model": names("model") - {"causal", "dual"}, "training": names("training") - RUN, "evaluation": LIKELIHOOD}
TRAINED = {section: names(section) for section in ("model", "training", "curriculum")}
SWEPT = keys(model={"dropout"}, training={"weight_decay", "eval_every_epochs"})
# Settings with a flag.
FLAGS = {
    "prepare": keys(pipeline=names("pipeline")),
    "train": keys(**TRAINED),
    "generate": keys(generation={*DRAWN, *READING, *TEXTS, "length", "ending", "layout"}),
    "infill": keys(generation={*DRAWING, *CONTROLS, *TEXTS, *GAPS}),
    "rewrite": keys(generation={*DRAWN, *TEXTS, "rewrite_strength"}),
    "evaluate": keys(generation={*DRAWN, *READING}, evaluation=SCORED),
    "blind-test": keys(generation={*DRAWN, *READING}),
    "score": keys(evaluation={"draws", "batch_size", "seed", "surprising_share"}),
    "twin": keys(**STUDIED, curriculum=names("curriculum")) - SWEPT,
    "compare": keys(**STUDIED),
    "ablation": keys(**STUDIED),
    "demo": {key for key in SETTINGS if not key.startswith(("study.", "page."))},
    "serve": keys(page=names("page")),
    "config": set(),
}
# Settings that --set takes beside these.
ALSO = {
    "prepare": keys(curriculum=names("curriculum")),
    "train": keys(generation=names("generation"), evaluation=names("evaluation")),
    "generate": keys(generation={*GAPS, "rewrite_strength"}),
    "blind-test": keys(evaluation={*LIKELIHOOD, "blind_passages", "blind_words"}),
    "score": keys(pipeline=names("pipeline"), training={"precision"}),
    "config": {*SETTINGS},
    **dict.fromkeys(("twin", "compare", "ablation"), keys(study=names("study"))),
}


def command_of(name: str) -> click.Command:
    command = app.get_command(click.Context(app), name)
    assert command is not None
    return command


def test_every_command_with_settings_is_listed() -> None:
    with_set = {name for name in COMMANDS if any("--set" in each.opts for each in command_of(name).params)}
    assert with_set == set(FLAGS)


@pytest.mark.parametrize("name", FLAGS)
def test_a_command_has_a_flag_for_each_setting_that_it_reads(name: str) -> None:
    flags = {flag[2:] for each in command_of(name).params for flag in each.opts if "." in flag}
    nested = {key.rpartition(".")[0] for key in flags if key.count(".") == 2}  # pipeline.difficulty has parts
    assert {*(key for key in flags if key.count(".") == 1), *nested} == FLAGS[name]


@pytest.mark.parametrize("name", FLAGS)
def test_set_takes_what_the_command_reads_and_refuses_the_rest(name: str) -> None:
    option = next(each for each in command_of(name).params if "--set" in each.opts)
    assert option.callback is not None
    with click.Context(command_of(name), info_name=name) as context:
        for key in SETTINGS:
            if key in FLAGS[name] | ALSO.get(name, set()):
                option.callback(context, option, (f"{key}=1",))
            else:
                with pytest.raises(UserError, match=f"{key} does nothing in {name}"):
                    option.callback(context, option, (f"{key}=1",))
        taken = {change.partition("=")[0] for change in changes(context)}
    assert taken == FLAGS[name] | ALSO.get(name, set())


def test_parts_of_lists_and_whole_sections_are_refused_too() -> None:
    for given in ("curriculum.stages[0].epochs=1", "curriculum=three_stage", "pipeline.difficulty.lexical_rarity=1"):
        result = CliRunner().invoke(app, ["compare", "--set", given], standalone_mode=False)
        assert isinstance(result.exception, UserError) and "does nothing in compare" in str(result.exception)


def test_a_short_flag_is_the_same_as_the_setting_with_its_key() -> None:
    def config(name: str, *arguments: str) -> ProjectConfig:
        with command_of(name).make_context(
            name, list(arguments), parent=click.Context(app, **app.context_settings)
        ) as context:
            return ProjectConfig.default().override_from_args(changes(context))

    base = ProjectConfig.default()
    assert config("generate", "--length", "7").generation.length == 7
    assert config("infill", "a ___", "--stage", "pairs") == base.override(**{"generation.stage": "pairs"})
    both = base.override(**{"evaluation.windows": 5, "evaluation.samples": 5})
    assert config("evaluate", "--eval-samples", "5") == both
    assert config("compare", "--epochs", "3, 9").study.epochs == (3, 9)
    assert config("twin", "--dropouts", "0.2").study.twin_dropouts == (0.2,)
    assert config("compare", "--sizes", "cpu_1m,cpu_2m").study.sizes == ("cpu_1m", "cpu_2m")
