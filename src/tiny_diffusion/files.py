"""Writing files whole or not at all."""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from .errors import UserError, WorldError

try:
    import fcntl
except ImportError:  # Windows, where a killed writer's temporary file stays unless its folder is locked
    fcntl = None  # type: ignore[assignment]

_TEMPORARY = re.compile(r"\.(.+)\.[a-z0-9_]{8}(\.part)?")  # what mkstemp makes; earlier versions gave it no suffix


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A binary file that takes the place of ``path`` only when the block ends well (temp file, fsync, rename).

    A link stays a link, a file keeps its mode, and a pipe or a device is written to directly. Raises UserError when the
    folder cannot be written, WorldError when the disk is full or fails; what stood at ``path`` before is kept in both
    cases.
    """
    path = path.resolve() if path.is_symlink() else path
    if path.exists() and not (path.is_file() or path.is_dir()):
        try:
            with path.open("wb") as file:
                yield file
        except BrokenPipeError:
            raise  # the reader had enough
        except OSError as error:
            raise WorldError(f"cannot write {path}: {error.strerror or error}") from error
        return
    make_folder(path.parent)
    with _temporary(path) as temporary:
        try:
            with temporary.open("wb") as file:
                yield file
                sync(file)
            temporary.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
            temporary.replace(path)
        except OSError as error:
            raise WorldError(f"cannot write {path}: {error.strerror or error}; the file before is kept") from error


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """A new file beside ``path``, removed at the end unless it was moved; first, those of killed writers are removed.

    A lock, which ends with its process, tells other processes that the file is in use.
    """
    _remove_abandoned(path)
    name, handle = "", -1
    try:
        while not name or not _hold(handle):  # a process that removes what is abandoned may have been quicker
            handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except PermissionError as error:
        raise UserError(f"cannot write into {path.parent}: permission denied") from error
    except OSError as error:
        raise WorldError(f"cannot write {path}: {error.strerror}") from error
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
        if fcntl is not None:
            os.close(handle)


def _hold(handle: int) -> bool:
    """Lock a new file; return whether it still has a name. An open file cannot be moved on Windows, so it is closed."""
    if fcntl is None:
        os.close(handle)
        return True
    with suppress(OSError):  # a file system without locks, on which nothing counts as abandoned either
        fcntl.flock(handle, fcntl.LOCK_EX)
    if os.fstat(handle).st_nlink:
        return True
    os.close(handle)
    return False


def _remove_abandoned(path: Path) -> None:
    """Remove the temporary files of ``path`` whose writers are gone."""
    if fcntl is None:
        return
    with suppress(OSError):  # a folder that cannot be listed
        for other in path.parent.iterdir():
            match = _TEMPORARY.fullmatch(other.name)
            if match and match[1] == path.name and match[2] and other.is_file():
                with suppress(OSError), other.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while its writer lives
                    other.unlink()


@contextmanager
def locked(folder: Path, work: str, written: Mapping[str, Sequence[str]]) -> Iterator[None]:
    """Make ``folder`` and let no other process do its ``work`` in it meanwhile; the system unlocks it at any end.

    Removes what killed writers left: the temporary files of ``written``, names by folder. Raises UserError if the
    folder is locked or cannot be written, WorldError when the disk is full or fails.
    """
    make_folder(folder)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(f"another {work} is writing into {folder}; wait for it or give another --output") from error
    except PermissionError as error:
        raise UserError(f"cannot write into {folder}: permission denied") from error
    except OSError as error:  # no room for another file, or a disk that can only be read
        raise WorldError(f"cannot write into {folder}: {error.strerror}") from error
    try:
        for part, names in written.items():
            remove_leftovers(folder / part, names)
        yield
    finally:
        lock.release()


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


def write_together(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files that belong together, by their names in ``folder``, or leave all as they were.

    All are on the disk before the first is moved to its place, and the first of ``contents`` is moved last: without it,
    the folder counts as unfinished. Removes what killed writers left; nobody else may be writing there meanwhile.
    """
    for name in contents:
        remove_leftovers((folder / name).parent, [Path(name).name])
    with ExitStack() as stack:  # its end moves the files in reverse order
        for name, content in contents.items():
            file = stack.enter_context(atomic_write(folder / name))
            file.write(content)
            sync(file)
        (folder / next(iter(contents))).unlink(missing_ok=True)


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
    if path.is_file() or not path.exists():  # else a pipe or a device
        check_folder((path.resolve() if path.is_symlink() else path).parent)


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
