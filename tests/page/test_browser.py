"""Each feature of the page once, as a person uses it, in headless Chromium: ``make test-page``."""

import json
import re
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright", reason="make test-page needs the extra [browser]")
pytest.importorskip("starlette", reason="the page needs the extra [app]")

from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.evaluation.blind_test.records import BlindPassage, Origin
from tiny_diffusion.evaluation.blind_test.store import AnswerStore
from tiny_diffusion.page.app import make_app

from .browser import opened, served

pytestmark = pytest.mark.page
LENGTH = 12
SHORTEST = 9  # tokens of a text that ends with a sentence: 0.8 times the length


@pytest.fixture
def address(make_page: Callable[..., Any]) -> Iterator[str]:
    with served(make_app(make_page())) as found:
        yield found


@pytest.fixture
def browser() -> Iterator[Callable[..., Any]]:
    with opened() as found:
        yield found


@pytest.fixture
def page(address: str, browser: Callable[..., Any]) -> Any:
    found = browser(address)
    slide(found, "length", LENGTH)
    return found


def slide(page: Any, name: str, value: float) -> None:
    """Move a slider of the drawer as a user would: its value, then its event."""
    moved = "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input', { bubbles: true })); }"
    page.locator(f"#{name}").evaluate(moved, value)


def text_of(page: Any) -> str:
    return str(page.locator("#text").input_value())


def shown(page: Any) -> str:
    """What the sheet shows, without the mark of its end."""
    return str(page.locator("#backdrop").text_content()).rstrip("\u200b")


def finish(page: Any) -> None:
    """Wait until nothing is being written."""
    page.locator("#sheet[aria-busy=false]").wait_for()


def select(page: Any, start: int, end: int) -> None:
    page.locator("#text").evaluate("(area, [a, b]) => { area.focus(); area.setSelectionRange(a, b); }", [start, end])


def point_at(page: Any, span: Any) -> None:
    """Move the pointer to the first line of a span."""
    x, y = span.evaluate(
        "span => { const box = span.getClientRects()[0]; return [box.x + 4, box.y + box.height / 2]; }"
    )
    page.mouse.move(x, y)


def test_write_on_undo_and_step_back(page: Any) -> None:
    page.fill("#text", "The old miller")
    page.press("#text", "Control+Enter")
    page.locator("#backdrop .masked").first.wait_for(state="attached")
    finish(page)
    written = text_of(page)
    assert written.startswith("The old miller") and len(written) > 20 and shown(page) == written
    assert "Written" in page.locator("#status").text_content()
    last = int(page.locator("#at").get_attribute("max"))
    assert last >= SHORTEST
    slide(page, "at", 0)
    hidden = page.locator("#backdrop .masked").count()
    assert shown(page) == "The old miller" and hidden >= SHORTEST
    assert page.locator("#text").evaluate("area => area.readOnly")
    slide(page, "at", 2)  # later on a text may be whole and then be repaired
    assert 0 < page.locator("#backdrop .masked").count() < hidden
    slide(page, "at", last)
    assert shown(page) == written and not page.locator("#text").evaluate("area => area.readOnly")
    page.press("#text", "Control+z")
    assert text_of(page) == "The old miller"
    page.press("#text", "Control+Shift+z")
    assert text_of(page) == written and page.locator("#film").is_visible()
    page.reload()
    page.locator("#continue:enabled").wait_for()
    assert text_of(page) == written  # the browser keeps it


def test_probability_under_pointer_and_cursor(page: Any) -> None:
    page.fill("#text", "The")
    page.click("#continue")
    finish(page)
    pieces = page.locator("#backdrop .piece").all_text_contents()
    assert not any(a[-1:].strip() and b[:1].strip() for a, b in pairwise(pieces))  # a word has one colour
    piece = page.locator("#backdrop .piece", has_text=re.compile(r"\w")).first
    point_at(page, piece)
    assert re.search(r"had (under 1|\d+) %", page.locator("#tip").text_content())
    select(page, 4, 4)
    page.locator("#told").wait_for()
    assert re.search(r"%", page.locator("#told").text_content())
    marks = page.locator("#backdrop .piece").count()
    page.press("#text", "Home")
    page.keyboard.type("Oh! ")
    assert page.locator("#backdrop .piece").count() == marks  # the marks move with their words
    page.check("input[value=plain]")
    assert page.locator("#backdrop .piece").count() == 0


