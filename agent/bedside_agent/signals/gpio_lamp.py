"""A lamp on a GPIO line, through libgpiod: the only importer of gpiod, and of an optional extra."""

import gpiod
from gpiod.line import Direction, Value

from bedside_agent.signals.signal import SignalError


class GpioLamp:
    """See `light.Lamp`. `chip` is a device file, `line` the offset of the lamp's line on it; high is on."""

    def __init__(self, chip: str, line: int) -> None:
        self._chip = chip
        self._line = line
        self._request: gpiod.LineRequest | None = None

    def switch(self, on: bool) -> None:
        """See `light.Lamp`. The line is taken with the first switch and kept."""
        try:
            if self._request is None:
                settings = gpiod.LineSettings(direction=Direction.OUTPUT, output_value=Value.INACTIVE)
                self._request = gpiod.request_lines(self._chip, consumer="bedside", config={self._line: settings})
            self._request.set_value(self._line, Value.ACTIVE if on else Value.INACTIVE)
        except (OSError, ValueError) as cause:
            raise SignalError(f"{self._chip} line {self._line}: the light cannot be switched ({cause})") from cause
