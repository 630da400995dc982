"""Commands of `journeys`, each loaded when it is called for: what all of them import takes a second."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

NAMES = {
    "demo": "start everything, with a simulated shop",
    "up": "start the platform on this machine",
    "status": "show what runs, its lag, rows and alerts",
    "doctor": "check every setting and server",
    "worker": "run one worker",
    "migrate": "make tables and topics, or bring them up",
    "emit": "send touchpoints, one JSON a line",
    "replay": "send files of touchpoints",
    "sql": "ask ClickHouse as an analyst",
    "alerts": "list, show and deal with alerts",
    "identity": "see and undo what makes one customer",
    "dead-letters": "look at refused input, send it again",
    "rules": "list, check and back-test rules",
    "reconcile": "compare topics with ClickHouse",
    "rebuild": "stitch customers anew from what is stored",
    "backfill": "load years of history past Kafka",
    "report": "write the week as one HTML page",
    "forget": "erase a customer everywhere",
}
"""In the order of the help, with what a shell says of each where it completes its name: 45 characters at most.

Each is a module of `console.commands` that registers one command of that name."""
LOOK: dict[str, Any] = {
    "rich_markup_mode": "rich",
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}
"""How `journeys` and its commands show themselves."""


class Commands(TyperGroup):
    """The commands, and those that were added to the app besides."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As the library does. For a name that there is not it compares with all names, so they must be there."""
        if args and args[0] not in self.list_commands(ctx):
            for name in NAMES:
                self.get_command(ctx, name)
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, in order; nothing is loaded."""
        return [*NAMES, *(name for name in super().list_commands(ctx) if name not in NAMES)]

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """As the library does, but nothing is loaded: somebody waits after each key."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        listed = TyperGroup(commands={name: TyperCommand(name, help=text) for name, text in NAMES.items()})
        return listed.shell_complete(typer.Context(listed), incomplete)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a name, loaded if need be; None where there is none."""
        if cmd_name in NAMES and cmd_name not in self.commands:
            self.add_command(load(cmd_name), cmd_name)
        return super().get_command(ctx, cmd_name)


def load(name: str) -> Any:
    """The command of one of `NAMES`."""
    app = typer.Typer(add_completion=False, **LOOK)
    import_module(f"console.commands.{name.replace('-', '_')}").register(app)
    made = get_command(app)
    return made.commands[name] if isinstance(made, TyperGroup) else made
