"""What the tests of the uplink share."""

from tests.support.database import database, postgres_cluster
from tests.support.virtual_link import at_once

__all__ = ["at_once", "database", "postgres_cluster"]
