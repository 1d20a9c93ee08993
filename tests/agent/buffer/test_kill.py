"""SIGKILL at random moments, at every rate: the short form of the benchmark, twenty kills."""

from tests.bench.hub import kill9


async def test_nothing_acknowledged_is_lost_and_no_sequence_stands_twice() -> None:
    figures = {figure.figure: figure.value for figure in await kill9.measure(long=False)}
    assert figures["acknowledged"] > 200
    assert (figures["kills"], figures["acknowledged_lost"], figures["sequences_twice"]) == (20, 0, 0)
