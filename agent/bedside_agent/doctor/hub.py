"""The hub itself: its time, its certificate, and what the running agent says of what it keeps."""

from collections.abc import Mapping
from typing import Any

from bedside_agent.doctor.findings import Finding, broken, fine, unknown, watch
from bedside_agent.errors import IdentityError
from bedside_agent.uplink import est
from bedside_agent.uplink.identity import Identity
from bedside_profiles.readings import ClockQuality

DAY_MS = 86_400_000
LATE_DAYS = 7
"""A certificate is renewed when it has ten days left."""

OLD_RECEIPT_MS = 15 * 60_000


def clock(quality: ClockQuality, agents: str | None) -> Finding:
    """The kernel's clock, or what the running agent has learned from the cloud."""
    if quality is ClockQuality.SYNCED:
        return fine("clock", "set by the network")
    if agents == ClockQuality.SYNCED.value:
        return watch(
            "clock", "not set by the network; the agent has the time from the cloud", "timedatectl set-ntp true"
        )
    return broken("clock", "not set: readings keep their order, and get their time later", "timedatectl set-ntp true")


def certificate(identity: Identity, now_ms: int | None) -> Finding:
    """How long the hub is let in. `now_ms` is None where the hub does not know the time."""
    try:
        _, end_ms = identity.validity_ms()
        enrolled = identity.is_enrolled()
    except IdentityError as error:
        return broken("certificate", error.what, est.NEW_CLAIM)
    if not enrolled:
        return broken("certificate", "key and certificate do not belong together", est.NEW_CLAIM)
    if now_ms is None:
        return unknown("certificate", "nobody here knows the date")
    days = (end_ms - now_ms) / DAY_MS
    if days < 0:
        return broken(
            "certificate", f"it ended {-days:.0f} days ago", "switch the hub on with internet: it renews by itself"
        )
    if days < LATE_DAYS:
        return watch(
            "certificate", f"{days:.0f} days left, and not renewed", "see `renewal`; the hub tries by itself until then"
        )
    return fine("certificate", f"{days:.0f} days left")


def running(report: Mapping[str, Any] | None) -> Finding:
    """Whether the agent runs, and is connected."""
    if report is None:
        return broken("agent", "it does not run", "systemctl status bedside-agent, then journalctl -u bedside-agent")
    if report["connected_since_ms"] is None:
        return broken("agent", f"not connected: {report['last_error'] or 'trying'}", "see `dns` and `broker`")
    if report["faults"]:
        return watch("agent", f"connected; faults: {', '.join(report['faults'])}", "bedside-agent status")
    return fine("agent", f"version {report['agent_version']}, connected")


def buffer(report: Mapping[str, Any] | None, now_ms: int | None) -> Finding:
    """What waits for the cloud, and since when nothing was received there."""
    if report is None:
        return unknown("buffer", "the agent does not run: bedside-agent buffer stats")
    if report["store_error"]:
        return broken("buffer", str(report["store_error"]), "see `disk`; what is measured is in memory only")
    waiting = sum(report["waiting"].values())
    last_ms = report["last_receipt_ms"]
    if waiting and now_ms is not None and last_ms is not None and now_ms - last_ms > OLD_RECEIPT_MS:
        minutes = (now_ms - last_ms) // 60_000
        return watch("buffer", f"{waiting} wait, nothing was received for {minutes} minutes", "see `broker`")
    return fine("buffer", f"{waiting} wait" if waiting else "everything is in the cloud")


def devices(report: Mapping[str, Any] | None) -> Finding:
    """Whether the hub's devices are heard."""
    if report is None or not report["devices"]:
        return unknown("devices", "none is known to the running agent", "bedside-agent device add")
    silent = [one["device_id"] for one in report["devices"] if one["link"] in ("lost", "repair_needed")]
    if silent:
        return watch("devices", f"not heard: {', '.join(silent)}", f"bedside-agent device test {silent[0]}")
    return fine("devices", f"{len(report['devices'])} known, none lost")
