"""How texts are shown: as they come, saved as an animation, printed plain, or as JSON lines."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import wraps
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from ...errors import UserError
from ...files import check_file, fingerprint
from ..console import console, errors, print_text, say
from ..help import RareOption

if TYPE_CHECKING:
    from ...config import GenerationConfig
    from ...show.frames import Frame
    from ...writing.results import Refused, Run, Written
    from ...writing.writer import Writer


@dataclass(frozen=True)
class Showing:
    """How texts reach the user. ``watch`` asks for an animation, which only a terminal with colours can show."""

    watch: bool
    pace: float
    gif: Path | None = None
    html: Path | None = None
    jsonl: bool = False

    @property
    def animated(self) -> bool:
        """Whether texts are shown as they come, in colour."""
        from ...show.terminal import can_animate

        return self.watch and can_animate(console)

    def shown(self, settings: "GenerationConfig", writer: "Writer") -> "GenerationConfig":
        """``settings`` for what is to be seen: if the choice is free, the reading whose text comes out of the noise."""
        free = settings.reading == "auto" and writer.model.config.dual
        if free and (self.watch or self.gif or self.html):
            return settings.model_copy(update={"reading": "masked"})
        return settings

    def check(self) -> None:
        """Raise UserError if an animation could not be saved: before a text is written, not after."""
        for flag, path, suffixes in (("--gif", self.gif, (".gif",)), ("--html", self.html, (".html", ".htm"))):
            if path is not None:
                if path.suffix.lower() not in suffixes:
                    raise UserError(f"{flag} {path}: the file's name should end in {suffixes[0]}")
                check_file(path)
        if self.gif is not None:
            from ...show.gif import check_gif

            check_gif(self.gif, self.pace)

    def write(
        self, run: "Run", writer: "Writer", settings: "GenerationConfig"
    ) -> "tuple[list[Written], Refused | None]":
        """The texts of a run, animated and saved if wanted, and the reason why some are missing, if any are.

        Several texts are written at once: the first is animated as it comes, the others after it.
        """
        from ...show.frames import Recording, film, frames
        from ...writing.results import Refused
        from ...writing.writer import finish

        animated = self.animated
        if not (animated or self.gif or self.html):
            try:
                texts, refusal = finish(_counted(run)), None
            except Refused as refused:
                texts, refusal = refused.texts, refused
            return texts, refusal
        recording = Recording(run)
        if animated:
            self._animate(frames(recording, writer.tokenizer), writer, settings, 1)
        else:
            for _ in recording:
                pass
        films = [film(recording.states, text, writer.tokenizer) for text in recording.texts]
        if animated:
            for text, later in zip(recording.texts, films, strict=True):
                if text.sample > 1:
                    self._animate(later, writer, settings, text.sample)
        if films:
            self._save(films)
        return recording.texts, recording.refused

    def echo(
        self,
        texts: "Sequence[Written]",
        writer: "Writer",
        settings: "GenerationConfig",
        *,
        exact: bool = False,
        **source: Any,
    ) -> None:
        """Print texts: as JSON lines that begin with ``source``, in colour after an animation, or plain.

        A terminal breaks their lines at words; a pipe or a file gets every byte. With ``exact`` a single text that does
        not go to a terminal is printed without a line end after it.
        """
        from ...show.frames import final_frame
        from ...show.lines import printable
        from ...show.terminal import coloured, legend

        for number, text in enumerate(texts, start=1):
            if number > 1 and not self.jsonl:
                click.echo()
            if self.jsonl:
                print_text(json.dumps({**source, **as_row(text, writer, settings)}, ensure_ascii=False))
            elif console.is_terminal:
                plain = Text(printable(text.text))
                console.print(coloured(final_frame(text, writer.tokenizer)) if self.animated else plain)
            else:
                whole = text.text.endswith("\n") or (exact and len(texts) == 1)
                print_text(text.text, end="" if whole else "\n")
        if self.animated and not self.jsonl:
            console.print(legend())

    def _animate(self, frames: "Iterable[Frame]", writer: "Writer", settings: "GenerationConfig", number: int) -> None:
        from ...show.lines import unsettled_width
        from ...show.terminal import Stage, play

        title = f"text {number} of {settings.num_samples}" if settings.num_samples > 1 else ""
        unsettled = unsettled_width(writer.tokenizer, writer.allowed(settings))
        play(Stage(console, unsettled, title), frames, self.pace)

    def _save(self, films: "list[list[Frame]]") -> None:
        if self.gif is not None:
            from ...show.gif import write_gif

            lacking = write_gif(self.gif, films, self.pace)
            if lacking:
                say(f"no font here has {' '.join(lacking)}: boxes in {self.gif}; --html shows them", to=errors)
            say(f"animation saved in {self.gif}", to=errors)
        if self.html is not None:
            from ...show.page import write_page

            write_page(self.html, films, self.pace)
            say(f"animation saved in {self.html}", to=errors)


def _counted(run: "Run") -> "Run":
    """The same run, while a terminal shows how many denoising steps it has taken."""
    step = 0
    with errors.status("writing") as status:
        while True:
            try:
                state = next(run)
            except StopIteration as end:
                return end.value
            step += 1
            status.update(f"writing, step {step:,}")
            yield state


def origin(checkpoints: list[Path], showing: Showing) -> dict[str, Any]:
    """The model and its members, for JSON lines: with them a text can be reproduced. Empty for other output."""
    if not showing.jsonl:
        return {}
    [own, *members] = [{"checkpoint": str(path), "checkpoint_sha256": fingerprint(path)} for path in checkpoints]
    return {**own, "members": members} if members else own


def as_row(text: "Written", writer: "Writer", settings: "GenerationConfig") -> dict[str, Any]:
    """A text as a row of JSON lines; the texts of its tokens add up to the whole text."""
    from ...show.frames import final_frame
    from ...writing.continuing import reading_of

    reading = reading_of(writer.model.config, settings)
    return {
        "text": text.text,
        "seed": settings.seed,
        "sample": text.sample,
        "num_samples": settings.num_samples,
        "reading": reading,
        "sampler": "left_to_right" if reading == "causal" else settings.sampler,
        "steps": text.steps,
        "cut": text.cut,
        "longest_copied_words": text.longest_copied_words,
        "version": version("tiny-diffusion"),
        "generation": settings.model_dump(mode="json"),
        "tokens": [
            {
                "text": piece.text,
                "ids": list(piece.ids),
                "confidence": round(piece.confidence, 6),
                "given": piece.state == "given",
            }
            for piece in final_frame(text, writer.tokenizer).pieces
        ],
    }


def show_flags(function: Any) -> Any:
    """Add --watch, --pace, --gif, --html and --jsonl, which reach the command as ``showing``."""

    @click.option("--watch", is_flag=True, help="Show how the text comes out of the noise, in a terminal.")
    @click.option(
        "--pace",
        cls=RareOption,
        type=click.FloatRange(min=0),
        default=0.1,
        show_default=True,
        metavar="SECONDS",
        help="Time for which --watch, --gif and --html show each state.",
    )
    @click.option("--gif", type=click.Path(dir_okay=False, path_type=Path), help="Save the animation as a GIF.")
    @click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Save the animation as one page.")
    @click.option("--jsonl", is_flag=True, help="Print one JSON object per text, with each token's confidence.")
    @wraps(function)
    def command(
        *args: Any, watch: bool, pace: float, gif: Path | None, html: Path | None, jsonl: bool, **rest: Any
    ) -> Any:
        showing = Showing(watch, pace, gif, html, jsonl)
        showing.check()
        return function(*args, showing=showing, **rest)

    return command
