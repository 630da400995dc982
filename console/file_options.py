"""Options of the commands that read files of touchpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

MappingOption = Annotated[
    Path | None,
    typer.Option(
        "--mapping", metavar="FILE", help="YAML that says which column is what (docs/mappings.md); CSV needs it"
    ),
]
FromStartOption = Annotated[bool, typer.Option("--from-start", help="Forget how far an earlier run came")]
