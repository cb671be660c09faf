"""A few kills of each kind; ``storm.py`` tries as many as wanted."""

from pathlib import Path

import pytest

from tests.storm.storm import KINDS, Storm


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_kill_at_any_instant_loses_nothing(tmp_path: Path, kind: str) -> None:
    assert not Storm(tmp_path).rage(kind, trials=3)
