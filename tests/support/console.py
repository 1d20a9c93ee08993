"""Builders of what a console shows: a test names only what it is about."""

from typing import Any

from tests.support.clock import NOON_MS
from tests.support.readings import OXIMETER, PATIENT

from bedside_cloud.contracts.alerts import Alert, AlertSource
from bedside_cloud.contracts.readings import StoredReading
from bedside_cloud.contracts.registry import EpisodeState, Patient
from bedside_profiles.readings import Metric, Modality
from bedside_profiles.rules.priority import Priority
from bedside_profiles.rules.thresholds import Side
from bedside_profiles.wire.alarm import AlarmKind

ALERT = "88888888-8888-4888-8888-888888888888"


def patient(**changes: Any) -> Patient:
    """A patient with an active episode."""
    plain = {
        "patient_id": PATIENT,
        "name": "Example Patient",
        "birth_date": "1950-01-01",
        "mrn": "0001",
        "episode_state": EpisodeState.ACTIVE,
    }
    return Patient(**{**plain, **changes})


def alert(**changes: Any) -> Alert:
    """A low SpO2 of 84 %, raised at noon by the hub, that nobody has taken."""
    plain = {
        "alert_id": ALERT,
        "patient_id": PATIENT,
        "condition": "spo2_low",
        "kind": AlarmKind.PHYSIOLOGICAL,
        "priority": Priority.HIGH,
        "version": 1,
        "active": True,
        "raised_at_ms": NOON_MS,
        "onset_ms": NOON_MS - 10_000,
        "heard_at_ms": NOON_MS + 50,
        "sources": (AlertSource.HUB,),
        "metric": Metric.SPO2,
        "side": Side.BELOW,
        "value": 84.0,
        "limit": 88.0,
    }
    return Alert(**{**plain, **changes})


def stored(value: float | None = 97.0, metric: Metric = Metric.SPO2, **changes: Any) -> StoredReading:
    """A reading stored at noon."""
    plain = {
        "patient_id": PATIENT,
        "device_id": OXIMETER,
        "metric": metric,
        "value": value,
        "modality": Modality.CONTINUOUS,
        "taken_at_ms": NOON_MS,
        "store_id": "0" * 32,
        "seq": 1,
    }
    return StoredReading(**{**plain, **changes})
