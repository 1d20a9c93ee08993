"""`make fuzz STEERED=1 NAME=… CASES=…`: the same cases, their choices made by a coverage-guided fuzzer (atheris).

It learns which choices lead into new branches of the profiles. After a failure it ends with 77 and writes down the
bytes that steered the case (`crash-…`); given such a file (`INPUT=…`), it runs that case alone. The only importer of
atheris, which `make fuzz-tools` installs; nothing else needs it.
"""

import os
import sys

import atheris

with atheris.instrument_imports(include=["bedside_profiles"]):
    from tests.fuzz.case import run
    from tests.fuzz.choices import Steered
    from tests.fuzz.specimens import SPECIMENS
    from tests.fuzz.tally import Tally, progress_bar

LONGEST_INPUT = 512
"""Bytes that steer one case: more than it has choices."""


def main() -> None:
    """Ends the process."""
    name, cases = os.environ.get("NAME", ""), int(os.environ.get("CASES") or 1_000_000)
    if name not in SPECIMENS:
        sys.exit(f"Name one serial framer: {', '.join(SPECIMENS)}")
    progress = progress_bar()
    progress.start()
    tally = Tally(name, cases, progress)

    def one(data: bytes) -> None:
        tally.count(run(SPECIMENS[name], Steered(data)))
        if tally.done == cases:
            progress.stop()
            tally.say(SPECIMENS[name].guard.value, steered=True)
            os._exit(0)  # libFuzzer would go on, or print a dictionary for a page

    given = [os.environ["INPUT"]] if os.environ.get("INPUT") else [f"-max_len={LONGEST_INPUT}"]
    atheris.Setup([sys.argv[0], *given, "-len_control=0", "-verbosity=0", "-print_final_stats=0"], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
