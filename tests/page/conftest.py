"""Two checkpoints of a tiny untrained model with both readings, and a page over them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tiny_diffusion.checkpoint import Checkpoint, new_model, save_checkpoint
from tiny_diffusion.config import PageConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory, config: ProjectConfig, data: Processed) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    dual = config.override(**{"training.objective": "dual", "generation.steps": 64})
    paths = []
    for name, seed in (("first", 0), ("second", 1)):
        torch.manual_seed(seed)
        weights = new_model(dual, data.tokenizer).state_dict()
        meta = {"data": data.identity, "language": "en", "source": "book.txt", "validation_bits_per_byte": 5.5}
        paths.append(folder / name / "best_model.pt")
        save_checkpoint(paths[-1], Checkpoint(dual, data.tokenizer, weights, meta))
    return paths


@pytest.fixture
def make_page(checkpoints: list[Path], prepared: Path, tmp_path: Path) -> Callable[..., object]:
    """A page over both checkpoints, with settings of its own."""
    pytest.importorskip("starlette", reason="the page needs the extra [app]")
    from tiny_diffusion.page.app import Page
    from tiny_diffusion.page.blind import BlindTest
    from tiny_diffusion.page.door import Door
    from tiny_diffusion.page.shelf import make_shelf

    def make(*, local: bool = True, paths: list[Path] | None = None, **settings: float) -> Page:
        shelf = make_shelf(paths or checkpoints, prepared, torch.device("cpu"), must_match=paths is None)
        blind = BlindTest(tmp_path / "blind.sqlite", checkpoints[0], prepared)
        return Page(shelf, blind, PageConfig(**settings), Door(local=local))

    return make
