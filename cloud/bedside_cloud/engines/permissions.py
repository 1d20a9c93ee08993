"""From the declared map to what the broker lets each bus user say and hear. Pure."""

from dataclasses import dataclass

from bedside_cloud.contracts.service_map import ServiceEntry


@dataclass(frozen=True, slots=True)
class Permissions:
    """Subjects that a user may publish to and subscribe to; anything else is refused."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def permissions_of(service: ServiceEntry) -> Permissions:
    """What the map's row allows, and what asking, answering and consuming need under the hood."""
    inbox = f"_INBOX.{service.name}.>"
    publish = [*service.publishes, *service.requests]
    subscribe = [*service.subscribes, *service.serves, inbox]
    if service.serves:
        for verb in ("PING", "INFO", "STATS"):
            subscribe += [f"$SRV.{verb}", f"$SRV.{verb}.{service.name}", f"$SRV.{verb}.{service.name}.*"]
    for stream in service.streams:
        publish += _stream_subjects(stream)
    return Permissions(tuple(publish), tuple(subscribe))


def _stream_subjects(stream: str) -> tuple[str, ...]:
    """Making one stream and its consumers, reading them, and acknowledging; never deleting or purging."""
    return (
        f"$JS.API.STREAM.INFO.{stream}",
        f"$JS.API.STREAM.CREATE.{stream}",
        f"$JS.API.STREAM.UPDATE.{stream}",
        f"$JS.API.CONSUMER.CREATE.{stream}.>",
        f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.>",
        f"$JS.API.CONSUMER.INFO.{stream}.>",
        f"$JS.API.CONSUMER.MSG.NEXT.{stream}.>",
        f"$JS.ACK.{stream}.>",
    )
