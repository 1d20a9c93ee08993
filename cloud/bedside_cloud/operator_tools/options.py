"""Options that every command has."""

from pathlib import Path
from typing import Annotated

import typer

StateOption = Annotated[
    Path, typer.Option("--state", envvar="BEDSIDE_CLOUD_STATE", help="The folder that holds all of the cloud's data.")
]
PatientArgument = Annotated[str, typer.Argument(help="The patient's id or medical record number.")]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]
