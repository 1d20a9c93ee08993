"""A token of SoftHSM2 (the PKCS#11 module of OpenDNSSEC) in a folder of its own."""

import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.absent import absent

from bedside_cloud.engines.certificates.token import TokenUri

MODULES = (Path("/usr/lib/softhsm/libsofthsm2.so"), Path("/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"))
PIN = "482913"


@dataclass(frozen=True, slots=True)
class Token:
    """`folder` holds the token's files: moved away, it is unplugged."""

    label: str
    module: Path
    folder: Path
    pin_file: Path

    def uri(self, name: str = "issuing-1", **changes: object) -> TokenUri:
        plain = {"label": self.label, "name": name, "module": self.module, "pin_file": self.pin_file}
        return TokenUri(**{**plain, **changes})  # type: ignore[arg-type]

    def unplug(self) -> None:
        self.folder.rename(self.folder.with_name("unplugged"))
        self.folder.mkdir()

    def plug_in(self) -> None:
        self.folder.rmdir()
        self.folder.with_name("unplugged").rename(self.folder)


def new_token(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Token:
    """A token without any key, for this process and those that it starts."""
    module = next((one for one in MODULES if one.exists()), None)
    if module is None or shutil.which("softhsm2-util") is None:
        absent("keys in a token", "install softhsm2 (make system)")
    tokens = folder / "tokens"
    tokens.mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(configuration))
    label = f"bedside-{secrets.token_hex(4)}"
    arguments = ("--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "99887766")
    subprocess.run(("softhsm2-util", *arguments), check=True, capture_output=True, env=os.environ)
    pin_file = folder / "pin"
    pin_file.write_text(f"{PIN}\n")
    pin_file.chmod(0o600)
    return Token(label, module, tokens, pin_file)
