"""Log lines: an event's name and its fields, one line each. What stands in them is for technicians, never a patient."""

import logging
import sys

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class EventFormatter(logging.Formatter):
    """`warning uplink.lost reason="…"`. The time is the journal's."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; an exception that was logged follows on its own lines."""
        fields = (f" {name}={_quoted(value)}" for name, value in vars(record).items() if name not in _PLAIN)
        line = f"{record.levelname.lower()} {record.getMessage()}{''.join(fields)}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def log_to_stderr(*, verbose: bool) -> None:
    """Events of the agent from info on (debug when verbose), warnings of everything else."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(EventFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("bedside_agent").setLevel(logging.DEBUG if verbose else logging.INFO)


def _quoted(value: object) -> str:
    text = str(value).replace("\n", " ").replace('"', "'")
    return f'"{text}"' if " " in text or not text else text
