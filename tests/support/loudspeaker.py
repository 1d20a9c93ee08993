"""Programs that stand where a sound card and a voice would be, and write down what they are given."""

import sys
from pathlib import Path

PLAYS = """#!{python}
import pathlib, sys
folder = pathlib.Path({folder!r})
data = sys.stdin.buffer.read()
if (folder / "broken").exists():
    sys.exit("aplay: main:830: audio open error: No such file or directory")
number = len(list(folder.glob("*.wav")))
(folder / f"{{number:03d}}.part").write_bytes(data)
(folder / f"{{number:03d}}.part").rename(folder / f"{{number:03d}}.wav")
"""

SPEAKS = """#!{python}
import pathlib, sys
with (pathlib.Path({folder!r}) / "said").open("a") as said:
    said.write(sys.argv[-1] + "\\n")
"""


class Loudspeaker:
    """`bin` is for PATH: `aplay` and `espeak-ng` that record into `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        for name, text in (("aplay", PLAYS), ("espeak-ng", SPEAKS)):
            program = self.bin / name
            program.write_text(text.format(python=sys.executable, folder=str(folder)))
            program.chmod(0o755)

    @property
    def played(self) -> list[bytes]:
        """Every WAV file that was played to its end, tests' silence included."""
        return [path.read_bytes() for path in sorted(self.folder.glob("*.wav"))]

    @property
    def said(self) -> list[str]:
        """Every sentence that was spoken."""
        path = self.folder / "said"
        return path.read_text().splitlines() if path.exists() else []

    def unplug(self) -> None:
        """From now on there is no sound device."""
        (self.folder / "broken").touch()

    def plug(self) -> None:
        """There is one again."""
        (self.folder / "broken").unlink()
