"""Writing files whole or not at all."""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO

from .errors import UserError, WorldError

_TEMPORARY = re.compile(r"\.(.+)\.[a-z0-9_]{8}")  # what mkstemp makes of the prefix that atomic_write gives it


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A binary file that takes the place of ``path`` only when the block ends well (temp file, fsync, rename).

    Raises UserError when the folder cannot be written, WorldError when the disk is full or fails; what stood at
    ``path`` before is kept in both cases.
    """
    make_folder(path.parent)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except PermissionError as error:
        raise UserError(f"cannot write into {path.parent}: permission denied") from error
    except OSError as error:
        raise WorldError(f"cannot write {path}: {error.strerror}") from error
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            sync(file)
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise WorldError(f"cannot write {path}: {error.strerror or error}; the file before is kept") from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path, names: Sequence[str]) -> None:
    """Remove the temporary files that killed writers of ``names`` (with wildcards) left in ``folder``.

    Nobody may be writing to these names meanwhile.
    """
    for path in folder.iterdir() if folder.is_dir() else ():
        match = _TEMPORARY.fullmatch(path.name)
        if match and path.is_file() and any(fnmatchcase(match[1], name) for name in names):
            path.unlink(missing_ok=True)


def sync(file: BinaryIO) -> None:
    """Bring what was written to the disk, so that a full one shows now."""
    file.flush()
    os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    with atomic_write(path) as file:
        file.write(text.encode("utf-8"))


def make_folder(path: Path) -> None:
    """Create a folder and its parents; raises UserError when it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise UserError(f"cannot make the folder {path}: {error.strerror}") from error
    except OSError as error:
        raise WorldError(f"cannot make the folder {path}: {error.strerror}") from error


def check_file(path: Path) -> None:
    """Raise UserError where no file can be written at ``path``; makes nothing. For a check before long work."""
    if path.is_dir():
        raise UserError(f"{path} is a folder: name a file")
    check_folder(path.parent)


def check_folder(path: Path) -> None:
    """Raise UserError where nothing can be written into the folder ``path``, there already or still to be made."""
    existing = path.absolute()
    try:
        while not existing.exists():
            existing = existing.parent
    except OSError as error:
        raise UserError(f"cannot write into {path}: {error.strerror}") from error
    if not existing.is_dir():
        raise UserError(f"cannot make the folder {path}: {existing} is a file")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"cannot write into {existing}: permission denied")


def fingerprint(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
