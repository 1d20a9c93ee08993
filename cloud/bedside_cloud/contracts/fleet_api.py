"""What a technician's tools know of the gateway: `POST /api/v1/fleet/SUBJECT`, question and answer as on the bus.

Patients' names are in none of it.
"""

from bedside_cloud.contracts.message import Message

API = "/api/v1"
FLEET = "/fleet"
PLACE = "/fleet/place"
NO_ADDRESS = "There is no such address."
"""What the gateway says of a path that it does not have: a question that is not for technicians, say."""


class PlaceAnswer(Message):
    """Where hubs find this cloud, and whom they may trust there: `ca_sha256` is the root certificate's, in hex."""

    names: tuple[str, ...]
    hub_port: int
    est_port: int
    ca_sha256: str
