"""Completion in shells: typer tells the shell by the process that called us; where that is none, people name it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer
from typer.completion import install_callback, show_callback

NAMING = {"--show-completion": "--show-completion-for", "--install-completion": "--install-completion-for"}
"""The options as people write them, with a name or without, and the hidden ones that take a name."""


class Shell(StrEnum):
    """Shells that can be completed in."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"
    PWSH = "pwsh"


ShowFor = Annotated[
    Shell | None, typer.Option("--show-completion-for", hidden=True, is_eager=True, callback=show_callback)
]
InstallFor = Annotated[
    Shell | None, typer.Option("--install-completion-for", hidden=True, is_eager=True, callback=install_callback)
]


def name_shell(arguments: Sequence[str]) -> list[str]:
    """The arguments, with `--show-completion bash` or `--show-completion=bash` as the option that takes the name."""
    if not arguments:
        return []
    option, separator, name = arguments[0].partition("=")
    if option not in NAMING:
        return list(arguments)
    if separator:
        return [NAMING[option], name, *arguments[1:]]
    is_named = len(arguments) > 1 and not arguments[1].startswith("-")
    return [NAMING[option] if is_named else option, *arguments[1:]]


def advise_naming(arguments: Sequence[str], code: object) -> str:
    """What to do where no shell was found, or an empty text."""
    if code != 1 or not arguments or arguments[-1] not in NAMING:
        return ""
    return f"which shell this is cannot be told: name it, as in journeys {arguments[-1]} bash"
