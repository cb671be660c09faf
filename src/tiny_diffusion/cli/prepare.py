"""``tiny-diffusion prepare``: make training data from a book."""

import json
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click
from rich.text import Text

from ..config import CurriculumConfig, PipelineConfig, ProjectConfig, keys_of
from ..config.pipeline_config import Removable
from ..errors import UserError
from ..files import check_folder
from .console import console, errors, print_table, say, warn
from .help import examples
from .options import PREPARED, command_line, config_option
from .settings import changes, config_flags, resolve

if TYPE_CHECKING:
    from ..data.artefacts import Processed
    from ..data.reading.document import Removed

FEW, MANY = 3, 10  # easiest and hardest sentences shown: without and with --verbose


@examples(
    "tiny-diffusion prepare --book mybook.epub",
    "tiny-diffusion prepare --book gutenberg:84 --config cpu_2m",
    "tiny-diffusion prepare --book mybook.txt --pipeline.vocab_size 8000",
    "tiny-diffusion prepare --book first.epub --book second.txt --output both",
    "tiny-diffusion prepare --book mybook.html --explain",
    "tiny-diffusion prepare --book mybook.epub --shelf novels --output with_shelf",
)
@click.command("prepare")
@click.option(
    "--book",
    "books",
    required=True,
    multiple=True,
    help="The book: .txt (any encoding), .md, .adoc, .html, .epub, .fb2, .docx, .gz, a folder or .zip of books, a URL, "
    "or gutenberg:ID. May be given several times.",
)
@click.option(
    "--shelf",
    multiple=True,
    metavar="BOOKS",
    help="Other people's books to learn the language from first: a file, a folder or a .zip. May be repeated.",
)
@click.option("--output", default=PREPARED, show_default=True, help="Folder for the training data.")
@click.option("--force", is_flag=True, help="Prepare again, even if nothing has changed.")
@click.option("--explain", is_flag=True, help="Show what the first ten paragraphs were taken for; write nothing.")
@click.option("--verbose", is_flag=True, help="Print the stages of training too, and more sentences.")
@config_option("default")
@click.option(
    "--keep",
    multiple=True,
    type=click.Choice(get_args(Removable)),
    metavar="KIND",
    expose_value=False,
    callback=lambda ctx, parameter, kinds: _keep(ctx, kinds),
    help=f"Leave in what is usually taken out: {', '.join(get_args(Removable))}. May be repeated.",
)
@config_flags(PipelineConfig, also=keys_of(CurriculumConfig))  # --verbose shows the stages
@click.pass_context
def command(
    ctx: click.Context,
    books: tuple[str, ...],
    shelf: tuple[str, ...],
    output: str,
    force: bool,
    explain: bool,
    verbose: bool,
    config_name: str,
) -> None:
    """Read a book, split it into training and held-out passages, and fit tokenizer and scores on the training part."""
    config = resolve(ctx, ProjectConfig.preset(config_name))
    if "" in (*books, *shelf):  # else the present folder
        raise UserError("--book and --shelf need a name, but one of them is empty")
    if explain:
        if shelf:
            raise UserError("--explain shows the paragraphs of --book: leave out --shelf, or name its books as --book")
        _explain(books, config.pipeline)
        return
    check_folder(Path(output))
    if not run(books, Path(output), config, shelf=shelf, force=force):
        say(f"{output} is up to date with this book and these settings; nothing to do")
    show(Path(output), config, verbose=verbose)
    say(f"next, train a model on it: {command_line('train', '--time-budget', '20m', data_dir=output)}", whole=True)


def _keep(ctx: click.Context, kinds: tuple[str, ...]) -> None:
    if kinds:
        changes(ctx).append(f"pipeline.keep={json.dumps(kinds)}")


def run(
    book: str | Sequence[str], output: Path, config: ProjectConfig, *, shelf: Sequence[str] = (), force: bool
) -> bool:
    """Prepare, and return whether there was anything to do."""
    from ..data.pipeline import LEARNING, prepare

    anything = False
    with errors.status("reading the book") as status:
        for step in prepare(book, output, config.pipeline, shelf=shelf, force=force):
            anything = anything or step.name == LEARNING
            status.update(step.name)
    return anything


