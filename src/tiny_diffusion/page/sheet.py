"""What the sheet shows while a model writes: each moment as changes of pieces, then the texts with their films.

Events, in order: ``start`` (what of the text is left as it is: ``head`` characters before, ``tail`` after); ``frame``
for each moment of each draft; ``draft`` for each finished text; ``done``. ``failed`` can come at any time. A piece is
``[text, probability]``: the probability is null for given text, and the text is null while masked.
"""

from collections.abc import Generator, Sequence
from typing import Any

from ..config import PageConfig
from ..errors import UserError
from ..show.frames import Follower, Frame, Piece, Recording, film
from ..show.page import encode
from ..writing.infilling.template import GapRequest, escape, parse_gaps
from ..writing.results import Run
from .line import Event
from .shelf import Volume
from .wishes import Writing, around, settings_of, shortened

ShownPiece = list[Any]


def writing_events(volume: Volume, wish: Writing, page: PageConfig) -> Generator[Event, None, None]:
    """The events of a wish."""
    run, head, tail, drafts = begin(volume, wish, page)
    tokenizer = volume.writer.tokenizer
    yield "start", {"head": head, "tail": tail, "drafts": drafts}
    recording = Recording(run)
    followers = [Follower(tokenizer, number) for number in range(drafts)]
    shown: list[Sequence[ShownPiece]] = [[] for _ in followers]
    for state in recording:
        for number, follower in enumerate(followers):
            for frame in follower.after(state):
                pieces = [shown_piece(piece) for piece in frame.pieces]
                yield "frame", {"draft": number, **moment(frame, shown[number], pieces)}
                shown[number] = pieces
    for text in recording.texts:
        frames = film(recording.states, text, tokenizer)
        draft = {
            "draft": text.sample - 1,
            "text": text.text,
            "pieces": [shown_piece(piece) for piece in frames[-1].pieces],
            "film": encode(frames),
            "steps": text.steps,
            "longest_copied_words": text.longest_copied_words,
        }
        yield "draft", draft
    if recording.refused is not None:
        raise recording.refused
    yield "done", {}


def begin(volume: Volume, wish: Writing, page: PageConfig) -> tuple[Run, int, int, int]:
    """Start what the wish asks for: a run, how many characters it leaves alone at both ends, and its drafts.

    Raises UserError if it cannot be done.
    """
    writer, text = volume.writer, wish.text
    causal = writer.model.config.causal
    settings = settings_of(wish, volume.settings, page, causal=causal)
    drafts = settings.num_samples
    if wish.task == "continue":
        prompt = text.rstrip(" ")  # a word's token begins with its space, so the model would not expect one here
        head = shortened(prompt, writer)
        return writer.writing(prompt[head:], settings), head, 0, drafts
    if wish.task == "fill":
        first, last = gaps_of(text)
        start, end = around(text, first, last)
        return writer.filling(text[start:end], settings), start, len(text) - end, drafts
    start, end = around(text, wish.start, wish.end)
    before, after = kept(text[start : wish.start]), kept(text[wish.end : end])
    run = writer.rewriting(f"{before}{escape(text[wish.start : wish.end])}{after}", settings)
    return run, start, len(text) - end, drafts


def kept(text: str) -> str:
    """``text`` as a span that rewriting keeps. Raises UserError for brackets that would end the span early."""
    if "]]" in text or text.endswith("]"):
        raise UserError("the text beside the passage holds ]] or ends with ]: select that too")
    return f"[[{escape(text)}]]" if text else ""


def gaps_of(template: str) -> tuple[int, int]:
    """Where the first gap of a template begins and the last one ends. Raises UserError if there is none."""
    gaps = [piece.source for piece in parse_gaps(template) if isinstance(piece, GapRequest)]
    if not gaps:
        raise UserError("there is no gap to fill: write ___, {3 words} or {sentence} where one should be")
    return template.find(gaps[0]), template.rfind(gaps[-1]) + len(gaps[-1])


def moment(frame: Frame, before: Sequence[ShownPiece], now: Sequence[ShownPiece]) -> dict[str, Any]:
    """A frame as changes of the one before: ``[place, text, probability]``, or as all its pieces if it has others."""
    place = {"step": frame.step, "steps": frame.steps}
    if len(before) != len(now):
        return {**place, "pieces": now}
    pairs = enumerate(zip(before, now, strict=True))
    return {**place, "changes": [[number, *piece] for number, (old, piece) in pairs if old != piece]}


def shown_piece(piece: Piece) -> ShownPiece:
    """A piece as its text and its probability."""
    if piece.state == "masked":
        return [None, None]
    return [piece.text, None if piece.state == "given" else round(piece.confidence, 4)]
