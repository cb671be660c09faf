"""The base of all config classes: frozen, checked, and documented field by field."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from tiny_diffusion.errors import UserError

from .messages import describe_errors

LARGEST_SEED = 2**63 - 1
"""The largest seed of torch's generators."""
LARGEST_NUMPY_SEED = 2**32 - 1
"""The largest seed of scikit-learn's estimators."""


class Config(BaseModel):
    """A frozen group of settings that refuses unknown keys and values of the wrong type.

    The docstring of each field is its help text, in ``--help`` and in the reference.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        revalidate_instances="always",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )

    def __init__(self, /, **data: Any) -> None:
        """Check ``data`` and build the group.

        Raises:
            UserError: a key is unknown or missing, or a value is wrong; the line names the dotted key.
        """
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise UserError(describe_errors(type(self), error)) from None

    # Nested groups then skip this __init__, so that errors keep their full key.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_bool_as_number(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation in (int, float):
            raise ValueError("should be a number, not true or false")
        return value
