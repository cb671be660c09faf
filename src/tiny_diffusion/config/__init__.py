"""Settings: frozen, validated, documented groups under one ``ProjectConfig``."""

from .base import Config
from .curriculum_config import CurriculumConfig, StageConfig
from .evaluation_config import EvaluationConfig
from .generation_config import GenerationConfig
from .model_config import ModelConfig
from .pipeline_config import PipelineConfig
from .project import ProjectConfig
from .study_config import StudyConfig
from .training_config import TrainingConfig

__all__ = [
    "Config",
    "CurriculumConfig",
    "EvaluationConfig",
    "GenerationConfig",
    "ModelConfig",
    "PipelineConfig",
    "ProjectConfig",
    "StageConfig",
    "StudyConfig",
    "TrainingConfig",
]
