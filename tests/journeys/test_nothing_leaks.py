"""Of a patient who was admitted, measured, alarmed for and looked at, nothing stands where it does not belong."""

import asyncio
import io
import subprocess
import sys
import tarfile
from pathlib import Path

import httpx
import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from tests.support.household import RunningHousehold, household

from bedside_cloud.contracts.service_map import SERVICES
from bedside_sim.household import HUB_ID

__all__ = ["household"]

pytestmark = pytest.mark.journey

NAME, SURNAME, BIRTH_DATE, MRN = "Wilhelmina Testperson", "Testperson", "1931-02-28", "MRN-7700042"
AGENT = Path(sys.executable).with_name("bedside-agent")


async def lived(household: RunningHousehold) -> tuple[str, ...]:
    """A patient with planted data gets the hub and its devices, an alarm, and a nurse who looks; all that is theirs."""
    added = await household.ask_cloud("patient", "add", NAME, "--birth-date", BIRTH_DATE, "--mrn", MRN)
    await household.tell_cloud("patient", "team", MRN, "nurse")
    rules = household.state / "rules.json"
    await household.tell_cloud("plan", "set", MRN, "--rules", str(rules), "--emergency-number", "112")
    await household.tell_cloud("patient", "episode", MRN, "planned")
    await household.tell_cloud("patient", "episode", MRN, "active")
    for device in household.devices["devices"]:
        await household.tell_cloud("release", device["device_id"])
        await household.tell_cloud("assign", device["device_id"], MRN)
    await household.tell_cloud("patient", "hub", MRN, HUB_ID)
    await household.control("scenario", name="desaturation")
    dsn = str(household.endpoints["database_dsn"])

    async def alarmed() -> bool:
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            query = "SELECT count(*) FROM alerting.alerts WHERE patient_id = %s"
            row = await (await connection.execute(query, (added["patient_id"],))).fetchone()
        return row is not None and int(row[0]) > 0

    await household.until(alarmed, "an alert for the planted patient")
    return NAME, SURNAME, BIRTH_DATE, MRN, str(added["patient_id"])


def members(bundle: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(bundle)) as tar:
        return {one.name: file.read() for one in tar if (file := tar.extractfile(one)) is not None}


def ran(household: RunningHousehold, *arguments: str) -> bytes:
    command = [str(AGENT), *arguments, "--state", str(household.hub_state)]
    return subprocess.run(command, capture_output=True, check=True).stdout


def certificates(folder: Path) -> dict[str, bytes]:
    texts = {file: file.read_bytes() for file in folder.rglob("*.pem")}
    return {
        f"{file} {one.serial_number}": one.public_bytes(serialization.Encoding.DER)
        for file, text in texts.items()
        if b"BEGIN CERTIFICATE" in text
        for one in x509.load_pem_x509_certificates(text)
    }


def said_everywhere(household: RunningHousehold, bundle: dict[str, bytes]) -> dict[str, bytes]:
    """All that may be copied, shown or sent to somebody who is not in charge of the patient, by where it was found."""
    texts = {str(file): text.encode() for file, text in household.logs().items()}
    assert len(texts) >= 8
    for process in household.status()["processes"]:
        for what in ("cmdline", "environ"):
            texts[f"{process['name']} {what}"] = Path(f"/proc/{process['pid']}/{what}").read_bytes()
    texts["status.json"] = (household.cloud_state / "status.json").read_bytes()
    return texts | bundle | certificates(household.hub_state) | certificates(household.cloud_state)


@pytest.mark.asyncio(loop_scope="module")
async def test_nothing_of_the_patient_is_in_logs_archive_certificates_or_arguments(
    household: RunningHousehold, tmp_path: Path
) -> None:
    planted = await lived(household)
    async with httpx.AsyncClient(base_url=household.url, follow_redirects=True) as console:
        credentials = {"name": "nurse", "password": household.password("nurse")}
        await console.post("/login", data=credentials)
        assert NAME in (await console.get("/")).text, "where it belongs, it stands"
    # What is watched is the patient's too: the hub's own report says it, and the archive leaves it out.
    assert b"spo2" in await asyncio.to_thread(ran, household, "status", "--json")
    output = tmp_path / "bundle.tar.gz"
    await asyncio.to_thread(ran, household, "bundle", "--output", str(output))
    bundle = await asyncio.to_thread(lambda: members(output.read_bytes()))
    assert {Path(name).name for name in bundle} >= {"status.json", "buffer.json", "doctor.json"}
    assert b"spo2" not in b"".join(bundle.values())

    texts = await asyncio.to_thread(said_everywhere, household, bundle)
    assert {(where, what) for where, text in texts.items() for what in planted if what.encode() in text} == set()


def test_no_subject_has_room_for_a_patient() -> None:
    """Only a hub's id is left open, in the lanes; every other subject is written out in the map."""
    for entry in SERVICES:
        for one in (*entry.publishes, *entry.subscribes, *entry.serves, *entry.requests):
            assert "*" not in one or one.startswith("bedside.v1.hubs.*."), one
            assert "patient_id" not in one
