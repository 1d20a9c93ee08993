"""What people type: lengths of time."""

import re

import typer

_LENGTH = re.compile(r"([1-9][0-9]{0,4})([mhd])")
_SECONDS = {"m": 60, "h": 3600, "d": 86_400}


def seconds_of(text: str, option: str) -> int:
    """Seconds of a length like 10m, 2h or 3d; BadParameter for any other text."""
    found = _LENGTH.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no length of time: write 10m, 2h or 3d.", param_hint=option)
    return int(found[1]) * _SECONDS[found[2]]
