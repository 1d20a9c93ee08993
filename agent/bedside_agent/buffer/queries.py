"""Named SQL: `-- name: …` headings in `queries.sql`, migrations in `schema/`."""

import functools
import re
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

_HEADING = re.compile(r"^-- name: ([a-z_]+)\n", re.MULTILINE)
_MIGRATION = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


@functools.cache
def queries() -> Mapping[str, str]:
    """Every named query of `queries.sql`."""
    parts = _HEADING.split(_text("queries.sql"))[1:]
    return MappingProxyType({name: sql.strip() for name, sql in zip(parts[::2], parts[1::2], strict=True)})


@functools.cache
def migrations() -> tuple[tuple[int, str], ...]:
    """Number and SQL of each migration, rising; one file is one transaction."""
    entries = files(__package__).joinpath("schema").iterdir()
    named = ((_MIGRATION.fullmatch(entry.name), entry) for entry in entries)
    return tuple(sorted((int(match[1]), entry.read_text(encoding="utf-8")) for match, entry in named if match))


def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