def test_gap_by_key_and_filled(page: Any) -> None:
    page.fill("#text", "The miller the lantern.")
    select(page, 10, 10)
    page.keyboard.press("Control+g")
    assert text_of(page) == "The miller {1 word} the lantern."
    assert page.locator("#backdrop .gap").text_content() == "{1 word}"
    assert "first" in page.locator("#fill").get_attribute("class")
    page.click("#fill")
    finish(page)
    assert re.fullmatch(r"The miller .+ the lantern\.", text_of(page)) and "{" not in text_of(page)
    assert page.locator("#status").text_content().startswith("Written: 1 word in ")


def test_rewrite_a_passage(page: Any) -> None:
    slide(page, "rewrite_strength", 1)
    text = "\U0001f600 The old miller carried the lantern home."
    page.fill("#text", text)
    start = text.encode("utf-16-le").index("old".encode("utf-16-le")) // 2
    select(page, start, start + len("old miller carried"))
    page.click("#rewrite")
    finish(page)
    assert text_of(page).startswith("\U0001f600 The ") and text_of(page).endswith(" the lantern home.")
    assert text_of(page) != text


def test_drafts_and_checkpoints_side_by_side(page: Any) -> None:
    page.fill("#text", "The")
    page.click("#open-drawer")
    page.fill("#num_samples", "2")
    page.get_by_role("checkbox", name="first").check()
    page.get_by_role("checkbox", name="second").check()
    page.keyboard.press("Escape")
    assert page.locator("#drawer").is_hidden()
    page.click("#continue")
    finish(page)
    cards = page.locator(".card")
    assert [cards.nth(n).get_attribute("aria-label") for n in range(4)] == [
        "first, Draft 1", "first, Draft 2", "second, Draft 1", "second, Draft 2"
    ]  # fmt: skip
    text = cards.nth(2).locator(".draft").text_content()
    cards.nth(2).locator("button").click()
    assert text_of(page) == text and page.locator("#board").is_hidden() and page.locator("#film").is_visible()


def test_stop_and_a_closed_tab(page: Any, browser: Callable[..., Any], address: str) -> None:
    slide(page, "length", 400)
    page.fill("#text", "The")
    page.click("#continue")
    page.locator("#backdrop .masked").first.wait_for(state="attached")
    other = browser(address)
    slide(other, "length", LENGTH)
    other.fill("#text", "A")
    other.click("#continue")
    other.get_by_text("you are next").wait_for()
    page.close()  # its job stops, so the other one's begins
    finish(other)
    assert len(text_of(other)) > 1
    slide(other, "length", 400)
    other.click("#continue")
    other.locator("#backdrop .masked").first.wait_for(state="attached")
    before = text_of(other)
    other.keyboard.press("Escape")
    other.get_by_text("Stopped.").wait_for()
    assert text_of(other) == before


def test_surprise_and_copied_runs(page: Any, data: Processed) -> None:
    sentence = data.texts("train")[0].split(".")[0]
    page.fill("#text", f"Zebra \U0001f600 {sentence}. <b>bold</b>")
    page.check("input[value=surprise]")
    page.locator("#status", has_text="bits per byte").wait_for()
    assert page.locator("#backdrop [data-at]").count() > 3 and page.locator("#backdrop b").count() == 0
    page.check("input[value=copied]")
    run = page.locator("#backdrop .copied")
    run.wait_for()
    assert run.text_content() == sentence
    point_at(page, run)
    assert "into the book" in page.locator("#tip").text_content()
    page.fill("#text", "Nothing of it.")  # the marks follow what is typed
    page.get_by_text("No run of five words").wait_for()


