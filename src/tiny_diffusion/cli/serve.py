"""``tiny-diffusion serve``: the page in the browser."""

import socket
from pathlib import Path

import click
from click.core import ParameterSource

from ..config import PageConfig, ProjectConfig
from ..errors import UserError
from .console import console, say
from .help import examples
from .options import DATA_DIR, DEVICE
from .settings import config_flags, resolve, short_flag

LOCAL = "127.0.0.1"


@examples(
    "tiny-diffusion serve",
    "tiny-diffusion serve --checkpoint a.pt --checkpoint b.pt",
    "tiny-diffusion serve --host 0.0.0.0",
)
@click.command("serve")
@click.option(
    "--checkpoint",
    "checkpoints",
    multiple=True,
    default=["outputs/best_model.pt"],
    show_default=True,
    help="A trained model, or one in training; repeat it to choose between several and to compare them.",
)
@DATA_DIR
@click.option("--answers", help="File of the blind test.  [default: blind_test.sqlite beside the first checkpoint]")
@click.option("--host", default=LOCAL, show_default=True, help="Address to listen on; others get a one-time link.")
@short_flag("--port", "page.port", default=True)
@DEVICE
@config_flags(PageConfig)
@click.pass_context
def command(
    ctx: click.Context, checkpoints: tuple[str, ...], data_dir: str, answers: str | None, host: str, device: str
) -> None:
    """Open a page to write with a model, to follow a training, and to take the blind test. Ctrl-C ends it.

    Only this machine can reach it, unless --host names another address. It needs the extra [app].
    """
    from ..runtime import find_device

    try:
        from ..page.app import Page, make_app
        from ..page.server import listen, run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn", "anyio"):
            raise
        raise UserError("serve needs an extra: pip install 'tiny-diffusion[app]'") from error
    from ..page.blind import BlindTest
    from ..page.door import LOCAL as LOCAL_NAMES
    from ..page.door import Door
    from ..page.shelf import make_shelf

    settings = resolve(ctx, ProjectConfig.default()).page
    paths = [Path(path) for path in checkpoints]
    for path in paths if _given(ctx, "checkpoints") else ():
        if not path.exists() and not (path.parent / "logs").is_dir():
            raise UserError(f"no checkpoint at {path}, and no training beside it that could write one")
    shelf = make_shelf(paths, Path(data_dir), find_device(device), must_match=_given(ctx, "data_dir"))
    blind = BlindTest(Path(answers) if answers else paths[0].parent / "blind_test.sqlite", paths[0], shelf.data_dir)
    door = Door(local=host in (*LOCAL_NAMES, "::1"))
    listening = listen(host, settings.port)
    port = listening.getsockname()[1]
    name = socket.gethostname() if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    link = f"http://{name}:{port}/" + ("" if door.local else f"?token={door.invite()}")

    def started() -> None:
        say(f"the page is at {link}")
        if not door.local:
            say("the link opens once; the page makes further ones. Whoever has one can use the model, unencrypted")
        say("Ctrl-C ends it", style="dim")
        console.file.flush()  # a pipe would keep the link to itself

    try:
        run(make_app(Page(shelf, blind, settings, door)), listening, started)
    except KeyboardInterrupt:
        say("stopped", style="dim")


def _given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
