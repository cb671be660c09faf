"""The command group, its lazy loading, and how errors reach a user."""

import importlib
import os
import sys
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import click

from ..allocator import LIBRARIES, check_address_space, keep_freed_memory
from ..errors import OUT_OF_MEMORY, UserError, WorldError, is_out_of_memory
from ..version import PROGRAM_VERSION
from . import console
from .help import first_example
from .stopping import EXIT_INTERRUPTED, discard_output, end_quietly

# Each command: its module, which holds a click command named ``command``, and its line in the help. The module is
# imported when the command is used, so that help comes at once.
COMMANDS = {
    "prepare": ("prepare", "Read a book and make training data of it."),
    "train": ("training.train", "Train a model on a prepared book."),
    "generate": ("writing.generate", "Write text with a trained model."),
    "infill": ("writing.infill", "Fill the gaps of a text with a trained model."),
    "rewrite": ("writing.rewrite", "Write variants of a text and keep the spans of your choice."),
    "evaluate": ("evaluation.evaluate", "Measure a trained model on held-out text."),
    "blind-test": ("evaluation.blind_test", "Ask people which passages are the book's and which the model's."),
    "twin": ("studies.twin", "Find the best autoregressive twin of a model by a sweep."),
    "compare": ("studies.compare", "Find when diffusion passes its twin, over lengths, sizes and seeds."),
    "ablation": ("studies.ablation", "Compare schedules of the curriculum at equal compute."),
    "score": ("evaluation.score", "Show how surprising a text is to a model, word by word."),
    "export": ("export", "Write a model for Hugging Face's transformers, or as ONNX."),
    "import": ("importing", "Read an exported model back."),
    "serve": ("serve", "Open a page in the browser: write, follow a training, take the blind test."),
    "runs": ("training.runs", "List training runs, compare two, remove old ones."),
    "demo": ("demo.command", "Prepare, train, write and measure on one book: about seven minutes on two cores."),
    "curves": ("studies.curves", "Show the learning curves of several runs."),
    "doctor": ("studies.doctor", "Show what this machine can do, what each preset takes here, and what is wrong."),
    "config": ("config", "Print a resolved configuration, or explain the settings."),
}
EXIT_WORLD, EXIT_USER = 1, 2


class LazyGroup(click.Group):
    """A group that imports each command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands, in the order in which they are used."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f".{COMMANDS[cmd_name][0]}", __package__)
        return module.command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that ``args`` begin with.

        Raises:
            UsageError: there is no such command; the message names the nearest one.
            UserError: an option of one value is given twice.
        """
        wanted = args[0]
        if wanted not in COMMANDS and not wanted.startswith("-"):
            near = get_close_matches(wanted, COMMANDS, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else "tiny-diffusion --help lists them"
            raise click.UsageError(f"No such command {wanted!r}: {hint}", ctx)
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None:
            _refuse_repeated(ctx, command, rest)
        return name, command, rest

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the group's own options, one of which prints help."""
        with _broken_pipes():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _broken_pipes():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _refuse_repeated(ctx: click.Context, command: click.Command, arguments: list[str]) -> None:
    """Raise UserError if an option is given twice and click would use only the last value."""
    # Other mistakes are reported when the command is parsed.
    with click.Context(command, parent=ctx, resilient_parsing=True) as probe:
        _, _, given = command.make_parser(probe).parse_args(list(arguments))
    for parameter, times in Counter(given).items():
        if isinstance(parameter, click.Option) and times > 1 and not (parameter.multiple or parameter.count):
            if not parameter.is_flag or parameter.secondary_opts:
                names = "/".join([*parameter.opts, *parameter.secondary_opts])
                raise UserError(f"{names} is given {times} times: give it once")


@contextmanager
def _broken_pipes() -> Iterator[None]:
    """End with exit code 0 when the reader of our output has gone away (| head); click would end with 1."""
    try:
        yield
    except BrokenPipeError:
        end_quietly()


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(PROGRAM_VERSION, message="%(version)s")
@click.option("--debug-errors", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def app(ctx: click.Context, debug_errors: bool) -> None:
    """Train a masked diffusion language model on one book; then write, continue and fill gaps in its style."""
    ctx.obj = debug_errors
    if ctx.invoked_subcommand is None:  # like click's own groups: the help, and the exit code of wrong usage
        click.echo(ctx.get_help(), err=True)
        ctx.exit(EXIT_USER)
    if "torch" not in sys.modules:
        check_address_space(LIBRARIES, "the libraries alone")
    keep_freed_memory()
    console.show_notes()
    if _rank():  # one process speaks
        console.console.quiet = console.errors.quiet = True


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 fine, 1 the world failed, 2 wrong usage or input, 130 after Ctrl-C."""
    # Waiting threads that spin for long crawl as soon as another program runs; threads that sleep at once are a fifth
    # slower on a quiet machine (docs/performance.md). GCC's OpenMP reads the variable when torch loads.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    if sys.stdin is None:  # where the shell closed it (<&-): it reads as empty
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug-errors" in given
    given = [a for a in given if a != "--debug-errors"]
    try:
        code = app.main(args=given, prog_name="tiny-diffusion", standalone_mode=False)
        if sys.stdout is not None:  # None where the shell closed it (>&-)
            sys.stdout.flush()
    except click.MissingParameter as error:
        example = first_example(error.ctx.command) if error.ctx is not None else ""
        code = _say(f"{error.format_message()}{example and f' For example: {example}'}", EXIT_USER, debug)
    except click.ClickException as error:
        code = _say(error.format_message(), EXIT_USER, debug)
    except UserError as error:
        code = _say(str(error), EXIT_USER, debug)
    except WorldError as error:
        code = _say(str(error), EXIT_WORLD, debug)
    except (KeyboardInterrupt, click.Abort):  # before RuntimeError, which Abort is
        code = _say("interrupted", EXIT_INTERRUPTED, debug)
    except (MemoryError, RuntimeError, SystemError, ImportError) as error:
        if not is_out_of_memory(error):
            raise
        code = _say(OUT_OF_MEMORY, EXIT_WORLD, debug)
    except BrokenPipeError:  # from the flush: an earlier one has ended the command already
        end_quietly()
    except OSError as error:
        code = _say(f"{error.filename or 'cannot write the output'}: {error.strerror or error}", EXIT_WORLD, debug)
        discard_output()  # what is still to be written would fail again
    sys.exit(code if isinstance(code, int) else 0)


def _say(message: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    rank = _rank()
    if "TORCHELASTIC_RUN_ID" in os.environ:
        from ..training.processes import first_to_fail

        if not first_to_fail():
            return code
    console.errors.quiet = False
    whose = f"process {rank}: " if rank else ""
    console.say(f"error: {whose}{' '.join(message.split())}", to=console.errors)
    return code


def _rank() -> int:
    """The number of this process among those that torchrun started; 0 without it."""
    return int(os.environ["RANK"]) if "TORCHELASTIC_RUN_ID" in os.environ else 0
