"""Options that every command has."""

from pathlib import Path
from typing import Annotated

import typer

StateOption = Annotated[
    Path, typer.Option("--state", envvar="BEDSIDE_CLOUD_STATE", help="The folder that holds all of the cloud's data.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]
