"""All settings of a project in one object: its presets, and the rules between its sections."""

import argparse
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self

from pydantic import model_validator

from tiny_diffusion.errors import UserError

from .base import Config
from .curriculum_config import CurriculumConfig
from .evaluation_config import EvaluationConfig
from .files import SUFFIXES, read_overrides, to_toml
from .generation_config import GenerationConfig
from .history import check_known, refuse_moved_samplers, samplers_of_today, up_to_date
from .model_config import ModelConfig
from .overrides import apply_overrides, arguments_to_overrides, flatten, group_presets
from .page_config import PageConfig
from .pipeline_config import GPT2_TOKENS, LEVEL_SIZES, NUM_RESERVED, PipelineConfig
from .study_config import StudyConfig
from .training_config import TrainingConfig

READINGS = {"causal": "autoregressive", "dual": "dual"}
"""Settings of the model, and the objective that needs each of them; every other objective needs it off."""


class ProjectConfig(Config):
    """Everything that a run or a study depends on. Of several changes the one that is called last wins."""

    model: ModelConfig = ModelConfig()
    """The network's shape."""
    training: TrainingConfig = TrainingConfig()
    """How the weights are learnt."""
    curriculum: CurriculumConfig = CurriculumConfig()
    """The stages of training."""
    generation: GenerationConfig = GenerationConfig()
    """How text is drawn."""
    pipeline: PipelineConfig = PipelineConfig()
    """From a book to training rows."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """What is measured."""
    study: StudyConfig = StudyConfig()
    """What the studies of many runs try."""
    page: PageConfig = PageConfig()
    """What the page of serve allows."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        objective = self.training.objective
        for name, of_objective in READINGS.items():
            needed = objective == of_objective
            if getattr(self.model, name) != needed:
                now, other = str(needed).lower(), str(not needed).lower()
                raise ValueError(f"training.objective={objective} needs model.{name}={now}, but model.{name}={other}")
        if self.pipeline.tokenizer == "gpt2" and self.pipeline.vocab_size > GPT2_TOKENS:
            raise ValueError(
                f"pipeline.vocab_size={self.pipeline.vocab_size} is above GPT-2's {GPT2_TOKENS} tokens "
                f"with pipeline.tokenizer=gpt2"
            )
        return self

    @property
    def vocab_size(self) -> int:
        """Largest number of token ids: text tokens of the level and reserved ids. A small book may give fewer."""
        level = LEVEL_SIZES.get(self.model.vocab_level, self.pipeline.vocab_size)
        return NUM_RESERVED + min(level, self.pipeline.vocab_size)

    @property
    def stage_levels(self) -> list[int]:
        """Vocabulary level of each stage's text: the stage's own, but at most the model's."""
        return [min(stage.vocab_level, self.model.vocab_level) for stage in self.curriculum.stages]

    @classmethod
    def default(cls) -> Self:
        """The description's full size and schedule: tiny_125m, three stages."""
        return cls()

    @classmethod
    def debug(cls) -> Self:
        """A run of seconds over real data, to check that all parts work together."""
        return cls(
            model=ModelConfig.smoke(),
            training=TrainingConfig.fast_debug(),
            curriculum=CurriculumConfig.fast_debug(),
            generation=GenerationConfig(steps=16, length=48),
            pipeline=PipelineConfig(**{**PipelineConfig.fast_processing().model_dump(), "vocab_size": 2048}),
            evaluation=EvaluationConfig(**{**EvaluationConfig.fast().model_dump(), "sample_tokens": 48}),
        )

    @classmethod
    def comprehensive(cls) -> Self:
        """The full size with the research curriculum and the closest evaluation."""
        return cls(curriculum=CurriculumConfig.research_config(), evaluation=EvaluationConfig.comprehensive())

    @classmethod
    def memory_efficient(cls) -> Self:
        """About 125M parameters within 8 GB."""
        model, training = ModelConfig.memory_efficient_125m(), TrainingConfig.memory_efficient()
        return cls(model=model, training=training, evaluation=EvaluationConfig.memory_efficient())

    @classmethod
    def experimental(cls) -> Self:
        """The full schedule with experimental_125m."""
        return cls(model=ModelConfig.experimental_125m())

    @classmethod
    def _cpu(cls, model: ModelConfig, epochs: int, batch_size: int = 16) -> Self:
        """Both readings in one network; its causal half memorises the book in more than about 25 epochs."""
        training = TrainingConfig(
            objective="dual", batch_size=batch_size, warmup_steps=100, eval_every_epochs=5, merge_dropout=0.05
        )
        model, curriculum = model.model_copy(update={"dual": True}), CurriculumConfig.cpu(1, 1, epochs)
        return cls(model=model, training=training, curriculum=curriculum)

    @classmethod
    def cpu_1m(cls) -> Self:
        """About 1M parameters and 1,024 tokens: one book in minutes."""
        return cls._cpu(ModelConfig.cpu_1m(), epochs=24, batch_size=8)

    @classmethod
    def cpu_2m(cls) -> Self:
        """About 2M parameters and 1,024 tokens: the best model of one book that two cores train in minutes."""
        return cls._cpu(ModelConfig.cpu_2m(), epochs=25)

    @classmethod
    def cpu_5m(cls) -> Self:
        """About 5M parameters and 1,024 tokens: a little better than 2M, in three times as long (docs/results.md)."""
        return cls._cpu(ModelConfig.cpu_5m(), epochs=25)

    @classmethod
    def cpu_10m(cls) -> Self:
        """About 10M parameters and 2,048 tokens: for a book of some megabytes; one novel does not need it."""
        return cls._cpu(ModelConfig.cpu_10m(), epochs=25)

    @classmethod
    def cpu_30m(cls) -> Self:
        """About 30M parameters and 4,096 tokens: many cores, or a small GPU."""
        return cls._cpu(ModelConfig.cpu_30m(), epochs=25)

    @classmethod
    def demo(cls) -> Self:
        """The smallest run worth reading, for ``tiny-diffusion demo``: learns most in a few hundred slow steps."""
        return cls.cpu_1m().override(
            # Its five minutes may end before the words come in the tokens in which the model writes.
            training={"eval_every_epochs": 4, "sample_every_epochs": 0, "merge_dropout": 0.0},
            evaluation={
                "draws": 16,
                "samples": 8,
                "chain_rule": False,
                "breakdown_draws": 2,
                "ppm_order": 0,
                "novelty_steps": [16],
                "temperatures": [0.6, 1.0],
            },
        )

    @classmethod
    def smoke(cls) -> Self:
        """The smallest model and one epoch a stage, for tests."""
        return cls.debug().override(pipeline={"vocab_size": 512}, training={"validation_draws": 2})

    @classmethod
    def preset(cls, name_or_path: str | Path) -> Self:
        """A preset by its name, or the default changed by a config file; raises UserError if there is no such."""
        name = str(name_or_path)
        if name in PRESETS:
            return getattr(cls, name)()
        if Path(name).suffix.lower() in SUFFIXES:
            return cls.default().override_from_file(name)
        near = get_close_matches(name, PRESETS, n=1)
        hint = (
            f"did you mean {near[0]}? (or name a file)"
            if near
            else f"take one of {', '.join(PRESETS)}, or a .toml, .yaml or .py file"
        )
        raise UserError(f"unknown preset {name!r}: {hint}")

    def override(self, **changes: Any) -> Self:
        """A copy with changes by dotted key: ``override(**{"model.d_model": 512})``.

        Groups take mappings (``model={"d_model": 512}``), presets' names, or config objects. Raises UserError for an
        unknown key, with the nearest one, and if the result is not valid.
        """
        return self.from_dict(self._changed(changes))

    def override_from_file(self, path: str | Path) -> Self:
        """A copy with the changes of a .py (parsed, never run), .toml or .yaml file.

        Raises UserError if the file cannot be read, or ``override`` refuses a change.
        """
        changes = up_to_date(read_overrides(path))
        try:
            refuse_moved_samplers(changes)
            return self.from_dict(self._changed(changes))
        except UserError as error:
            raise UserError(f"config file {path}: {error}") from None

    def override_from_args(self, args: argparse.Namespace | Mapping[str, Any] | Sequence[str]) -> Self:
        """A copy with the command line's changes: a Namespace, a mapping, or a list of ``key=value``.

        Values that are None count as not given. A Namespace may name a setting by its last part if that is unique:
        ``n_layers`` for ``model.n_layers``. Any other name is an error, so a program with arguments of its own passes
        only its settings: ``Namespace(n_layers=args.n_layers)``.
        Raises UserError if ``override`` refuses a change, a text is not ``key=value``, or a plain name is no setting or
        fits several.
        """
        return self.from_dict(self._changed(arguments_to_overrides(type(self), args)))

    def _changed(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """``to_dict`` with ``changes``; what the network reads follows ``training.objective`` unless it is given."""
        data = apply_overrides(type(self), self.to_dict(), changes)
        given = {f"model.{name}" for name in READINGS} & flatten(dict(changes)).keys()
        if not given and not isinstance(changes.get("model"), ModelConfig):
            data["model"] |= {name: data["training"]["objective"] == objective for name, objective in READINGS.items()}
        return data

    def differences(self, other: "ProjectConfig") -> dict[str, tuple[Any, Any]]:
        """Settings whose effect differs, by dotted key: this config's value and the other's."""
        own, others = flatten(self.to_dict_in_full()), flatten(other.to_dict_in_full())
        keys = [*own, *(key for key in others if key not in own)]
        return {key: (own.get(key), others.get(key)) for key in keys if own.get(key) != others.get(key)}

    def to_dict(self) -> dict[str, Any]:
        """All settings as nested dicts, lists, texts and numbers; ``from_dict`` reads it back exactly."""
        return self.model_dump(mode="json")

    def to_dict_in_full(self) -> dict[str, Any]:
        """``to_dict`` with derived settings filled in: equal for two configs of equal effect."""
        data = self.to_dict()
        data["model"]["n_heads"] = self.model.heads
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Build and check a config from ``to_dict``'s form; raises UserError if a key or a value is wrong."""
        if not isinstance(data, Mapping) or not all(isinstance(key, str) for key in data):
            raise UserError("a config should hold groups by name: " + ", ".join(cls.model_fields))
        return cls(**data)

    @classmethod
    def from_saved(cls, data: Mapping[str, Any], path: Path, written_by: str | None) -> Self:
        """Read settings that an earlier version may have saved in ``path``; removed ones are dropped with a note.

        Raises UserError if a setting is unknown (the line names it, this version and ``written_by``) or a value wrong.
        """
        current = samplers_of_today(up_to_date(data))
        check_known(cls, current, path, written_by)
        return cls.from_dict(current)

    def to_toml(self) -> str:
        """The resolved config as TOML; ``override_from_file`` reads it."""
        return to_toml(self.to_dict())


PRESETS = tuple(group_presets(ProjectConfig))
