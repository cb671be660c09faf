"""Removed settings and samplers: older checkpoints, run states and config files may still name them."""

import copy
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from tiny_diffusion.errors import UserError
from tiny_diffusion.version import PROGRAM_VERSION

from .messages import join_key
from .overrides import flatten

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gone:
    """A removed setting: the version that removed it, its default then, and its present key, if any."""

    since: str
    default: Any = None
    now: str | None = None


GONE = {
    "study.twin_patience": Gone("0.1.0"),
    "generation.entropy_bound": Gone("0.2.0", 2.0),
    "generation.threshold": Gone("0.2.0", 0.9),
    "generation.remasking": Gone("0.2.0", 0.1),
    "generation.planning": Gone("0.2.0", 1.0),
}
SAMPLERS_NOW = {
    "entropy_bounded": "entropy",
    "threshold": "confidence",
    "remasking": "ancestral",
    "planner": "confidence",
}
"""Samplers that moved to ``examples/more_samplers.py``, and the nearest one that is left."""


def up_to_date(data: Mapping[str, Any], gone: Mapping[str, Gone] = GONE) -> dict[str, Any]:
    """A copy of nested settings without the ones in ``gone``; a renamed one keeps its value.

    Each is logged, unless it had its default: then it changed nothing.
    """
    result = copy.deepcopy(dict(data))
    for key, what in gone.items():
        group, name = _parent(result, key)
        if group is None or name not in group:
            continue
        value = group.pop(name)
        if what.now is None:
            if value == what.default:
                continue
            log.warning("the setting %s (%s) is gone since version %s and was left out", key, value, what.since)
            continue
        target, new = _parent(result, what.now, create=True)
        assert target is not None
        target.setdefault(new, value)
        log.warning("the setting %s is called %s since version %s", key, what.now, what.since)
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


def _parent(data: dict[str, Any], key: str, create: bool = False) -> tuple[dict[str, Any] | None, str]:
    """The group that holds a dotted ``key``, or None, and the key's last part."""
    *groups, name = key.split(".")
    node: Any = data
    for group in groups:
        node = node.setdefault(group, {}) if create else node.get(group)
        if not isinstance(node, dict):
            return None, name
    return node, name


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
