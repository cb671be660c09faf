"""``train --test`` and ``train --test-integration``: checks that this installation works."""

import math
import tempfile
import time
from pathlib import Path

from ..config import ProjectConfig
from .console import say


def check_architecture() -> None:
    """Build a small model, train it for 30 steps on fixed ids, and check that the loss falls.

    Raises:
        WorldError: the loss does not begin near log 512, or does not fall.
    """
    import torch

    from ..config import ModelConfig
    from ..errors import WorldError
    from ..model.loss import diffusion_loss
    from ..model.schedule import uniform_time_masks
    from ..model.transformer import Transformer
    from ..runtime import generator_for

    began = time.perf_counter()
    torch.manual_seed(0)
    model = Transformer(ModelConfig.smoke(), 528, 16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    ids = torch.randint(16, 528, (8, 64), generator=generator_for(0))
    masked, t = uniform_time_masks(ids, model.schedule, generator_for(1))
    losses = []
    for _ in range(30):
        loss = diffusion_loss(model, ids, masked, t, weighting="mean") / masked.sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    if not losses[-1] < 0.8 * losses[0] or abs(losses[0] - math.log(512)) > 0.5:
        raise WorldError(
            f"the loss went from {losses[0]:.3f} to {losses[-1]:.3f}; it should begin near log 512 and fall"
        )
    seconds = time.perf_counter() - began
    total = model.config.parameters(model.vocab_size)
    say(f"ok: {total:,} parameters, loss {losses[0]:.3f} -> {losses[-1]:.3f} in {seconds:.1f} s")


def check_pipeline() -> None:
    """Prepare, train, load, generate and evaluate on a small text that every Python carries."""
    from ..checkpoint import load_checkpoint
    from ..data.artefacts import load_processed
    from ..data.pipeline import prepare
    from ..data.reading.example import write_reference_text
    from ..evaluation.report.evaluate import Report, evaluate
    from ..runtime import find_device
    from ..training.trainer import Trainer
    from ..writing.writer import Writer

    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        book = write_reference_text(folder / "book.txt", characters=60_000)
        config = ProjectConfig.smoke()
        for _ in prepare(book, folder / "processed", config.pipeline):
            pass
        data = load_processed(folder / "processed")
        trainer = Trainer(config, data, folder / "outputs")
        events = list(trainer.run())
        checkpoint = load_checkpoint(trainer.best_path)
        device = find_device(config.training.device)
        text = Writer(checkpoint.build(device), checkpoint.tokenizer).write("The value", config.generation)[0].text
        few = {"windows": 20, "draws": 4, "samples": 2, "novelty_steps": (), "temperatures": ()}
        settings = config.evaluation.model_copy(update=few)
        *_, report = evaluate(checkpoint, data, settings, config.generation, device)
        assert isinstance(report, Report)
    say(f"wrote: {text!r}")
    say(
        f"ok: {len(data.sentences):,} sentences, {trainer.progress.step} steps, {len(events)} events, test "
        f"{report.likelihood[0].bits_per_byte:.3f} bits per byte in {time.perf_counter() - began:.1f} s"
    )
