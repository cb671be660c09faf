"""Chooses the size, epochs and batch with the lowest expected held-out bits per byte within a time limit.

The law, fitted by ``benchmarks/fit_budget.py`` to the runs in ``benchmarks/budget_runs.jsonl``:

    bpb = floor + (start - floor) / (1 + (seen / half(size))^power)
    floor = floor(size) + small_batch * max(0, log2(2,048 / tokens of a batch))

``start`` is the figure of token frequencies alone. ``seen`` is the amount of text read in the last stage, epochs times
the training text, in MB, over (tokens of a batch / 2,048)^batch_power; at ``half`` of it, half the improvement is made.
No constant is negative, so that more epochs never look worse. Small batches learn faster and end higher. The law
holds up to ``most_epochs`` of a size, and no longer run is a candidate: a model that is too large for its book
memorises it. The law knows nothing of a shelf but its time. It extrapolates to books far from ``book_bytes`` and to
other shapes. It does not know the floor of another book, but that shifts all candidates alike.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files

from pydantic import TypeAdapter

from ..errors import UserError
from ..training.run_time import DAY, Pace

BATCH_TOKENS = 2048
EARLY = 1  # epochs of each stage before the last, as in the source runs
VALIDATIONS = 8  # in the last stage
SAMPLES = 2


@dataclass(frozen=True)
class SizeLaw:
    """The law's constants for one size, and the most epochs and the batches (in rows) of its source runs."""

    parameters: int
    floor: float
    half: float
    most_epochs: int
    batches: tuple[int, ...]


@dataclass(frozen=True)
class StudentLaw:
    """What a student of so many ``members`` of their most epochs gained over one of them, in bits per byte."""

    members: int
    gain: float


@dataclass(frozen=True)
class Law:
    """Expected test bits per byte by size, text seen and batch; ``error`` is the root mean square error of the fit."""

    students: tuple[StudentLaw, ...]
    sizes: dict[str, SizeLaw]
    start: float
    power: float
    batch_power: float
    small_batch: float
    book_bytes: int
    error: float

    @classmethod
    def load(cls) -> "Law":
        """The law that comes with the project."""
        return TypeAdapter(cls).validate_json((files(__package__) / "budget_law.json").read_bytes())

    def nearest(self, parameters: int) -> SizeLaw:
        """The fitted size whose number of parameters is nearest, by ratio."""
        return min(self.sizes.values(), key=lambda size: abs(math.log(size.parameters / parameters)))

    def bits_per_byte(self, parameters: int, text_bytes: int, epochs: int, batch_tokens: int) -> float:
        """Expected test bits per byte after ``epochs`` of the last stage on ``text_bytes`` of training text."""
        size = self.nearest(parameters)
        seen = epochs * text_bytes / 1e6 / (batch_tokens / BATCH_TOKENS) ** self.batch_power
        floor = size.floor + self.small_batch * max(0.0, math.log2(BATCH_TOKENS / batch_tokens))
        return floor + (self.start - floor) / (1 + (seen / size.half) ** self.power)


@dataclass(frozen=True)
class Option:
    """A size measured on this book and machine: rows per epoch of each stage, seconds to build it, and its pace.

    ``shelf``: epochs of the stage of the shelf, which then comes first and has a fixed length; 0 without one.
    """

    name: str
    parameters: int
    context: int
    rows: tuple[int, ...]
    text_bytes: int
    pace: Pace
    build: float
    shelf: int = 0


@dataclass(frozen=True)
class Limits:
    """What the user fixed: epochs of each stage, the batch, epochs between validations and between samples.

    student_epochs: a student's epochs for each of its members'; None if only a single run will do.
    """

    student_epochs: float | None = None
    epochs: tuple[int, ...] | None = None
    batch: int | None = None
    eval_every: int | None = None
    sample_every: int | None = None


@dataclass(frozen=True)
class Candidate:
    """A possible run, with its expected result and time; with ``members``, they are trained first and teach it."""

    option: Option
    epochs: tuple[int, ...]
    batch: int
    eval_every: int
    sample_every: int
    bits_per_byte: float
    seconds: float
    members: int = 0

    def settings(self) -> dict[str, int]:
        """What the candidate changes in its preset, by dotted key."""
        own = self.epochs[1:] if self.option.shelf else self.epochs
        stages = {f"curriculum.stages[{i}].epochs": epochs for i, epochs in enumerate(own)}
        return {
            **stages,
            "training.batch_size": self.batch,
            "training.eval_every_epochs": self.eval_every,
            "training.sample_every_epochs": self.sample_every,
        }


