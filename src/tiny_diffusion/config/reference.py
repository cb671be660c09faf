"""The settings as a table, for ``--help`` and for the documentation."""

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from .messages import child_annotation, is_group
from .project import ProjectConfig

_BOUNDS = (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"))


@dataclass(frozen=True)
class Row:
    """One setting: its dotted key, type with bounds, default as text (empty if required), and meaning."""

    key: str
    type: str
    default: str
    description: str


def describe(cls: type[BaseModel], prefix: str = "", values: BaseModel | None = None) -> list[Row]:
    """Rows for every setting of ``cls``; nested groups become dotted keys, lists of groups ``[i]``.

    The defaults are those in ``values``, an object of ``cls``, or the class's own.
    """
    rows: list[Row] = []
    for name, field in cls.model_fields.items():
        key = f"{prefix}{name}"
        default = field.get_default(call_default_factory=True) if values is None else getattr(values, name)
        if is_group(field.annotation):
            rows += describe(field.annotation, f"{key}.", default)  # type: ignore[arg-type]
            continue
        shown = "" if values is None and field.is_required() else value_text(default)
        rows.append(Row(key, _type_text(field), shown, " ".join((field.description or "").split())))
        element = child_annotation(field.annotation, 0)
        if is_group(element):
            rows += describe(element, f"{key}[i].")
    return rows


def keys_of(*groups: type[BaseModel]) -> list[str]:
    """Dotted keys, such as ``generation.steps``, of the settings that ``groups`` declare or inherit."""
    return [
        f"{section}.{name}"
        for section, field in ProjectConfig.model_fields.items()
        for name in field.annotation.model_fields  # type: ignore[union-attr]
        if any(issubclass(group, _declaring(field.annotation, name)) for group in groups)  # type: ignore[arg-type]
    ]


def _declaring(section: type[BaseModel], name: str) -> type[BaseModel]:
    """The class that declares the field ``name``: the first group of ``section`` to have it, or ``section`` itself."""
    return next(cls for cls in reversed(section.__mro__) if name in getattr(cls, "model_fields", ()))


def value_text(value: Any) -> str:
    """A value as it is written in an override; groups in lists by their names."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(json.dumps(item) if isinstance(item, str) else value_text(item) for item in value) + "]"
    if isinstance(value, BaseModel):
        return str(getattr(value, "name", type(value).__name__))
    return str(value)


def _type_text(field: FieldInfo) -> str:
    text = _annotation_text(field.annotation)
    for constraint in field.metadata:
        for attribute, sign in _BOUNDS:
            bound = getattr(constraint, attribute, None)
            if bound is not None:
                text += f" {sign} {bound}"
    return text


def _annotation_text(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return " | ".join(str(choice) for choice in get_args(annotation))
    if get_origin(annotation) is tuple:
        args = get_args(annotation)
        if len(args) == 2 and args[1] is Ellipsis:
            return f"list of {_annotation_text(args[0])}"
        return "[" + ", ".join(_annotation_text(arg) for arg in args) + "]"
    if get_origin(annotation) is Annotated:  # an item of a list, with bounds of its own
        return _annotation_text(get_args(annotation)[0])
    return str(getattr(annotation, "__name__", annotation))
