"""The steps of an episode of care. Pure."""

from bedside_cloud.contracts.registry import EpisodeState

STEPS: dict[EpisodeState | None, frozenset[EpisodeState]] = {
    None: frozenset({EpisodeState.PLANNED, EpisodeState.ACTIVE}),
    EpisodeState.PLANNED: frozenset({EpisodeState.ACTIVE, EpisodeState.ENDED}),
    EpisodeState.ACTIVE: frozenset({EpisodeState.PAUSED, EpisodeState.ENDED}),
    EpisodeState.PAUSED: frozenset({EpisodeState.ACTIVE, EpisodeState.ENDED}),
}
"""From the open episode's state (None: there is none) to the next. An ended one never comes back: a new one begins."""


def may_move(present: EpisodeState | None, wanted: EpisodeState) -> bool:
    """Whether the step exists. Staying where one is is no step."""
    return wanted in STEPS[present]
