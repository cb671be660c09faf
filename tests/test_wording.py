"""Counts and lengths of time as text, and back."""

import pytest

from tiny_diffusion.errors import UserError
from tiny_diffusion.wording import counted, duration, read_duration


def test_one_of_a_thing_has_no_plural() -> None:
    assert [counted(n, "epoch") for n in (0, 1, 2, 2000)] == ["0 epochs", "1 epoch", "2 epochs", "2,000 epochs"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("20m", 1200), ("2h", 7200), ("1h30m", 5400), (" 1H2M3S ", 3723)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert read_duration(text, "--time-budget") == seconds


@pytest.mark.parametrize("text", ["", "20", "0s", "-5m", "1.5h", "5 m", "30m1h", "soon"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="--time-budget.*write it like"):
        read_duration(text, "--time-budget")


def test_durations_are_shown() -> None:
    shown = [duration(s) for s in (7.9, 190, 7_500, 1e6, float("nan"))]
    assert shown == ["8s", "3m10s", "2h05m", "11 days", "?"]
