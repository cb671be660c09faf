"""Write the texts of ``docs/reading.md`` anew.

    python scripts/dev/reading.py --texts Frankenstein FILE --texts Candide FILE

FILE is a checkpoint. For each book and each of two presets ten texts, by the seeds 0 to 9 and the command that the page
shows, replace what is between their two marks. What the page says about the texts is written by hand: read them again.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

from tiny_diffusion.files import write_text

PAGE = Path(__file__).parents[2] / "docs" / "reading.md"
SEEDS = range(10)
LENGTH = 120  # tokens
PRESETS = ("default", "conservative")


def write(checkpoint: Path, preset: str, seed: int) -> str:
    """One text, by the command of the page."""
    command = [sys.executable, "-m", "tiny_diffusion", "generate", "--checkpoint", str(checkpoint)]
    command += ["--preset", preset, "--length", str(LENGTH), "--seed", str(seed)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True).stdout.strip()


def quoted(text: str) -> str:
    """``text`` as a block quote of markdown, with the marks of markdown itself taken literally."""
    literal = re.sub(r"([\\`*_<>\[\]#])", r"\\\1", text)
    return "\n".join(f"> {line}".rstrip() for line in literal.split("\n"))


def replaced(page: str, name: str, texts: list[str]) -> str:
    """``page`` with these texts between the marks of ``name``; raises SystemExit if they are missing."""
    begin, end = f"<!-- texts: {name} -->\n", f"<!-- end: {name} -->"
    if begin not in page or end not in page:
        raise SystemExit(f"{PAGE} lacks the marks {begin.strip()} and {end}")
    before, rest = page.split(begin)
    shown = "\n\n".join(f"**{seed}**\n\n{quoted(text)}" for seed, text in zip(SEEDS, texts, strict=True))
    return f"{before}{begin}\n{shown}\n\n{end}{rest.split(end)[1]}"


def main() -> None:
    """Write all texts, then the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", nargs=2, action="append", required=True, metavar=("BOOK", "FILE"))
    page = PAGE.read_text(encoding="utf-8")
    for book, checkpoint in parser.parse_args().texts:
        for preset in PRESETS:
            texts = [write(Path(checkpoint), preset, seed) for seed in SEEDS]
            page = replaced(page, f"{book}, {preset}", texts)
    write_text(PAGE, page)


if __name__ == "__main__":
    main()
