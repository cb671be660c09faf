"""A text that every Python installation contains, for the demo, the self-test and the benchmarks."""

from pathlib import Path
from pydoc_data import topics as reference

from ...files import write_text


def write_reference_text(path: Path, characters: int | None = None) -> Path:
    """Write Python's language reference (the text behind ``help()``) to ``path``, or only its first ``characters``."""
    text = "\n\n".join(reference.topics[name] for name in sorted(reference.topics))
    write_text(path, text[:characters])
    return path