def _explain(books: Sequence[str], settings: PipelineConfig) -> None:
    """Print what the first paragraphs of each book were taken for, and what is taken out."""
    from ..data.pipeline import clean, notes_on
    from ..data.reading import read_books
    from ..data.reading.cleaning import first_pieces

    for book in read_books(books):
        found = clean(book, settings)
        say(f"{book.source}: {len(found.paragraphs):,} paragraphs")
        for kind, text, more in first_pieces(found):
            rest = f"  (and {more:,} more)" if more else ""
            console.print(
                Text(f"  {kind:10} {' / '.join(text.split(chr(10)))}{rest}"), no_wrap=True, overflow="ellipsis"
            )
        _show_removed(found.removed)
        for note in notes_on([book], [found]):
            warn(f"note: {note}")


def _show_removed(removed: "Removed") -> None:
    rows = [(kind, f"{count:,}", example) for kind, count, example in removed.rows()]
    if rows:
        print_table(("taken out", "pieces", "the first"), rows, "what was taken out (--keep KIND leaves it in)")


def show(folder: Path, config: ProjectConfig, *, verbose: bool) -> None:
    """Print the contents of a prepared folder, for a person to check."""
    from ..data.artefacts import load_processed
    from ..data.tokenizer import LEVELS

    data = load_processed(folder)
    say(f"{data.source}: language {data.language}, tokenizer {data.tokenizer.kind}")
    splits = ("train", "validation", "test")
    texts = {split: data.texts(split) for split in splits}
    counts: dict[str, Callable[[str], int]] = {
        "passages": lambda text: 1,
        "words": lambda text: len(text.split()),
        "bytes": lambda text: len(text.encode("utf-8")),
    }
    for level in LEVELS:
        name = f"tokens, level {level} ({data.tokenizer.level_size(level):,} kinds)"
        counts[name] = lambda text, level=level: len(data.tokenizer.encode(text, level))  # type: ignore[misc]
    rows = [(name, *(f"{sum(map(count, texts[split])):,}" for split in splits)) for name, count in counts.items()]
    print_table(("", *splits), rows)
    say("A token is a word or a piece of one; a model's size names the level it reads.")
    if data.shelf.passages:
        _show_shelf(data)
    _show_removed(data.removed)
    if verbose:
        _show_stages(data, config)
    order = data.difficulty.combined.argsort(kind="stable").tolist()
    for title, chosen in (("easiest", order), ("hardest", order[::-1])):
        # A sentence that the book repeats is shown once.
        once = dict.fromkeys(" ".join(data.sentences[i].text.split()) for i in chosen)
        say(f"{title} sentences:")
        for sentence in islice(once, MANY if verbose else FEW):
            console.print(Text(f"  {sentence}"), no_wrap=True, overflow="ellipsis")
    for note in data.difficulty.notes:
        warn(f"note: {note}")


def _show_shelf(data: "Processed") -> None:
    from ..data.shelf import other_books

    shelf = data.shelf
    texts = [passage.text for passage in shelf.passages]
    say(
        f"shelf, to be learnt first: {other_books(shelf.books)} ({', '.join(shelf.books)}), {len(texts):,} passages, "
        f"{sum(len(text.encode('utf-8')) for text in texts):,} bytes, "
        f"{sum(len(data.tokenizer.encode(text)) for text in texts):,} tokens of the book's own tokenizer"
    )


def _show_stages(data: "Processed", config: ProjectConfig) -> None:
    """Print how many examples each stage has, and in how many of its pairs the evidence comes first, as promised."""
    from ..data.curriculum import build_stage, count_argued_pairs

    paragraphs = {p.index: list(p.paragraphs) for p in data.passages if p.split == "train"}
    rows, told = [], []
    for stage in config.curriculum.stages:
        try:
            count = f"{len(build_stage(stage, data.sentences, data.difficulty, paragraphs)):,}"
            if stage.format == "pairs":
                told.append((stage.name, *count_argued_pairs(stage, data.sentences, data.difficulty)))
        except UserError as error:  # an empty stage ends training, with this message; the book may be for other stages
            count = str(error)
        low, high = stage.mask_range
        rows.append((stage.name, stage.format, stage.epochs, f"{low:.0%}-{high:.0%}", count))
    print_table(("stage", "format", "epochs", "mask rates", "examples"), rows, f"{len(data.sentences):,} sentences")
    for name, argued, pairs in told:
        say(
            f"stage {name}: in {argued:,} of its {pairs:,} pairs of sentences a connective such as because or "
            "therefore tells evidence from claim, and the evidence comes first; the others keep the text's order"
        )
