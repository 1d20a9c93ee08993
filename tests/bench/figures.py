"""What a benchmark says."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """`value` in `unit`. `against` names what it is measured against in the same run, `ratio` is value / that."""

    figure: str
    value: float
    unit: str
    against: str | None = None
    ratio: float | None = None


def percentile(values: list[float], percent: float) -> float:
    """The nearest-rank percentile of at least one value."""
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[int(rank) - 1]
