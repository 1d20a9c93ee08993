"""What a hub that runs for months must not do."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

import pytest

ROOT = Path(__file__).parents[2]
RUNNING = sorted(path for package in ("agent", "device_profiles") for path in (ROOT / package).rglob("*.py"))


LAZY = {"map", "filter", "zip", "reversed"}


def generators_made_tuples(source: str) -> Iterator[int]:
    """The lines of `tuple(… for …)`, and of `tuple(map(…))` and its like."""
    for node in ast.walk(ast.parse(source)):
        if _calls(node, {"tuple"}) and any(
            isinstance(argument, ast.GeneratorExp) or _calls(argument, LAZY) for argument in node.args
        ):
            yield node.lineno


def _calls(node: ast.AST, names: set[str]) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


@pytest.mark.parametrize("path", RUNNING, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_tuple_is_grown_from_a_generator(path: Path) -> None:
    """CPython begins such a tuple with ten places and cuts it to size; freed, it lies in the list of free tuples of its
    size, from which a later one is never taken. Up to 2,000 of each size gather: megabytes, over the first hour.
    `tuple([… for …])` takes from the list what it gives back."""
    assert list(generators_made_tuples(path.read_text(encoding="utf-8"))) == []


def test_the_check_sees_one() -> None:
    assert list(generators_made_tuples("a = 1\nb = tuple(one for one in range(a))\nc = tuple(map(str, b))")) == [2, 3]
