"""The program `bedside-agent`: the service for `run`, the technician's commands for everything else."""

import sys


def main() -> None:
    """Run what the arguments ask for."""
    command, *rest = sys.argv[1:] or [""]
    if command == "run" and "--help" not in rest:
        from bedside_agent.service import main as serve

        sys.exit(serve(rest))
    from bedside_agent.cli import main as answer

    answer()
