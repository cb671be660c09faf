"""Clean ends: a finished text is cut behind its last whole sentence."""

from dataclasses import replace

from ..data.language.segmentation import sentence_ends
from ..data.tokenizer import BookTokenizer
from .results import Written
from .spans import token_spans

_NEXT = " Hm"
"""What could follow a text that breaks off: no name and no number, so that "Mr." and "J." are no ends before it."""


def cut_at_sentence(text: Written, tokenizer: BookTokenizer, language: str) -> Written:
    """``text`` without its last, unfinished sentence; as it is when no sentence ends in what was written.

    Given tokens always stay, and at least one written token behind them. ``language``: two letters. A sentence that
    ends within a token (a dash may follow its full stop there) is passed over, so that the ids still spell the text.
    """
    spans = token_spans(tokenizer, text.ids)
    given = max((i + 1 for i, was_given in enumerate(text.given) if was_given), default=0)
    bounds = {end: i + 1 for i, (_, end) in enumerate(spans)}  # of the tokens of one character the last counts
    ends = [bounds[end] for end in sentence_ends(text.text + _NEXT, language) if end in bounds]
    if not ends or ends[-1] <= given:
        return text
    kept = ends[-1]
    return replace(
        text,
        text=tokenizer.decode(text.ids[:kept]),
        ids=text.ids[:kept],
        confidence=text.confidence[:kept],
        given=text.given[:kept],
        cut=len(text.ids) - kept,
    )
