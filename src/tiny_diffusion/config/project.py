"""All settings of a project in one object, its presets, and the rules between its groups."""

import argparse
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from tiny_diffusion.errors import UserError

from .base import Config
from .curriculum_config import CurriculumConfig
from .dump import to_toml, to_yaml
from .evaluation_config import EvaluationConfig
from .generation_config import GenerationConfig
from .history import check_known, up_to_date
from .model_config import ModelConfig
from .overrides import SUFFIXES, apply_overrides, arguments_to_overrides, flatten, read_overrides
from .pipeline_config import GPT2_TOKENS, LEVEL_SIZES, NUM_RESERVED, PipelineConfig
from .study_config import StudyConfig
from .training_config import TrainingConfig

PRESETS = (
    "default",
    "debug",
    "comprehensive",
    "memory_efficient",
    "experimental",
    "cpu_1m",
    "cpu_2m",
    "cpu_10m",
    "cpu_30m",
    "demo",
    "smoke",
)


class ProjectConfig(Config):
    """Everything that a run or a study depends on. Later changes win: file, then command line, then code, as called."""

    model: ModelConfig = Field(ModelConfig(), description="the network's shape")
    training: TrainingConfig = Field(TrainingConfig(), description="how the weights are learnt")
    curriculum: CurriculumConfig = Field(CurriculumConfig(), description="the stages of training")
    generation: GenerationConfig = Field(GenerationConfig(), description="how text is drawn")
    pipeline: PipelineConfig = Field(PipelineConfig(), description="from a book to training rows")
    evaluation: EvaluationConfig = Field(EvaluationConfig(), description="what is measured")
    study: StudyConfig = Field(StudyConfig(), description="what the studies of many runs try")

    @model_validator(mode="after")
    def _check(self) -> Self:
        objective, model = self.training.objective, self.model
        for flag, needed in (("causal", objective == "autoregressive"), ("dual", objective == "dual")):
            if getattr(model, flag) != needed:
                raise ValueError(
                    f"training.objective={objective} needs model.{flag}={str(needed).lower()}, but "
                    f"model.{flag}={str(not needed).lower()}"
                )
        if self.pipeline.tokenizer == "gpt2" and self.pipeline.vocab_size > GPT2_TOKENS:
            raise ValueError(
                f"pipeline.vocab_size={self.pipeline.vocab_size} is above GPT-2's {GPT2_TOKENS} tokens "
                f"with pipeline.tokenizer=gpt2"
            )
        return self

    @property
    def vocab_size(self) -> int:
        """Token ids at most: the text tokens asked for and the reserved ids. A small book may give fewer."""
        level = LEVEL_SIZES.get(self.model.vocab_level, self.pipeline.vocab_size)
        return NUM_RESERVED + min(level, self.pipeline.vocab_size)

    @classmethod
    def default(cls) -> Self:
        """The description's full size and schedule: tiny_125m, three stages."""
        return cls()

    @classmethod
    def debug(cls) -> Self:
        """A run of seconds over real data, to see that all parts work together."""
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
        return cls(
            model=ModelConfig.memory_efficient_125m(),
            training=TrainingConfig.memory_efficient(),
            evaluation=EvaluationConfig.memory_efficient(),
        )

    @classmethod
    def experimental(cls) -> Self:
        """The full schedule with experimental_125m."""
        return cls(model=ModelConfig.experimental_125m())

    @classmethod
    def _cpu(cls, model: ModelConfig, curriculum: CurriculumConfig) -> Self:
        training = TrainingConfig(batch_size=16, warmup_steps=100, eval_every_epochs=5)
        return cls(model=model, training=training, curriculum=curriculum)

    @classmethod
    def cpu_1m(cls) -> Self:
        """About 1M parameters and 1,024 tokens: one book in minutes."""
        return cls._cpu(ModelConfig.cpu_1m(), CurriculumConfig.cpu(3, 3, 60))

    @classmethod
    def cpu_2m(cls) -> Self:
        """About 2M parameters and 1,024 tokens: one book on two cores in a quarter of an hour."""
        return cls._cpu(ModelConfig.cpu_2m(), CurriculumConfig.cpu(3, 3, 100))

    @classmethod
    def cpu_10m(cls) -> Self:
        """About 10M parameters and 2,048 tokens: the best that two cores learn of one book in about half an hour."""
        return cls._cpu(ModelConfig.cpu_10m(), CurriculumConfig.cpu(3, 3, 100))

    @classmethod
    def cpu_30m(cls) -> Self:
        """About 30M parameters and 4,096 tokens: many cores, or a small GPU."""
        return cls._cpu(ModelConfig.cpu_30m(), CurriculumConfig.cpu(3, 3, 40))

    @classmethod
    def demo(cls) -> Self:
        """The smallest run worth reading, for ``tiny-diffusion demo``: what learns most in a few hundred slow steps."""
        return cls.cpu_1m().override(
            curriculum=CurriculumConfig.cpu(1, 1, 24).model_dump(mode="json"),
            training={"batch_size": 8, "eval_every_epochs": 4, "sample_every_epochs": 0},
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
        """A preset by its name, or the default changed by a config file.

        Raises:
            UserError: there is no such preset or file.
        """
        name = str(name_or_path)
        if name in PRESETS:
            return getattr(cls, name)()
        if Path(name).suffix.lower() in SUFFIXES:
            return cls.default().override_from_file(name)
        near = get_close_matches(name, PRESETS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"take one of {', '.join(PRESETS)}, or a file"
        raise UserError(f"unknown preset {name!r}: {hint}" + (" (or name a file)" if near else ""))

    def override(self, **changes: Any) -> Self:
        """A copy with changes by dotted key: ``override(**{"model.d_model": 512})``.

        Groups take mappings (``model={"d_model": 512}``), presets' names, or config objects.

        Raises:
            UserError: a key is unknown (the nearest one is named) or the result is not valid.
        """
        return self.from_dict(apply_overrides(type(self), self.to_dict(), changes))

    def override_from_file(self, path: str | Path) -> Self:
        """A copy with the changes of a .py (read, not run), .toml, .yaml or .json file.

        Raises:
            UserError: the file cannot be read, or holds what ``override`` refuses.
        """
        changes = up_to_date(read_overrides(path))
        try:
            return self.from_dict(apply_overrides(type(self), self.to_dict(), changes))
        except UserError as error:
            raise UserError(f"config file {path}: {error}") from None

    def override_from_args(self, args: argparse.Namespace | Mapping[str, Any] | Sequence[str]) -> Self:
        """A copy with the command line's changes: a Namespace, a mapping, or a list of ``key=value``.

        Values that are None count as not given. A Namespace may name a setting by its last part, where that is
        unique: ``n_layers`` for ``model.n_layers``. Every other name in it is an error, so a program with arguments
        of its own passes only those that are settings: ``Namespace(n_layers=args.n_layers)``.

        Raises:
            UserError: what ``override`` refuses, a text that is not ``key=value``, or a plain name in a Namespace that
                is no setting or that of several.
        """
        changes = arguments_to_overrides(type(self), args)
        return self.from_dict(apply_overrides(type(self), self.to_dict(), changes))

    def differences(self, other: "ProjectConfig") -> dict[str, tuple[Any, Any]]:
        """Settings that differ in effect, by dotted key: this config's value and the other's."""
        own, others = flatten(self.to_dict_in_full()), flatten(other.to_dict_in_full())
        keys = [*own, *(key for key in others if key not in own)]
        return {key: (own.get(key), others.get(key)) for key in keys if own.get(key) != others.get(key)}

    def to_dict(self) -> dict[str, Any]:
        """All settings as nested dicts, lists, texts and numbers; ``from_dict`` reads it back exactly."""
        return self.model_dump(mode="json")

    def to_dict_in_full(self) -> dict[str, Any]:
        """``to_dict`` with the settings that follow from others filled in: equal for two configs of equal effect."""
        data = self.to_dict()
        data["model"]["n_heads"] = self.model.heads
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Build and check a config from ``to_dict``'s form.

        Raises:
            UserError: a key or a value is wrong.
        """
        if not isinstance(data, Mapping) or not all(isinstance(key, str) for key in data):
            raise UserError("a config should hold groups by name: " + ", ".join(cls.model_fields))
        return cls(**data)

    @classmethod
    def from_saved(cls, data: Mapping[str, Any], path: Path, written_by: str | None) -> Self:
        """Read what an earlier version may have saved in ``path``; settings that are gone are dropped with a note.

        Raises:
            UserError: a setting is unknown (the line names it, this version and ``written_by``), or a value is wrong.
        """
        current = up_to_date(data)
        check_known(cls, current, path, written_by)
        return cls.from_dict(current)

    def to_toml(self) -> str:
        """The resolved config as TOML; ``override_from_file`` reads it."""
        return to_toml(self.to_dict())

    def to_yaml(self) -> str:
        """The resolved config as YAML; ``override_from_file`` reads it."""
        return to_yaml(self.to_dict())
