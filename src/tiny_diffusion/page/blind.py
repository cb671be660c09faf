"""The blind test in the browser, over the same file of answers as the command ``blind-test``."""

import shlex
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from ..config import Config, EvaluationConfig, PageConfig
from ..data.artefacts import load_processed
from ..errors import UserError
from ..evaluation.blind_test.answers_file import begun
from ..evaluation.blind_test.beginning import begin_test
from ..evaluation.blind_test.statistics import report, score
from ..evaluation.blind_test.store import QUESTIONS, AnswerStore, checked_name
from .line import Event
from .shelf import Shelf

VERDICTS = ("real", "generated")


class Rater(Config):
    """A rater who begins or goes on; ``rates``: whether they rate style, fluency and sense too."""

    rater: str
    rates: bool | None = None


class NewTest(Config):
    """A blind test of so many passages, half of them by the checkpoint of that number."""

    passages: int
    seed: int
    model: int = Field(0, ge=0)


class Judgement(Rater):
    """A rater's answer to the question ``ask`` about the passage at ``position``."""

    position: int = Field(ge=1)
    ask: Literal["verdict", "style", "fluency", "sense"]
    value: int | str


class BlindTest:
    """The test in the file ``path``, begun here or by the command. There is one for each file."""

    def __init__(self, path: Path, checkpoint: Path, data_dir: Path | None) -> None:
        self.path = path
        names = {"--rater": "NAME", "--checkpoint": str(checkpoint), "--answers": str(path)}
        names |= {} if data_dir is None else {"--data-dir": str(data_dir)}
        self.command = shlex.join(["tiny-diffusion", "blind-test", *(part for pair in names.items() for part in pair)])

    def about(self) -> dict[str, Any]:
        """Whether there is a test, what it is about, and the command that begins one."""
        if not begun(self.path):
            usual = EvaluationConfig()
            return {"begun": False, "command": self.command, "passages": usual.blind_passages, "seed": usual.seed}
        with AnswerStore(self.path) as store:
            origin, settings = store.origin, store.origin.settings
            return {
                "begun": True,
                "book": origin.book,
                "made": origin.made,
                "words": settings.get("evaluation.blind_words"),
                "raters": [asdict(progress) for progress in store.progress()],
            }

    def begin(self, wish: NewTest, shelf: Shelf, page: PageConfig) -> Generator[Event, None, None]:
        """Make the passages, as the command does: ``progress`` after each that the model writes, then ``done``.

        Raises UserError if there is a test already, or no held-out text to make one from.
        """
        if begun(self.path):
            raise UserError(f"a blind test has begun already, in {self.path}")
        if shelf.data_dir is None:
            raise UserError("a blind test needs the prepared book: give serve its --data-dir")
        if wish.passages > page.most_passages:
            raise UserError(f"{wish.passages} passages are above {page.most_passages} (page.most_passages)")
        volume, data = shelf.volume(wish.model), load_processed(shelf.data_dir)
        chosen = {"evaluation.blind_passages": wish.passages, "evaluation.seed": wish.seed}
        config, model = volume.checkpoint.config.override(**chosen), volume.writer.model
        for done in begin_test(self.path, shelf.paths[wish.model], volume.checkpoint, model, data, config):
            yield "progress", {"done": done, "total": wish.passages // 2}
        yield "done", {}

    def join(self, wish: Rater) -> dict[str, Any]:
        """Let a rater begin or go on."""
        rater = checked_name(wish.rater)
        with AnswerStore(self.path) as store:
            store.join(rater, wish.rates)
            return _state(store, rater)

    def judge(self, wish: Judgement) -> dict[str, Any]:
        """Store an answer. Raises UserError unless it answers the rater's next question."""
        rater = checked_name(wish.rater)
        good = wish.value in VERDICTS if wish.ask == QUESTIONS[0] else wish.value in range(1, 6)
        if not good:
            raise UserError(f"{wish.value!r} does not answer {wish.ask}")
        with AnswerStore(self.path) as store:
            question = store.next_question(rater)
            if question is None or (question.position, question.ask) != (wish.position, wish.ask):
                raise UserError(f"{rater} answers in another window too: go on in one of them")
            store.record(question, wish.value)
            return _state(store, rater)

    def undo(self, wish: Rater) -> dict[str, Any]:
        """Take the rater's last answer back."""
        rater = checked_name(wish.rater)
        with AnswerStore(self.path) as store:
            store.undo(rater)
            return _state(store, rater)

    def results(self) -> dict[str, Any]:
        """The figures of all raters who have finished."""
        with AnswerStore(self.path) as store:
            found = report(store, EvaluationConfig().bootstrap)
            return {**asdict(found), "told_apart": found.told_apart}


def _state(store: AnswerStore, rater: str) -> dict[str, Any]:
    """The rater's next question, without its origin; for one who has finished, their score and what fooled them."""
    question = store.next_question(rater)
    if question is not None:
        return {"question": asdict(question)}
    answers = [answer for answer in store.answers() if answer.rater == rater]
    if not answers:
        raise UserError(f"{rater} has not begun")
    wrong = [answer for answer in answers if answer.said_real != answer.real]
    return {
        "score": asdict(score(rater, answers)),
        "wrong": [{"position": a.position, "real": a.real, "text": a.text} for a in wrong],
    }
