"""One rater at the terminal: passages, answers by one key each, and the score at the end."""

import sys
from typing import TYPE_CHECKING

import click
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from ..console import console, print_table, say

if TYPE_CHECKING:
    from ...evaluation.blind_test.records import Question
    from ...evaluation.blind_test.store import AnswerStore

WIDTH = 80
VERDICTS = {"r": "real", "g": "generated"}
STARS = {str(n): n for n in range(1, 6)}
ASKED = {
    "verdict": "real or generated? (r, g)",
    "style": "style: 1 not the book's ... 5 wholly the book's (1-5)",
    "fluency": "fluency: 1 stumbles ... 5 reads with ease (1-5)",
    "sense": "sense: 1 none ... 5 wholly clear (1-5)",
}
BEGINNING = 44  # characters of each passage in the table of those that fooled the rater


def ask_all(store: "AnswerStore", rater: str) -> bool:
    """Ask until all is answered (True) or the rater stops (False). Each answer is saved before the next question."""
    shown = 0
    while (question := store.next_question(rater)) is not None:
        if question.position != shown:
            show(question)
            shown = question.position
        key = read_key(f"{ASKED[question.ask]} ")
        choices: dict[str, str] | dict[str, int] = VERDICTS if question.ask == "verdict" else STARS
        if key is None or key == "q":
            return False
        if key == "u":
            if not store.undo(rater):
                say("there is no answer to take back", style="dim")
        elif key in choices:
            store.record(question, choices[key])
        else:
            say(f"press one of {' '.join(choices)}, or u to take the last answer back, q to stop", style="dim")
    return True


def show(question: "Question") -> None:
    """Print a passage under its number, without its origin."""
    width = min(console.width, WIDTH)
    console.print()
    console.print(Rule(f"passage {question.position} of {question.total}", align="left", style="dim"), width=width)
    console.print(Padding(Text(question.text), (1, 2)), width=width)


def read_key(prompt: str) -> str | None:
    """One key in a terminal, one line from a pipe, in lower case; None at the end of input."""
    click.echo(prompt, nl=False)
    if not sys.stdin.isatty():
        line = sys.stdin.readline()
        click.echo(line.strip())
        return line.strip().lower() if line else None
    try:
        key = click.getchar()
    except EOFError:
        key = ""
    click.echo(key if key.isprintable() else "")
    return key.lower() or None


def show_score(store: "AnswerStore", rater: str) -> None:
    """A finished rater's score, and the passages that fooled them."""
    from ...evaluation.blind_test.statistics import score

    answers = [a for a in store.answers() if a.rater == rater]
    own = score(rater, answers)
    low, high = own.interval
    console.print()
    say(
        f"{rater}: {own.right} of {own.answers} right, {own.accuracy:.0%} (95 % interval {low:.0%} to {high:.0%}); "
        + ("guessing cannot be ruled out" if low <= 0.5 <= high else "that is not guessing")
    )
    wrong = [a for a in answers if a.said_real != a.real]
    if not wrong:
        return
    rows = []
    for answer in wrong:
        said = [VERDICTS["r"] if kind else VERDICTS["g"] for kind in (answer.real, answer.said_real)]
        beginning = answer.text if len(answer.text) <= BEGINNING else answer.text[: BEGINNING - 3].rstrip() + "..."
        rows.append((answer.position, *said, beginning))
    print_table(("no.", "truth", "you said", "begins with"), rows, "what fooled you")
