"""The map says no more than the code needs: each subject of a row stands in its service's own sources."""

import ast
import importlib
from pathlib import Path

import pytest

import bedside_cloud
from bedside_cloud.alerting.endpoints import Endpoints as Alerting
from bedside_cloud.contracts.service_map import SERVICES, ServiceEntry
from bedside_cloud.identity.endpoints import Endpoints as Identity
from bedside_cloud.identity.enrolment import Enrolment
from bedside_cloud.identity.people import People
from bedside_cloud.ingest.endpoints import Endpoints as Ingest
from bedside_cloud.ingest.quarantine import Quarantine
from bedside_cloud.registry.commands import Commands
from bedside_cloud.registry.endpoints import Endpoints as Registry
from bedside_cloud.registry.patient_file import PatientFiles
from bedside_cloud.registry.releases import Releases
from bedside_cloud.registry.retirement import Retirements
from bedside_cloud.registry.rollouts import Rollouts
from bedside_profiles.wire.topics import DownLane, UpLane, subject

ROOT = Path(bedside_cloud.__file__).parent
FOLDERS = {entry.name: ROOT / entry.name for entry in SERVICES} | {"operator": ROOT / "operator_tools"}
Serving = type[
    Alerting
    | Commands
    | Enrolment
    | Identity
    | Ingest
    | People
    | Quarantine
    | Registry
    | PatientFiles
    | Releases
    | Retirements
    | Rollouts
]
SERVING: dict[str, tuple[Serving, ...]] = {
    "alerting": (Alerting,),
    "identity": (Enrolment, Identity, People),
    "ingest": (Ingest, Quarantine),
    "registry": (Commands, PatientFiles, Registry, Releases, Retirements, Rollouts),
}
CONTRACTS = {
    f"bedside_cloud.contracts.{name}": importlib.import_module(f"bedside_cloud.contracts.{name}")
    for name in (
        *("alerts", "hub_commands", "identity", "identity_administration", "readings", "registry"),
        "registry_administration",
        "patient_file",
        "releases",
    )
}


def named_in(folder: Path) -> set[str]:
    """Values of the contracts' constants and subjects of the lanes that a folder's code names."""
    found: set[str] = set()
    for file in folder.rglob("*.py"):
        tree = ast.parse(file.read_text())
        modules: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "bedside_cloud.contracts":
                modules |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module in CONTRACTS:
                found |= {value for alias in node.names if (value := constant(node.module, alias.name))}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                where, name = node.value.id, node.attr
                if where in modules and (value := constant(modules[where], name)):
                    found.add(value)
                elif where in ("UpLane", "DownLane"):
                    found.add(subject("*", (UpLane if where == "UpLane" else DownLane)[name]))
    return found


def constant(module: str, name: str) -> str | None:
    """A contract's subject by its name."""
    value = getattr(CONTRACTS[module], name, None)
    return value if name.isupper() and isinstance(value, str) else None


@pytest.mark.parametrize("entry", SERVICES, ids=lambda entry: entry.name)
def test_a_row_names_only_what_the_service_uses(entry: ServiceEntry) -> None:
    row = {*entry.publishes, *entry.subscribes, *entry.serves, *entry.requests}
    assert {one for one in row if not one.startswith("$SYS")} - named_in(FOLDERS[entry.name]) == set()


@pytest.mark.parametrize("entry", SERVICES, ids=lambda entry: entry.name)
def test_a_row_serves_exactly_what_the_service_answers(entry: ServiceEntry) -> None:
    if entry.name not in SERVING:
        assert entry.serves == ()
        return
    tables = [kind.__new__(kind).table() for kind in SERVING[entry.name]]
    assert sorted(endpoint.subject for table in tables for endpoint in table) == sorted(entry.serves)
