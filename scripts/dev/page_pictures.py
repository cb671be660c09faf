"""The pictures of the guide's page.md and first_minutes.md: ``python scripts/dev/page_pictures.py --checkpoint FILE``.

Needs the extras [app], [browser] and [gif], and Chromium. The pictures show what a model writes, and no text of a book.
"""

import argparse
import io
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

OUTPUT = Path(__file__).resolve().parents[2] / "docs" / "page"
PROMPT = "The door opened, and"
COLOURS = 128  # of a picture; the page has few


def keep(page: Page, name: str, **options: Any) -> None:
    """Save a picture of the page with few colours, which keeps it small."""
    picture = Image.open(io.BytesIO(page.screenshot(**options))).convert("RGB")
    path = OUTPUT / f"{name}.png"
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def slide(page: Page, name: str, value: float) -> None:
    """Move a slider."""
    moved = "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input', { bubbles: true })); }"
    page.locator(f"#{name}").evaluate(moved, value)


def finish(page: Page) -> None:
    """Wait until nothing is being written."""
    page.locator("#sheet[aria-busy=false]").wait_for(timeout=300_000)


def written(page: Page, length: int) -> None:
    """Write on from the prompt, with the same seed each time."""
    page.locator("#continue:enabled").wait_for(timeout=60_000)
    slide(page, "length", length)
    page.evaluate("() => { document.getElementById('new-seed').checked = false; }")
    page.fill("#text", PROMPT)
    page.click("#continue")
    finish(page)


def desk(page: Page) -> None:
    """The sheet while its text comes out of the noise, in any order, two drafts in the usual order, and the run."""
    page.locator("#continue:enabled").wait_for(timeout=60_000)
    page.evaluate("() => { document.getElementById('sampler').value = 'first_hitting'; }")
    written(page, 64)
    steps = int(page.locator("#at").get_attribute("max") or 0)
    slide(page, "at", round(steps * 0.55))
    keep(page, "sheet", clip={"x": 0, "y": 0, "width": 1280, "height": 720})
    slide(page, "at", steps)
    page.evaluate("() => { document.getElementById('sampler').value = 'entropy'; }")
    page.evaluate("() => { document.getElementById('num_samples').value = 2; }")
    page.fill("#text", PROMPT)
    page.click("#continue")
    finish(page)
    page.locator("#board").scroll_into_view_if_needed()
    page.evaluate("() => scrollTo(0, document.body.scrollHeight)")
    box = page.locator("#board").bounding_box() or {}
    keep(
        page,
        "drafts",
        clip={"x": box["x"] - 16, "y": box["y"] - 12, "width": box["width"] + 32, "height": box["height"] + 24},
    )
    page.click("#tab-run")
    page.locator("figure svg").last.wait_for()
    keep(page, "run", clip={"x": 0, "y": 0, "width": 1280, "height": 720})


def first_minutes(page: Page) -> None:
    """The steps of a newcomer: a sheet with a beginning and a gap, the filled gap, what surprises, and a blind test."""
    page.locator("#continue:enabled").wait_for(timeout=60_000)
    page.evaluate("() => { document.getElementById('new-seed').checked = false; }")
    clip = {"x": 0, "y": 0, "width": 1280, "height": 400}
    page.fill("#text", "The {1 word} was dark, and I heard the {1 word} of the sea.")
    keep(page, "gap", clip=clip)
    page.click("#fill")
    finish(page)
    keep(page, "filled", clip=clip)
    page.fill("#text", "I looked at the moon, and the moon looked at the telephone.")
    page.check("input[value=surprise]")
    page.locator("#status", has_text="bits per byte").wait_for()
    keep(page, "surprise", clip=clip)
    page.click("#tab-blind")
    page.get_by_role("button", name="Begin a test").wait_for()
    keep(page, "blind", clip=clip)


def phone(page: Page) -> None:
    """The sheet on a phone, in the dark."""
    written(page, 48)
    keep(page, "phone")


def main() -> None:
    """Serve the checkpoint, and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", required=True, help="a trained model with its logs beside it")
    given = parser.parse_args()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tiny_diffusion", "serve", "--port", "0", "--checkpoint", given.checkpoint]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        found = re.search(r"http://\S+", server.stdout.readline() if server.stdout else "")
        if found is None:
            raise SystemExit("the server did not start")
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            for width, height, dark, take in (
                (1280, 860, False, desk),
                (1280, 860, False, first_minutes),
                (390, 844, True, phone),
            ):
                window = browser.new_context(
                    viewport={"width": width, "height": height},
                    color_scheme="dark" if dark else "light",
                    reduced_motion="reduce",
                )
                page = window.new_page()
                page.goto(found[0])
                take(page)
            browser.close()
    finally:
        server.terminate()
        server.wait(10)


if __name__ == "__main__":
    main()
