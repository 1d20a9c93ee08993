"""`make bench NAME=journey.latency`: runs `tests/bench/journey/latency.py` and prints one JSON line a figure.

LONG=1 in the environment asks for the long form. A benchmark is a module with `async def measure(long: bool)` that
returns its figures.
"""

import asyncio
import importlib
import json
import os
import re
import sys
from dataclasses import asdict
from pathlib import Path

from tests.bench.figures import Figure

HERE = Path(__file__).parent


def names() -> list[str]:
    """Every benchmark there is."""
    return sorted(
        ".".join(path.relative_to(HERE).with_suffix("").parts)
        for path in HERE.glob("*/*.py")
        if "async def measure(" in path.read_text(encoding="utf-8")
    )


def main() -> int:
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if not re.fullmatch(r"[a-z0-9_]+\.[a-z0-9_]+", name) or name not in names():
        print(f"There is no benchmark {name!r}. Choose one of: {', '.join(names())}", file=sys.stderr)
        return 2
    module = importlib.import_module(f"tests.bench.{name}")
    figures: list[Figure] = asyncio.run(module.measure(long=bool(os.environ.get("LONG"))))
    for figure in figures:
        print(json.dumps({"bench": name, **asdict(figure)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
