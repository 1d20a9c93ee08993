"""Fixtures that every test of the cloud may ask for."""

from tests.support.database import database, postgres_cluster
from tests.support.nats import broker

__all__ = ["broker", "database", "postgres_cluster"]