def test_save_as_text_animation_and_json(page: Any) -> None:
    page.fill("#text", "The <b>old</b>")
    page.click("#continue")
    finish(page)

    def saved(kind: str) -> str:
        page.select_option("#save-kind", kind)
        with page.expect_download() as download:
            page.click("#save")
        return Path(download.value.path()).read_text(encoding="utf-8")

    assert saved("txt") == text_of(page)
    record = json.loads(saved("json"))
    assert record["text"] == text_of(page) and record["settings"]["length"] == LENGTH
    assert "".join(piece["text"] for piece in record["drafts"][0]["pieces"]) == record["text"]
    film = saved("html")
    assert film.startswith("<!DOCTYPE html>") and "<b>old" not in film


def test_settings_reach_the_server(page: Any) -> None:
    page.click("#open-drawer")
    assert page.evaluate("() => document.activeElement.id") == "close-drawer"
    slide(page, "temperature", 0.5)
    assert page.locator("#temperature-shown").text_content() == "0.5"
    page.uncheck("#new-seed")
    page.fill("#seed", "7")
    page.select_option("#reading", "causal")
    page.click("#close-drawer")
    assert page.evaluate("() => document.activeElement.id") == "open-drawer"
    texts = []
    for _ in range(2):
        page.fill("#text", "The")
        with page.expect_request("**/api/write") as request:
            page.click("#continue")
        sent = json.loads(request.value.post_data)["settings"]
        assert (sent["temperature"], sent["seed"], sent["reading"]) == (0.5, 7, "causal")
        finish(page)
        texts.append(text_of(page))
    assert texts[0] == texts[1]


def test_the_run_as_it_grows(page: Any, checkpoints: list[Path]) -> None:
    log = checkpoints[0].parent / "logs" / "metrics.jsonl"
    log.parent.mkdir()

    def add(number: int, **row: Any) -> None:
        place = {"step": number, "total": 50, "stage_name": "all", "epoch": 1, "loss": 5 / number}
        with log.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"event": "StepDone", "time": time.time() - 10 + number, **place, **row}) + "\n")

    page.click("#tab-run")
    page.get_by_text("No training has begun").wait_for()
    assert "tiny-diffusion train --data-dir" in page.locator(".command code").text_content()
    for number in range(1, 9):
        add(number)
    add(8, event="Validated", bits_per_byte=2.5)
    add(8, event="Sampled", text="<i>A sample</i>")
    page.get_by_text("8 of 50").wait_for()
    page.get_by_text("42 s").wait_for()
    page.get_by_text("<i>A sample</i>").wait_for()
    assert page.locator("figure svg").count() == 1
    add(9, event="Validated", bits_per_byte=2.0)
    page.get_by_text("2.000").first.wait_for()
    assert page.locator("figure svg").count() == 2
    add(9, event="Finished", interrupted=True)
    page.get_by_text("--resume").wait_for()
    log.unlink()


def test_a_blind_test_begun_on_the_page(page: Any, tmp_path: Path) -> None:
    page.click("#tab-blind")
    tab = page.locator("#blind")
    tab.get_by_label("Passages").fill("4")
    tab.get_by_label("Seed").fill("5")
    page.get_by_role("button", name="Begin a test").click()
    page.get_by_text("Passages of 60 words each").wait_for()
    with AnswerStore(tmp_path / "blind.sqlite") as store:
        settings = store.origin.settings
        assert (settings["evaluation.blind_passages"], settings["evaluation.seed"]) == (4, 5)
    page.get_by_label("Your name").fill("anna")
    page.get_by_role("button", name="Begin").click()
    page.get_by_text("Passage 1 of 4").wait_for()


