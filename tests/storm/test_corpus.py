"""What the guided fuzzer kept, and what it broke readers with, is read or refused; needs no atheris."""

import json
from pathlib import Path

import pytest

from tests.storm.guided import CORPUS, Readers

DEEP = b"[" * 15_000


@pytest.mark.long
def test_each_reader_takes_or_refuses_its_corpus(tmp_path: Path) -> None:
    readers = Readers(tmp_path)
    assert {folder.name for folder in CORPUS.iterdir()} <= readers.of.keys()
    for name, (_, good) in readers.of.items():
        for content in [*good, DEEP, *(path.read_bytes() for path in sorted((CORPUS / name).glob("*")))]:
            try:
                readers.read(name, content)
            except Exception as error:
                raise AssertionError(f"{name}: {content[:200]!r}") from error


def test_good_files_are_read(tmp_path: Path) -> None:
    """The seeds of the fuzzer are what its readers take: else it would only try refusals."""
    readers = Readers(tmp_path)
    for read, good in readers.of.values():
        for content in good:
            read(content)
    assert json.loads(readers.of["wish"][1][0])["task"] == "rewrite"
