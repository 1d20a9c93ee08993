"""One log format for every process: time, level, service, event with fields.

What an exception says may quote a patient's name or a value (PostgreSQL names the key that is there twice, pydantic
the input that it did not like), so a traceback is logged with the texts of our own and the system's errors alone.
"""

import logging
import sys
import traceback
from types import TracebackType

ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

_OWN = "bedside_"


class SafeFormatter(logging.Formatter):
    """Writes where an exception came from and what it is, not what it quotes."""

    def formatException(self, ei: ExceptionInfo) -> str:  # noqa: N802 - the base class's name
        """Frames and type of an exception and of what caused it."""
        return "" if ei[1] is None else "\n".join(_lines(ei[1]))


def _lines(error: BaseException) -> list[str]:
    lines = []
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        lines += [*_lines(cause), "which led to:"]
    for frame in traceback.extract_tb(error.__traceback__):
        lines.append(f"  {frame.filename}:{frame.lineno} in {frame.name}")
    lines.append(f"{type(error).__module__}.{type(error).__qualname__}{_safe_text(error)}")
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            lines += [f"  | {line}" for line in _lines(part)]
    return lines


def _safe_text(error: BaseException) -> str:
    ours = type(error).__module__.startswith(_OWN)
    return f": {error}" if ours or isinstance(error, OSError) else ""


def set_up_logs(service: str, *, verbose: bool = False) -> None:
    """Log to standard error. Libraries log from warning up, so that none of them prints a payload.

    An exception that ends the process is logged in the same way.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(SafeFormatter(f"%(asctime)s %(levelname)s {service} %(name)s %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    # asyncio warns of every TLS connection that the other side closes, which is how a broker says goodbye.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    logging.getLogger("bedside_cloud").setLevel(logging.DEBUG if verbose else logging.INFO)
    sys.excepthook = _log_the_end


def _log_the_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("bedside_cloud").critical("process_ends", exc_info=(kind, error, trace))
