"""The shell completes the three commands, in a terminal of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    ("command", "begun", "completed"),
    [
        ("bedside-agent", "dev", "device"),
        ("bedside-agent device", "rep", "repair"),
        ("bedside-cloud", "fl", "fleet"),
        ("bedside-cloud fleet", "inc", "incident"),
        ("bedside-sim", "dem", "demo"),
    ],
)
def test_bash_completes_a_command_that_is_begun(command: str, begun: str, completed: str) -> None:
    name, *groups = command.split()
    script = subprocess.run(
        [BIN / name],
        env={**os.environ, f"_{name.upper().replace('-', '_')}_COMPLETE": "source_bash"},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout
    words = " ".join(f"'{one}'" for one in (name, *groups, begun))
    function = f"_{name.replace('-', '_')}_completion"
    asked = f'{script}\nCOMP_WORDS=({words}); COMP_CWORD={len(groups) + 1}; {function} {name}; echo "${{COMPREPLY[@]}}"'
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    said = subprocess.run(
        ["bash", "-c", asked], env=environment, capture_output=True, text=True, check=True, timeout=30
    )
    assert said.stdout.split() == [completed]