def candidate(option: Option, law: Law, limits: Limits, last: int, batch: int) -> Candidate:
    """The run of ``option`` with ``last`` epochs of the last stage, unless the limits fix the epochs."""
    first = (option.shelf,) if option.shelf else ()
    own = (*[EARLY] * (len(option.rows) - len(first) - 1), last) if limits.epochs is None else limits.epochs
    epochs = first + own
    eval_every = limits.eval_every or math.ceil(epochs[-1] / VALIDATIONS)
    sample_every = eval_every * (VALIDATIONS // SAMPLES) if limits.sample_every is None else limits.sample_every
    bits = law.bits_per_byte(option.parameters, option.text_bytes, epochs[-1], batch * option.context)
    seconds = option.build + option.pace.run(epochs, option.rows, batch, eval_every, sample_every)
    return Candidate(option, epochs, batch, eval_every, sample_every, bits, seconds)


def student_share(members: int, epochs: float) -> float:
    """Time of a student for each second of one of its ``members``, with ``epochs`` for each of theirs.

    A teacher reads each row in a forward pass, which is about a third of a step.
    """
    return epochs * (1 + members / 3)


def taught(member: Candidate, student: StudentLaw, student_epochs: float) -> Candidate:
    """As many members like ``member`` as ``student`` says, one after the other, and then their student."""
    return replace(
        member,
        members=student.members,
        bits_per_byte=member.bits_per_byte - student.gain,
        seconds=member.seconds * (student.members + student_share(student.members, student_epochs)),
    )


def longest(option: Option, law: Law, limits: Limits, batch: int, seconds: float) -> Candidate:
    """The run with the most epochs within ``seconds`` that the law covers, or a run of one epoch if none fits.

    All numbers of epochs are tried: one more epoch can take less time if it makes validations rarer.
    """
    most = law.nearest(option.parameters).most_epochs
    for last in range(most if limits.epochs is None else 1, 1, -1):
        found = candidate(option, law, limits, last, batch)
        if found.seconds <= seconds:
            return found
    return candidate(option, law, limits, 1, batch)


def candidates(options: Sequence[Option], law: Law, limits: Limits, seconds: float) -> list[Candidate]:
    """The longest run within ``seconds`` for each size and each batch of its source runs, best expected result first.

    A run of a size's most epochs is also a candidate as a member of each of ``law.students``. Raises TooShort, with the
    quickest run, if none fits.
    """
    found = [
        longest(option, law, limits, batch, seconds)
        for option in options
        for batch in ([limits.batch] if limits.batch else law.nearest(option.parameters).batches)
    ]
    if not any(c.seconds <= seconds for c in found):
        least = min(found, key=lambda c: c.seconds)
        raise TooShort(least)
    if limits.student_epochs is not None and limits.epochs is None:
        # Students of members that each read a shelf were not measured; one run on the shelf can serve them all.
        alone = [c for c in found if not c.option.shelf]
        whole = [c for c in alone if c.epochs[-1] == law.nearest(c.option.parameters).most_epochs]
        found += [taught(c, student, limits.student_epochs) for c in whole for student in law.students]
    return sorted(found, key=lambda c: (c.seconds > seconds, c.bits_per_byte, c.seconds))


def hindsight(
    ranked: Sequence[Candidate], law: Law, limits: Limits, slowdown: float, seconds: float
) -> Candidate | None:
    """The run that would have been chosen from ``ranked`` within ``seconds`` at the machine's actual speed.

    None if that has the same size as the chosen one, which is the first, or if nothing would have fitted.
    """
    options = {c.option.name: c.option for c in ranked}.values()
    slow = [replace(o, pace=o.pace.slowed(slowdown), build=o.build * slowdown) for o in options]
    try:
        best = candidates(slow, law, limits, seconds)[0]
    except TooShort:
        return None
    return None if best.option.name == ranked[0].option.name else best


def time_to_reach(
    bits_per_byte: float, ranked: Sequence[Candidate], law: Law, limits: Limits, seconds: float
) -> float | None:
    """The least of 1.25, 1.25^2 ... times ``seconds`` in which ``bits_per_byte`` is expected; None beyond a day."""
    options = list({c.option.name: c.option for c in ranked}.values())
    while (seconds := 1.25 * seconds) <= DAY:
        try:
            found = candidates(options, law, limits, seconds)
        except TooShort:
            continue
        if found[0].bits_per_byte <= bits_per_byte:
            return seconds
    return None


class TooShort(UserError):
    """No run fits; ``least`` is the quickest one."""

    def __init__(self, least: Candidate) -> None:
        super().__init__(f"the quickest run, {least.option.name}, takes {least.seconds:.0f} s")
        self.least = least
