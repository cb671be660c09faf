"""Whether a run is compiled: where it is long enough and the machine can."""

import pytest
import torch

from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.errors import UserError
from tiny_diffusion.model import flops
from tiny_diffusion.model.flops import wants_compile


def test_compilation_is_chosen_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, config, steps = torch.device("cpu"), ProjectConfig.cpu_2m(), 5_000

    def chosen(choice: str, steps: int) -> bool:
        return wants_compile(config.override(**{"training.compile": choice}), 1040, steps, cpu)

    monkeypatch.setattr(flops, "can_compile", lambda device: True)
    for fast in (False, True):
        monkeypatch.setattr(flops, "fast_bfloat16", lambda device, fast=fast: fast)
        assert [chosen(c, steps) for c in ("auto", "on", "off")] == [fast, True, False]
        assert not chosen("auto", 10)
    monkeypatch.setattr(flops, "can_compile", lambda device: False)
    assert not chosen("auto", steps)
    with pytest.raises(UserError, match=r"C\+\+ compiler"):
        chosen("on", steps)
