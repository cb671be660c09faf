"""The SQLite file of a blind test: its schema, how it is opened, and SQLite's errors as messages of one line."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ...errors import UserError, WorldError
from ...files import make_folder

APPLICATION_ID = 0x74644254
SCHEMA_VERSION = 1
ASPECTS = ("style", "fluency", "sense")
WAIT_SECONDS = 30.0  # for another process's transaction, which takes milliseconds

SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
CREATE TABLE origin (id INTEGER PRIMARY KEY CHECK (id = 1), content TEXT NOT NULL);
CREATE TABLE passage (
    id INTEGER PRIMARY KEY, truth TEXT NOT NULL CHECK (truth IN ('real', 'generated')), text TEXT NOT NULL UNIQUE
);
CREATE TABLE rater (name TEXT PRIMARY KEY, rates INTEGER NOT NULL CHECK (rates IN (0, 1)), began TEXT NOT NULL);
CREATE TABLE answer (
    rater TEXT NOT NULL REFERENCES rater (name),
    position INTEGER NOT NULL,
    passage INTEGER NOT NULL REFERENCES passage (id),
    verdict TEXT CHECK (verdict IN ('real', 'generated')),
    {", ".join(f"{aspect} INTEGER CHECK ({aspect} BETWEEN 1 AND 5)" for aspect in ASPECTS)},
    answered TEXT,
    PRIMARY KEY (rater, position),
    UNIQUE (rater, passage)
);
"""


def begun(path: Path) -> bool:
    """Whether a file with content exists at ``path``; a file that is being made is still empty."""
    return path.exists() and path.stat().st_size > 0


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """Open the file; ``mode``: "rw", or "rwc" to make it if there is none."""
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    # isolation_level=None: each statement is committed by itself unless a transaction was begun.
    connection = sqlite3.connect(uri, uri=True, timeout=WAIT_SECONDS, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """A write transaction: committed at the end, rolled back if anything is raised inside it."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


def check_writable(path: Path) -> None:
    """Raise UserError or WorldError if ``path`` cannot be written; a new file stays empty, an old one as it is."""
    make_folder(path.parent)
    with sqlite_errors(path), closing(connect(path, "rwc")) as connection, transaction(connection):
        pass


def check_file(connection: sqlite3.Connection, path: Path) -> None:
    """Raise UserError unless this is a complete blind test of a version that this program reads."""
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise UserError(f"{path} is not a blind test of tiny_diffusion; give another --answers")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != SCHEMA_VERSION:
        raise UserError(f"{path} has version {version}; this program reads version {SCHEMA_VERSION}")
    if connection.execute("PRAGMA quick_check").fetchone() != ("ok",):
        raise sqlite3.DatabaseError("inconsistent pages")


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors with the file into a UserError or WorldError with a message of one line."""
    world = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    closed = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH)
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF  # the low byte is the kind of error
        if code in world:
            raise WorldError(f"cannot write {path}: {error}; what was answered before is kept") from error
        if code in closed:
            raise UserError(f"cannot open {path} for writing: {error}") from error
        raise UserError(f"{path} is damaged or no SQLite file ({error}); give another --answers") from error
