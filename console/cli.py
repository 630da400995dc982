"""The command `journeys`: its commands, its global options, and how errors become one line."""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
import tomllib
import traceback
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError

from console.command_loading import LOOK, Commands
from console.completion import InstallFor, ShowFor, advise_naming, name_shell
from console.entry import INTERRUPTED, STOPPED
from console.invocation import Invocation
from console.settings_view import describe_fault
from schemas.errors import JourneysError

UNREAD = 128 + signal.SIGPIPE
STDOUT = 1
GLOBAL_FLAGS = ("--debug",)
GLOBAL_OPTIONS = ("--data-dir",)

app = typer.Typer(
    name="journeys",
    no_args_is_help=True,
    cls=Commands,
    epilog="First steps: [bold]journeys demo[/bold] shows everything with a simulated shop; "
    "[bold]journeys COMMAND --help[/bold] has examples.",
    **LOOK,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"journeys {_version()}")
        raise typer.Exit


def _version() -> str:
    try:
        return version("journeys")
    except PackageNotFoundError:
        project = Path(__file__).parents[1] / "pyproject.toml"
        return str(tomllib.loads(project.read_text("utf-8"))["project"]["version"])


@app.callback()
def journeys(
    context: typer.Context,
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", metavar="DIR", help="Directory of the local stack  [default: .journeys]"),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and what libraries log")] = False,
    _: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version and exit"),
    ] = False,
    _show: ShowFor = None,
    _install: InstallFor = None,
) -> None:
    """Put touchpoints back into the journey that a customer lived, and see where it hurts while it happens."""
    context.obj = Invocation(data_dir, debug)
    if debug:
        logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    else:
        # What libraries have to say of a failure is said once more, and better, by our own line.
        logging.getLogger().addHandler(logging.NullHandler())


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit.

    0 done, 1 failed or something was refused, 2 misused, 130 interrupted, 141 nobody reads the output (`| head`).
    """
    given = hoist_global_options(name_shell(sys.argv[1:] if arguments is None else arguments))
    _open_missing_streams()
    for stream in (sys.stdout, sys.stderr):
        _allow_any_text(stream)
    # The library puts another file in the place of a broken standard output, which so must be known by another number.
    output = os.dup(sys.stdout.fileno())
    try:
        code = _run(given, output)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read us has seen enough. The flush at exit must not fail on the closed pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)
        code = UNREAD
    sys.exit(code)


def hoist_global_options(arguments: list[str]) -> list[str]:
    """Move global options before the command, so that they may stand anywhere; what follows `--` stays."""
    front: list[str] = []
    rest: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "--":
            return [*front, *rest, argument, *remaining]
        if argument in GLOBAL_FLAGS or argument.startswith(tuple(f"{name}=" for name in GLOBAL_OPTIONS)):
            front.append(argument)
        elif argument in GLOBAL_OPTIONS:
            front += [argument, *(value for value in [next(remaining, None)] if value is not None)]
        else:
            rest.append(argument)
    return [*front, *rest]


def _run(arguments: list[str], output: int) -> int:
    debug = "--debug" in arguments
    try:
        result: Any = app(arguments, prog_name="journeys", standalone_mode=False)
    except SystemExit as error:
        # The library ends the process with 1 and without a word on any broken pipe, also one to a server.
        pipe = error.__context__
        if not isinstance(pipe, BrokenPipeError):
            raise
        if is_unread(output):
            raise pipe from None
        _complain(f"a server closed the connection: {explain(pipe)[0]}")
        return 1
    except (Exception, KeyboardInterrupt) as error:
        if debug and not isinstance(error, typer.TyperException):
            traceback.print_exc()
        message, code = explain(error)
        if message:
            _complain(message)
        return code
    if result == INTERRUPTED:
        # The library turns an interruption into this code by itself, and says nothing.
        _complain(explain(KeyboardInterrupt())[0])
    if advice := advise_naming(arguments, result):
        _complain(advice)
    return result if isinstance(result, int) else 0


def explain(error: BaseException) -> tuple[str, int]:
    """One line for a person, and the exit code."""
    if isinstance(error, typer.TyperException):
        if not error.format_message():
            # Called without a command: the help has been printed, and is all there is to say.
            return "", error.exit_code
        hint = "" if error.exit_code != 2 else " (--help shows examples)"
        message = error.format_message().replace(": Value error, ", ": ").rstrip(".")
        return f"{message}{hint}", error.exit_code
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return STOPPED, INTERRUPTED
    if isinstance(error, ValidationError):
        return describe_fault(error), 1
    if isinstance(error, SettingsError):
        return f'{error}: write it as JSON, such as {{"name": "value"}}', 1
    if isinstance(error, tomllib.TOMLDecodeError):
        return f"journeys.toml is no TOML: {error}", 1
    if isinstance(error, JourneysError):
        return str(error), 1
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror, 1
    return f"unexpected {type(error).__name__}: {error} (--debug shows where)", 1


def is_unread(descriptor: int) -> bool:
    """Whether a file descriptor is a pipe or socket whose other end is closed."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


def _complain(message: str) -> None:
    line = " ".join(message.split())
    on_terminal = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    prefix = "\x1b[31mjourneys:\x1b[0m" if on_terminal else "journeys:"
    print(f"{prefix} {line}", file=sys.stderr)


def _open_missing_streams() -> None:
    """Let what goes to a stream that was closed before the start (`>&-`) be lost, and no file take its number."""
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")


def _allow_any_text(stream: TextIO) -> None:
    # A terminal that cannot show a character shows a question mark in its place.
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace" if stream is sys.stderr else "replace")


if __name__ == "__main__":
    main()
