"""Removed settings and samplers: older checkpoints, run states and config files may still name them."""

import copy
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from tiny_diffusion.errors import UserError
from tiny_diffusion.version import PROGRAM_VERSION

from .messages import join_key
from .overrides import flatten

log = logging.getLogger(__name__)


GONE: dict[str, tuple[str, Any]] = {
    "study.twin_patience": ("0.1.0", None),
    "generation.entropy_bound": ("0.2.0", 2.0),
    "generation.threshold": ("0.2.0", 0.9),
    "generation.remasking": ("0.2.0", 0.1),
    "generation.planning": ("0.2.0", 1.0),
}
"""Removed settings: the version that removed each, and its default then."""
SAMPLERS_NOW = {
    "entropy_bounded": "entropy",
    "threshold": "confidence",
    "remasking": "ancestral",
    "planner": "confidence",
}
"""Samplers that moved to ``examples/more_samplers.py``, and the nearest one that is left."""


def up_to_date(data: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of nested settings without removed ones; each is logged, unless its default made it change nothing."""
    result = copy.deepcopy(dict(data))
    for key, (since, default) in GONE.items():
        section, _, name = key.partition(".")
        group = result.get(section)  # in a config file it may be the name of a preset
        if isinstance(group, dict) and name in group and (value := group.pop(name)) != default:
            log.warning("the setting %s (%s) is gone since version %s and was left out", key, value, since)
    return result


def samplers_of_today(data: Mapping[str, Any]) -> dict[str, Any]:
    """Saved settings with the nearest sampler in place of one that moved; the change is logged."""
    result = copy.deepcopy(dict(data))
    for key, name, now in _moved_samplers(data):
        log.warning("%s=%s is an example now; %s takes its place", key, name, now)
        result["generation"][key.partition(".")[2]] = now
    return result


def refuse_moved_samplers(data: Mapping[str, Any]) -> None:
    """Raise UserError if the settings of a config file name a sampler that moved."""
    for key, name, now in _moved_samplers(data):
        raise UserError(f"{key}={name} is an example now (examples/more_samplers.py): take {now}")


def _moved_samplers(data: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Key, sampler, and the nearest one that is left, for each sampler in ``data`` that moved."""
    leaves = flatten(dict(data))
    for key in ("generation.sampler", "generation.gap_sampler"):
        name = leaves.get(key)
        if name in SAMPLERS_NOW:
            yield key, name, SAMPLERS_NOW[name]


def check_known(cls: type[BaseModel], data: Mapping[str, Any], path: Path, written_by: str | None) -> None:
    """Refuse settings saved in ``path`` by version ``written_by`` that this version does not have.

    Raises:
        UserError: a setting is unknown; the line names it and both versions.
    """
    try:
        cls.model_validate(data)
    except ValidationError as error:
        unknown = [join_key(tuple(item["loc"])) for item in error.errors() if item["type"] == "extra_forbidden"]
        if unknown:
            writer = f"version {written_by}" if written_by else "a version that did not say its number"
            raise UserError(
                f"{path} was written by {writer} and holds the setting {unknown[0]}, which this version "
                f"({PROGRAM_VERSION}) does not have: read it with the version that wrote it, or a newer one"
            ) from None
