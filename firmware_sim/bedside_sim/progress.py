"""What the demonstration is doing: a line a step, with the seconds it took."""

import time
from typing import Any

from rich.console import Console

from bedside_profiles.readings import METRICS, Metric


class Silent:
    """Says nothing: for programs that use what the demonstration is made of."""

    current = ""

    def step(self, text: str) -> None:
        """The next step begins."""
        self.current = text


class Progress(Silent):
    """Says each step once, with the time since the start. On a terminal the present step has a moving mark."""

    def __init__(self, console: Console, *, animated: bool) -> None:
        self._console = console
        self._begun = time.monotonic()
        self._status = console.status("") if animated else None
        self.current = "the start"

    def step(self, text: str) -> None:
        self.current = text
        self._line(text)
        if self._status is not None:
            self._status.update(text)
            self._status.start()

    def say_alert(self, alert: dict[str, Any]) -> None:
        """The first alert is visible."""
        metric = Metric(alert["metric"])
        facts = METRICS[metric]
        self._line(
            f"First alert in the console: {facts.label} {alert['value']:.{facts.decimals}f} {facts.unit}, "
            f"limit {alert['limit']:g}, priority {alert['priority']}"
        )

    def say_where(self, gateway_url: str, page_url: str, passwords: dict[str, str]) -> None:
        """Where to look, and how to get in."""
        self._console.print()
        self._console.print(f"  Console   {gateway_url}", highlight=False)
        self._console.print(f"  Patient   {page_url}", highlight=False)
        for name, password in passwords.items():
            self._console.print(f"  Log in    {name}  {password}", highlight=False)
        self._console.print()

    def done(self) -> None:
        """Nothing moves any more."""
        if self._status is not None:
            self._status.stop()
        self._line("Stopped")

    def _line(self, text: str) -> None:
        self._console.print(f"{time.monotonic() - self._begun:6.1f} s  {text}", highlight=False, soft_wrap=True)
