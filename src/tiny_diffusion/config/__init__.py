"""All settings: frozen, validated and documented field by field, in sections under one ``ProjectConfig``.

The package imports pydantic and the errors of ``tiny_diffusion``, and nothing else of the project.
Start with ``project.py``, then read the ``*_config.py`` module of the section that you need.
"""

from .base import Config
from .curriculum_config import CurriculumConfig, StageConfig
from .evaluation_config import SCORING, BlindTest, EvaluationConfig, HeldOut, Marks, Passes, ReportSettings
from .generation_config import (
    CONTROL_ROWS,
    CONTROLS,
    Continuation,
    Controls,
    Drawing,
    Gaps,
    GenerationConfig,
    Order,
    Reading,
    Rewriting,
    Sampler,
    Texts,
)
from .model_config import ModelConfig
from .page_config import PageConfig
from .pipeline_config import PipelineConfig
from .project import PRESETS, ProjectConfig
from .reference import Row, describe, keys_of, value_text
from .study_config import StudyConfig
from .training_config import Optimisation, SingleRun, TrainingConfig

__all__ = [
    "CONTROLS", "CONTROL_ROWS", "PRESETS", "SCORING", "BlindTest", "Config", "Continuation", "Controls",
    "CurriculumConfig", "Drawing", "EvaluationConfig", "Gaps", "GenerationConfig", "HeldOut", "Marks", "ModelConfig",
    "Optimisation", "Order", "PageConfig", "Passes", "PipelineConfig", "ProjectConfig", "Reading", "ReportSettings",
    "Rewriting", "Row", "Sampler", "SingleRun", "StageConfig", "StudyConfig", "Texts", "TrainingConfig", "describe",
    "keys_of", "value_text",
]  # fmt: skip
