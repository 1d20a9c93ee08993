"""What became of the hub's alarms in the cloud, as last heard: kept over a restart, for the patient's page."""

import json

from bedside_agent.buffer.store import Store
from bedside_profiles.errors import WireError
from bedside_profiles.wire.alert import AlertNotice
from bedside_profiles.wire.fields import from_map, to_map

STATE = "alerts"
MOST = 64
"""Alerts remembered: the oldest heard of goes first."""


class AlertBook:
    """The newest notice of each alert."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._notices: dict[str, AlertNotice] = {}
        for one in self._saved():
            self._notices[one.alert_id] = one

    @property
    def notices(self) -> tuple[AlertNotice, ...]:
        """Every alert's newest notice, the one heard of last at the end."""
        return tuple(self._notices.values())

    def take(self, notice: AlertNotice) -> None:
        """Keep the notice unless it is not newer than the one before."""
        known = self._notices.pop(notice.alert_id, None)
        newest = notice if known is None or notice.version > known.version else known
        self._notices[notice.alert_id] = newest
        if newest is known:
            return
        while len(self._notices) > MOST:
            self._notices.pop(next(iter(self._notices)))
        content = [to_map(one) for one in self._notices.values()]
        self._store.put_state({STATE: json.dumps(content, separators=(",", ":")).encode()})

    def _saved(self) -> list[AlertNotice]:
        try:
            return [from_map(AlertNotice, one) for one in json.loads(self._store.state.get(STATE, b"[]"))]
        except (WireError, ValueError, TypeError):
            # Only what is shown is lost, and the cloud says it again with the next change.
            return []
