"""Stores a blind test: passages, raters and answers in one SQLite file.

Every answer is a transaction of its own, so that nothing is lost when a rater stops, and several raters may answer at
the same time. A rater's state follows from the answers alone: the next question is the first one without an answer.
"""

import json
import random
import sqlite3
import unicodedata
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from ...errors import UserError
from ...files import make_folder
from .answers_file import ASPECTS, SCHEMA, begun, check_file, connect, sqlite_errors, transaction
from .records import Answer, BlindPassage, Origin, Progress, Question

QUESTIONS = ("verdict", *ASPECTS)
LONGEST_NAME = 20
ALL_RATERS = "all raters"  # the row for everybody in a report; no rater may have this name
# An answer that is still open: raters who rate owe all four values, the others only the verdict.
OPEN = f"(verdict IS NULL OR (rates = 1 AND ({' OR '.join(f'{aspect} IS NULL' for aspect in ASPECTS)})))"


class AnswerStore(AbstractContextManager["AnswerStore"]):
    """An open blind test. Use it as a context manager, or call ``close``."""

    def __init__(self, path: Path) -> None:
        """Open the test at ``path``; raises UserError if it is missing, damaged, foreign or of another version."""
        if not begun(path):
            raise UserError(f"no blind test at {path}; begin one: tiny-diffusion blind-test --rater NAME")
        self.path = path
        with sqlite_errors(path), ExitStack() as unless_whole:
            self._connection = unless_whole.enter_context(closing(connect(path, "rw")))
            check_file(self._connection, path)
            try:
                self.origin = Origin(**json.loads(self._all("SELECT content FROM origin")[0][0]))
            except (IndexError, TypeError, ValueError, RecursionError) as error:
                raise sqlite3.DatabaseError("its settings cannot be read") from error
            unless_whole.pop_all()

    @classmethod
    def create(cls, path: Path, origin: Origin, passages: list[BlindPassage]) -> Self:
        """Begin a test. If another process has begun one meanwhile, open that one: compare its ``origin``."""
        make_folder(path.parent)
        rows = [("real" if p.real else "generated", p.text) for p in passages]
        with sqlite_errors(path), closing(connect(path, "rwc")) as connection, transaction(connection):
            if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                for statement in SCHEMA.split(";\n"):
                    connection.execute(statement)
                connection.execute("INSERT INTO origin VALUES (1, ?)", (json.dumps(asdict(origin)),))
                connection.executemany("INSERT INTO passage (truth, text) VALUES (?, ?)", rows)
        return cls(path)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def join(self, rater: str, rates: bool | None) -> None:
        """Let ``rater`` begin, in an order of their own, or continue. ``rates``: None keeps what they began with.

        Raises UserError if ``rates`` is not what the rater began with.
        """
        with sqlite_errors(self.path), transaction(self._connection):
            row = self._one("SELECT rates FROM rater WHERE name = ?", rater)
            if row is not None:
                if rates is not None and rates != bool(row[0]):
                    began, flag = ("with", "--no-rate") if row[0] else ("without", "--rate")
                    raise UserError(f"{rater} began {began} ratings: leave {flag} out, or take another --rater name")
                return
            order = [number for (number,) in self._all("SELECT id FROM passage ORDER BY id")]
            random.Random(f"{self.origin.settings['evaluation.seed']} {rater}").shuffle(order)
            self._run("INSERT INTO rater VALUES (?, ?, ?)", rater, int(bool(rates)), _now())
            for position, passage in enumerate(order, start=1):
                self._run("INSERT INTO answer (rater, position, passage) VALUES (?, ?, ?)", rater, position, passage)

    def next_question(self, rater: str) -> Question | None:
        """The first question that ``rater`` has not answered yet, in their order; None if they have finished."""
        row = self._one(
            f"SELECT position, text, {', '.join(QUESTIONS)} FROM answer JOIN rater ON rater = name "
            f"JOIN passage ON passage = id WHERE rater = ? AND {OPEN} ORDER BY position",
            rater,
        )
        if row is None:
            return None
        position, text, *given = row
        [(total,)] = self._all("SELECT count(*) FROM answer WHERE rater = ?", rater)
        return Question(rater, position, total, text, ask=QUESTIONS[given.index(None)])

    def record(self, question: Question, value: str | int) -> None:
        """Store an answer: "real" or "generated" for a verdict, 1 to 5 for an aspect.

        Raises UserError if the question has been answered meanwhile.
        """
        query = "UPDATE answer SET {0} = ?, answered = ? WHERE rater = ? AND position = ? AND {0} IS NULL"
        if self._run(query.format(question.ask), value, _now(), question.rater, question.position) != 1:
            raise UserError(f"{question.rater} answers in another window too: go on in one of them")

    def undo(self, rater: str) -> bool:
        """Take the last answer back; False if there is none. Raises UserError once the rater has finished."""
        with sqlite_errors(self.path), transaction(self._connection):
            if self.next_question(rater) is None:
                raise UserError(f"{rater} has finished, so the answers are final")
            row = self._one(
                f"SELECT position, {', '.join(QUESTIONS)} FROM answer "
                "WHERE rater = ? AND verdict IS NOT NULL ORDER BY position DESC",
                rater,
            )
            if row is None:
                return False
            last = [ask for ask, value in zip(QUESTIONS, row[1:], strict=True) if value is not None][-1]
            self._run(f"UPDATE answer SET {last} = NULL WHERE rater = ? AND position = ?", rater, row[0])
            return True

    def progress(self) -> list[Progress]:
        """How far each rater is, in the order in which they began."""
        rows = self._all(
            f"SELECT name, sum(NOT {OPEN}), count(*) FROM answer JOIN rater ON rater = name "
            "GROUP BY name ORDER BY began, name"
        )
        return [Progress(*row) for row in rows]

    def answers(self) -> list[Answer]:
        """The answers of raters who have finished: figures of an unfinished rater could give away what a passage is."""
        finished = [p.rater for p in self.progress() if p.done == p.total]
        rows = self._all(
            f"SELECT rater, position, passage, text, truth = 'real', verdict = 'real', rates, {', '.join(ASPECTS)} "
            "FROM answer JOIN rater ON rater = name JOIN passage ON passage = id ORDER BY began, rater, position"
        )
        found = []
        for rater, position, passage, text, real, said_real, rates, *ratings in rows:
            if rater in finished:
                rated = dict(zip(ASPECTS, ratings, strict=True)) if rates else {}
                found.append(Answer(rater, position, passage, text, bool(real), bool(said_real), rated))
        return found

    def _one(self, query: str, *values: object) -> tuple[Any, ...] | None:
        found = self._all(f"{query} LIMIT 1", *values)
        return found[0] if found else None

    def _all(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with sqlite_errors(self.path):
            return self._connection.execute(query, values).fetchall()

    def _run(self, query: str, *values: object) -> int:
        """Execute a statement and return the number of rows changed."""
        with sqlite_errors(self.path):
            return self._connection.execute(query, values).rowcount


def checked_name(name: str) -> str:
    """A rater's name, stripped and composed; raises UserError if it is empty, long, not printable or reserved."""
    name = unicodedata.normalize("NFC", name.strip())
    if not name or len(name) > LONGEST_NAME or not name.isprintable() or name == ALL_RATERS:
        raise UserError(f"--rater {name!r} cannot be a name: give 1 to {LONGEST_NAME} printable characters")
    return name


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
