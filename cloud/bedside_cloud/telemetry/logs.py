"""One log format for every process: time, level, service, event with fields."""

import logging
import sys


def set_up_logs(service: str, *, verbose: bool = False) -> None:
    """Log to standard error. Libraries log from warning up, so that none of them prints a payload."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(f"%(asctime)s %(levelname)s {service} %(name)s %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    # asyncio warns of every TLS connection that the other side closes, which is how a broker says goodbye.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    logging.getLogger("bedside_cloud").setLevel(logging.DEBUG if verbose else logging.INFO)
