"""The base of every message between services: JSON, strict in types, blind to fields it does not know."""

from pydantic import BaseModel, ConfigDict


class Message(BaseModel):
    """A message on the bus. Frozen; unknown fields are ignored, so that services can be upgraded one by one."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_bytes="base64", val_json_bytes="base64")


class Empty(Message):
    """A request or an answer that says nothing but that it came."""
