"""Begins a blind test: passages of the test split, and as many that the checkpoint writes, in a new file."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

from ...checkpoint import Checkpoint, check_same_data
from ...config import ProjectConfig
from ...data.artefacts import Processed
from ...files import fingerprint
from ...model.transformer import Transformer
from ...writing.writer import Writer
from .answers_file import check_writable
from .passages import mix, real_passages, write_passages
from .records import Origin, kept_settings
from .store import AnswerStore


def begin_test(
    path: Path, source: Path, checkpoint: Checkpoint, model: Transformer, data: Processed, config: ProjectConfig
) -> Iterator[int]:
    """Make the test at ``path``, unless another process begins one meanwhile; yields how many passages are written.

    ``checkpoint`` was read from ``source``, and ``model`` has its weights. Raises UserError if the data is not the
    checkpoint's, if there are too few passages, or if the file cannot be written.
    """
    check_same_data(checkpoint, data)
    settings = config.evaluation
    half = settings.blind_passages // 2
    real = real_passages(data.texts("test"), data.language, settings.blind_words, half, settings.seed)
    check_writable(path)  # before the passages are written, which takes long
    writer = Writer(model, checkpoint.tokenizer, lines=checkpoint.keeps_lines)
    generated = []
    for passage in write_passages(writer, data, settings, config.generation):
        generated.append(passage)
        yield len(generated)
    origin = Origin(
        settings=kept_settings(config),
        checkpoint=str(source),
        checkpoint_hash=fingerprint(source),
        book=data.source,
        data=data.identity,
        made=date.today().isoformat(),
    )
    AnswerStore.create(path, origin, mix(real, generated, settings.seed)).close()
