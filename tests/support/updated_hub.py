"""A hub on systemd that is brought to another version: bundles for it, and the question as its agent asks it."""

from pathlib import Path

from tests.support.hub_on_systemd import STATE, Hub

from bedside_cloud.engines.certificates.release_key import release_signer
from bedside_cloud.operator_tools import bundles

ROOT = Path(__file__).parents[2]
UPDATE = "bedside-update.service"
ASK_FOR_UPDATE = """
from pathlib import Path
from bedside_agent.radio.mending import System
System(Path("/run/bedside/requests")).ask("update")
"""
SAY_WORKS = """
from pathlib import Path
from bedside_agent.radio.mending import System
from bedside_agent.updating.updates import Updates
Updates(Path("/var/lib/bedside"), "", lambda: None, System(Path("/run/bedside/requests"))).reached_the_cloud()
"""


def bundle_of(hub: Hub, wheel: Path, folder: Path, key: Path) -> Path:
    """The wheel with the project's units and all packages, signed with that key."""
    bundle = folder / f"{wheel.name}.tar"
    bundles.pack(wheel, ROOT / "systemd", hub.wheelhouse, bundle)
    bundles.sign(bundle, release_signer(key, b"a passphrase"), may_be_older=False)
    return bundle


def result_of(hub: Hub) -> str:
    """What the system wrote of the last request; empty before the first."""
    result = hub.machine.root / "opt/bedside/update/result"
    return result.read_text() if result.exists() else ""


def update(hub: Hub, bundle: Path, number: int, *, reaches_the_cloud: bool = True) -> str:
    """Ask for it as the agent does; the system's answer. Whether the version that comes up reaches the cloud, which is
    not there in this test, is decided here: the agent's own code then says so."""
    machine, inbox, named = hub.machine, hub.state / "update", f"{number:08d}-0000-4000-8000-000000000000"
    machine.run("runuser", "-u", "bedside", "--", "mkdir", "-p", f"{STATE}/update")
    for name, content in (
        ("bundle", bundle.read_bytes()),
        ("manifest", Path(f"{bundle}{bundles.MANIFEST}").read_bytes()),
        ("signature", Path(f"{bundle}{bundles.SIGNATURE}").read_bytes()),
        ("number", named.encode()),
    ):
        (inbox / name).write_bytes(content)
    python = ("runuser", "-u", "bedside", "--", "/opt/bedside/current/bin/python", "-c")
    machine.run(*python, ASK_FOR_UPDATE)

    def answer() -> str | None:
        if reaches_the_cloud:
            machine.try_(*python, SAY_WORKS)
        said = result_of(hub)
        return said if named in said else None

    return machine.until(answer, "the system's answer")
