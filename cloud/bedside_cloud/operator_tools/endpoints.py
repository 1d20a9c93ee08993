"""`bedside-cloud endpoints`: where everything of this installation is, for programs that watch or test it."""

from pydantic import Field

from bedside_cloud.contracts.message import Message
from bedside_cloud.operator_tools.options import JsonOption, StateOption
from bedside_cloud.operator_tools.printing import as_json, say
from bedside_cloud.settings import DEFAULT_STATE
from bedside_cloud.supervisor.state import State


class Endpoints(Message):
    """`database_dsn` is the superuser's and holds its password; the other addresses are no secrets."""

    gateway_url: str
    est_url: str
    broker_host: str
    broker_port: int
    ca_file: str
    database_dsn: str = Field(repr=False)


def endpoints(state: StateOption = DEFAULT_STATE, json: JsonOption = False) -> None:
    """Where console, broker, enrolment and database are. Prints the database's password only with --json.

    Example: bedside-cloud endpoints --json
    """
    opened = State.open(state.absolute())
    place = opened.place
    found = Endpoints(
        gateway_url=f"http://127.0.0.1:{place.ports.gateway}",
        est_url=f"https://{place.names[0]}:{place.ports.est}",
        broker_host=place.names[0],
        broker_port=place.ports.hubs,
        ca_file=str(opened.certificates.ca_file),
        database_dsn=opened.postgres.dsn(),
    )
    if json:
        as_json(found)
        return
    say(f"console    {found.gateway_url}")
    say(f"hubs       {found.broker_host}:{found.broker_port}")
    say(f"enrolment  {found.est_url}")
    say(f"CA         {found.ca_file}")
    say("database   the connection string with its password is printed by --json")