def test_the_blind_test_by_keys(page: Any, tmp_path: Path) -> None:
    page.click("#tab-blind")
    page.get_by_text("Nobody has begun").wait_for()
    passages = [BlindPassage(f"{kind} <b>passage</b> {n}", kind == "Old") for n in range(2) for kind in ("Old", "New")]
    settings = {"evaluation.seed": 0, "evaluation.blind_passages": 4, "evaluation.blind_words": 3}
    store = AnswerStore.create(
        tmp_path / "blind.sqlite", Origin(settings, "m.pt", "0", "book.txt", "1", "2030"), passages
    )
    page.get_by_role("button", name="Look again").click()
    page.get_by_label("Your name").fill("anna")
    page.get_by_role("button", name="Begin").click()
    page.get_by_text("Passage 1 of 4").wait_for()
    assert "<b>passage</b>" in page.locator(".passage").text_content()
    page.keyboard.press("g")
    page.get_by_text("Passage 2 of 4").wait_for()
    page.keyboard.press("u")
    page.get_by_text("Passage 1 of 4").wait_for()
    for number in range(1, 5):
        page.get_by_text(f"Passage {number} of 4").wait_for()
        old = page.locator(".passage").text_content().startswith("Old")
        page.get_by_role("button", name="The book" if old else "The model").click()
    page.get_by_text("4 of 4 right").wait_for()
    page.get_by_role("button", name="Results").click()
    page.get_by_role("cell", name="100 %").first.wait_for()
    assert [(p.rater, p.done) for p in store.progress()] == [("anna", 4)]


def test_a_queue_and_errors_are_told(page: Any) -> None:
    page.fill("#text", "a {gap")
    page.locator("#text").press("End")
    page.keyboard.type("}")
    page.click("#fill")
    page.locator("#notice").get_by_text("unknown gap").wait_for()
    assert text_of(page) == "a {gap}"


def test_the_keyboard_reaches_everything(page: Any) -> None:
    page.focus("#tab-sheet")
    page.keyboard.press("ArrowRight")
    assert page.locator("#run").is_visible() and page.locator("#tab-run").get_attribute("aria-selected") == "true"
    page.keyboard.press("Home")
    assert page.locator("#sheet").is_visible()
    seen = []
    for _ in range(16):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("() => document.activeElement.id || document.activeElement.name"))
    assert {"checkpoint", "open-drawer", "continue", "gap", "gap-kind", "text", "view", "save", "save-kind"} <= {*seen}
    page.focus("#continue")
    page.keyboard.press("Tab")
    outline = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


@pytest.mark.parametrize("size", ["desk", "phone"])
@pytest.mark.parametrize("dark", [False, True])
def test_nobody_is_shut_out(browser: Callable[..., Any], address: str, size: str, dark: bool) -> None:
    """axe-core finds nothing, and nothing is wider than the screen, on any tab, light or dark."""
    axe = pytest.importorskip("axe_playwright_python.base", reason="axe-core comes with the extra [browser]")
    page = browser(address, size, dark=dark)
    slide(page, "length", LENGTH)
    page.fill("#text", "The ____ miller")
    page.click("#continue")
    finish(page)
    page.evaluate(Path(axe.AXE_FILE_PATH).read_text(encoding="utf-8"))
    states = ["#tab-sheet", "#open-drawer", "#close-drawer", "#tab-run", "#tab-blind"]
    for state in states:
        page.click(state)
        page.wait_for_timeout(300)
        found = page.evaluate("() => axe.run()")
        broken = [(each["id"], [node["html"][:120] for node in each["nodes"]]) for each in found["violations"]]
        assert broken == [], state
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), state


@pytest.mark.parametrize("size", ["desk", "phone"])
def test_the_text_and_its_marked_copy_break_lines_alike(browser: Callable[..., Any], address: str, size: str) -> None:
    page = browser(address, size)
    long = (
        "A Donaudampfschifffahrtsgesellschaftskapitän  with   spaces, and\ttabs — dashes; “quotes”. 中文字也要換行。 "
    )
    page.fill("#text", f"{long * 12}\n\n{'x' * 300}\n")
    heights = page.evaluate("() => ['text', 'backdrop'].map((id) => document.getElementById(id).scrollHeight)")
    assert abs(heights[0] - heights[1]) <= 2
    page.locator("#text").press("Control+End")
    assert page.locator("#text").evaluate("area => area.scrollTop") == 0  # it never scrolls within itself
