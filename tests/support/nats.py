"""A real broker with the generated configuration, and MQTT clients as hubs are."""

import queue
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from bedside_cloud.contracts.service_map import SERVICES, ServiceEntry
from bedside_cloud.engines.broker import BrokerSecrets
from bedside_cloud.engines.certificates import authority
from bedside_cloud.engines.keys import new_user_seed
from bedside_cloud.supervisor.state import State
from bedside_profiles.wire.topics import DownLane, UpLane, subject

PATIENCE_SECONDS = 10.0
"""Far longer than anything here takes; a test that waits this long fails."""

HUB_PLAYER = ServiceEntry(
    name="hub-player",
    sees=(),
    publishes=tuple(subject("*", lane) for lane in UpLane),
    subscribes=tuple(subject("*", lane) for lane in DownLane),
)
"""A bus user of the tests that may say and hear what every hub may: a hub without MQTT."""

JANITOR = ServiceEntry(name="janitor", sees=(), publishes=("$JS.API.>",))
"""A bus user of the tests that may delete streams and consumers, as whoever holds the broker's store could."""

EXTRA_USERS = (HUB_PLAYER, JANITOR)


@dataclass(slots=True)
class TestBroker:
    """A broker of its own, below a state directory that holds the certificates and keys it was made with."""

    __test__ = False

    state: State
    log_file: Path
    process: subprocess.Popen[bytes] | None = None
    hub_player: str = HUB_PLAYER.name

    def start(self) -> None:
        """Start it, or start it again."""
        broker, secrets = self.state.broker, self.state.broker_secrets
        seeds = dict(secrets.seeds)
        for user in EXTRA_USERS:
            seed_file = self.state.seed_file(user.name)
            if not seed_file.exists():
                seed_file.write_text(new_user_seed())
            seeds[user.name] = seed_file.read_text()
        broker.prepare((*SERVICES, *EXTRA_USERS), BrokerSecrets(seeds, secrets.callout_seed, secrets.storage_key))
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(broker.command(), stdout=log, stderr=log, cwd="/")
        broker.wait_until_it_answers()

    def stop(self, *, kill: bool = False) -> None:
        """End it; with `kill` at once and without a word."""
        if self.process is None:
            return
        if kill:
            self.process.kill()
        else:
            self.process.terminate()
        self.process.wait(20)
        self.process = None

    def forget(self) -> None:
        """Delete the streams' store, as a broken disk does. The broker is stopped."""
        shutil.rmtree(self.state.broker.store)


@contextmanager
def running_broker(folder: Path) -> Iterator[TestBroker]:
    """A broker while the block runs."""
    broker = TestBroker(State.make(folder / "cloud"), folder / "broker.log")
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[TestBroker]:
    """A broker for this test alone."""
    with running_broker(tmp_path) as running:
        yield running


@dataclass(frozen=True, slots=True)
class HubCertificate:
    """A hub's certificate and key as files."""

    certificate_file: Path
    key_file: Path


def hub_certificate(
    state: State, folder: Path, hub_id: str, *, issued_at: datetime | None = None, life: timedelta = timedelta(days=30)
) -> HubCertificate:
    """A certificate as enrolment gives one; `issued_at` in the past makes an expired one."""
    issuing = state.certificates.issuing(state.issuing_passphrase.reveal())
    key = authority.new_key()
    certificate = authority.issue_hub(issuing, hub_id, key.public_key(), issued_at or datetime.now(UTC), life)
    folder.mkdir(parents=True, exist_ok=True)
    files = HubCertificate(folder / f"{hub_id}.pem", folder / f"{hub_id}.key")
    files.certificate_file.write_bytes(authority.certificate_pem(certificate, issuing.certificate))
    files.key_file.write_bytes(authority.key_pem(key))
    return files


@dataclass(slots=True)
class HubClient:
    """A synchronous MQTT 3.1.1 client. What happens to it is put into queues that a test takes from."""

    port: int
    ca_file: Path
    client_id: str
    certificate: HubCertificate | None = None
    will_topic: str | None = None
    connected: "queue.Queue[bool]" = field(default_factory=queue.Queue)
    disconnected: "queue.Queue[int]" = field(default_factory=queue.Queue)
    subscribed: "queue.Queue[bool]" = field(default_factory=queue.Queue)
    acknowledged: "queue.Queue[int]" = field(default_factory=queue.Queue)
    messages: "queue.Queue[tuple[str, bytes]]" = field(default_factory=queue.Queue)
    _client: Any = None

    def connect(self) -> bool:
        """Whether the broker let us in. A refused TLS handshake counts as a refusal."""
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=self.client_id, reconnect_on_failure=False)
        context = ssl.create_default_context(cafile=str(self.ca_file))
        if self.certificate is not None:
            context.load_cert_chain(str(self.certificate.certificate_file), str(self.certificate.key_file))
        client.tls_set_context(context)
        if self.will_topic is not None:
            client.will_set(self.will_topic, b"will", qos=1)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        self._client = client
        try:
            client.connect("127.0.0.1", self.port, keepalive=30)
        except (ssl.SSLError, ConnectionError):
            return False
        client.loop_start()
        return self.connected.get(timeout=PATIENCE_SECONDS)

    def subscribe(self, topic: str) -> bool:
        """Whether the broker granted the subscription; a broken connection counts as a refusal."""
        self._client.subscribe(topic, qos=1)
        return self.subscribed.get(timeout=PATIENCE_SECONDS)

    def publish(self, topic: str, body: bytes, qos: int = 1) -> None:
        """Send; `acknowledged` gets an entry when the broker has it."""
        self._client.publish(topic, body, qos=qos)

    def break_off(self) -> None:
        """Close the socket without a word, as a power cut does: the will is published."""
        self._client.socket().shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Leave cleanly."""
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()
            # paho leaves the pair of sockets that wakes its loop to the garbage collector.
            self._client._reset_sockets()

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, code: ReasonCode, _properties: Any) -> None:
        self.connected.put(not code.is_failure)

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, code: ReasonCode, _properties: Any) -> None:
        self.disconnected.put(code.value)
        # Whoever waits for an answer on this connection will not get one.
        self.connected.put(False)
        self.subscribed.put(False)

    def _on_subscribe(self, _client: Any, _data: Any, _mid: Any, codes: list[ReasonCode], _properties: Any) -> None:
        self.subscribed.put(not any(code.is_failure for code in codes))

    def _on_publish(self, _client: Any, _data: Any, mid: int, _code: Any, _properties: Any) -> None:
        self.acknowledged.put(mid)

    def _on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        self.messages.put((message.topic, bytes(message.payload)))
