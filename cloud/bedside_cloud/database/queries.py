"""SQL in files: a statement begins with `-- name: the_name` and ends where the next one begins."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

_NAME = re.compile(r"^-- name: ([a-z0-9_]+)$", re.MULTILINE)


class Queries(Mapping[str, bytes]):
    """The named statements of one file, encoded as psycopg takes them from a trusted source."""

    def __init__(self, path: Path) -> None:
        parts = _NAME.split(path.read_text(encoding="utf-8"))
        names, texts = parts[1::2], parts[2::2]
        if len(set(names)) != len(names):
            raise ValueError(f"{path.name}: a name stands twice")
        self._statements = {name: text.strip().encode() for name, text in zip(names, texts, strict=True)}

    def __getitem__(self, name: str) -> bytes:
        return self._statements[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._statements)

    def __len__(self) -> int:
        return len(self._statements)
