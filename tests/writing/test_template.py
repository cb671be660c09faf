"""Gap templates and kept spans: how they are parsed, and the error for a wrong one."""

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny_diffusion.errors import UserError
from tiny_diffusion.writing.infilling.template import Fixed, GapRequest, Kept, escape, parse_gaps, parse_kept

# Text in which the syntax's own characters are frequent.
TEXTS = st.text(st.sampled_from("_{}[]\\ -0123wordstken\n") | st.characters(exclude_categories=["Cs"]), max_size=40)
GAPS = st.sampled_from(
    ["___", "_______", "{1 word}", "{3 words}", "{2-5 words}", "{ 7  tokens }", "{1 - 9 tokens}", "{sentence}"]
)


@given(TEXTS.filter(bool))
def test_escaped_text_is_read_as_itself(text: str) -> None:
    for parse in (parse_gaps, parse_kept):
        [piece] = parse(escape(text))  # type: ignore[operator]
        assert isinstance(piece, Fixed) and piece.text == text


def written(pieces: Sequence[Fixed | GapRequest | Kept]) -> str:
    """A template of these pieces, with every character that may be escaped escaped."""
    forms = {Fixed: lambda p: escape(p.text), Kept: lambda p: f"[[{escape(p.text)}]]", GapRequest: lambda p: p.source}
    return "".join(forms[type(piece)](piece) for piece in pieces)


@given(TEXTS)
def test_a_parse_loses_nothing(template: str) -> None:
    for parse in (parse_gaps, parse_kept):
        try:
            pieces = parse(template)  # type: ignore[operator]
        except UserError as error:
            assert "\n" not in str(error)
        else:
            assert parse(written(pieces)) == pieces  # type: ignore[operator]
            assert len(written(pieces)) >= len(template)


@given(st.lists(st.tuples(TEXTS, GAPS), max_size=5), TEXTS)
def test_gaps_come_out_in_order_with_the_text_between(parts: list[tuple[str, str]], end: str) -> None:
    # Underscores after underscores would be one gap.
    parts = [(text or "x", gap) for text, gap in parts]
    template = "".join(escape(text) + gap for text, gap in parts) + escape(end)
    pieces = parse_gaps(template)
    assert [p.source for p in pieces if isinstance(p, GapRequest)] == [gap for _, gap in parts]
    assert [p.text for p in pieces if isinstance(p, Fixed)] == [text for text, _ in parts] + ([end] if end else [])
    assert written(pieces) == template


@given(st.lists(st.tuples(TEXTS.filter(bool), TEXTS), max_size=5))
def test_kept_spans_come_out_in_order(parts: list[tuple[str, str]]) -> None:
    kept = [span.replace("]", ")") for _, span in parts]
    text = "".join(f"{escape(free)}[[{escape(span)}]]" for (free, _), span in zip(parts, kept, strict=True))
    pieces = parse_kept(text)
    assert [p.text for p in pieces if isinstance(p, Kept)] == kept
    assert [p.text for p in pieces if isinstance(p, Fixed)] == [free for free, _ in parts]


def gap(unit: str, least: int, most: int, source: str) -> GapRequest:
    return GapRequest(unit, least, most, source)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("template", "pieces"),
    [
        ("a ___ b", [Fixed("a "), gap("blank", 1, 1, "___"), Fixed(" b")]),
        ("__ ____", [Fixed("__ "), gap("blank", 1, 1, "____")]),
        (r"\___ \____", [Fixed("___ _"), gap("blank", 1, 1, "___")]),
        ("{1 word}{2-3 words}", [gap("words", 1, 1, "{1 word}"), gap("words", 2, 3, "{2-3 words}")]),
        ("{5 tokens}___", [gap("tokens", 5, 5, "{5 tokens}"), gap("blank", 1, 1, "___")]),
        ("{4-8 tokens}", [gap("tokens", 4, 8, "{4-8 tokens}")]),
        ("{sentence}\n{paragraph}", [gap("sentence", 1, 1, "{sentence}"), Fixed("\n"),
                                     gap("paragraph", 1, 1, "{paragraph}")]),
        (r"\{3 words} } [[x]] \\ \n", [Fixed(r"{3 words} } [[x]] \ \n")]),
        ("", []),
    ],
)  # fmt: skip
def test_templates(template: str, pieces: list[Fixed | GapRequest]) -> None:
    assert parse_gaps(template) == pieces


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("a [[b c]] d", [Fixed("a "), Kept("b c"), Fixed(" d")]),
        ("[[a]][[b]]", [Kept("a"), Kept("b")]),
        ("[a] ]] ___ {x", [Fixed("[a] ]] ___ {x")]),
        (r"\[[a]] [[\[b\\]]", [Fixed("[[a]] "), Kept("[b\\")]),
        ("[[a [[b]]", [Kept("a [[b")]),
        ("[[a\nb]]", [Kept("a\nb")]),
    ],
)
def test_kept_spans(text: str, pieces: list[Fixed | Kept]) -> None:
    assert parse_kept(text) == pieces


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("a {8-3 words} b", "the gap {8-3 words} has its range reversed: write {3-8 words}"),
        ("{0 words}", "the gap {0 words} may come out empty"),
        ("{0-3 tokens}", "the gap {0-3 tokens} may come out empty"),
        ("{3 wrods}", "did you mean {3 words}?"),
        ("{2-4 tokns}", "did you mean {2-4 tokens}?"),
        ("{sentense}", "did you mean {sentence}?"),
        ("{3words}", "did you mean {3 words}?"),
        ("{}", r"a gap is {3 words}, {3-5 words}, {4 tokens}, {4-8 tokens}, {sentence} or {paragraph}; write \{"),
        ("{-3 words}", "unknown gap {-3 words}"),
        ("one\ntwo {xyz}\n", "unknown gap {xyz} (line 2)"),
        ("a {3 words b", r"a brace is never closed: end the gap with }, or write \{"),
        ("a {3\nwords}", "a brace is never closed (line 1)"),
        ("a {b {sentence}", "a brace is never closed"),
    ],
)
def test_a_wrong_gap_gets_one_clear_line(template: str, words: str) -> None:
    with pytest.raises(UserError, match=re.escape(words)) as error:
        parse_gaps(template)
    assert "\n" not in str(error.value)


def test_an_open_kept_span_gets_one_clear_line() -> None:
    for text, place in (("a [[b", ""), ("a\n[[b]", r" \(line 2\)"), (r"[[a\]]"[:-1], "")):
        with pytest.raises(UserError, match=rf"^a \[\[ is never closed{place}: end the kept span with \]\]"):
            parse_kept(text)
