"""`make fuzz NAME=serial.masimo_ascii CASES=1000000`: damaged streams into one framer, or into all without a NAME.

Every case says some sets, damages the stream within what its format can bear (`specimens`), feeds the framer, and
fails on a value that was not said, on one out of order, and on any exception. One JSON line a framer comes out; the
first failure ends the run with 1, and its seed makes the very case again (`SEED=… CASES=1`).

With STEERED=1 a coverage-guided fuzzer makes the choices: see `steered`.
"""

import os
import sys

from tests.fuzz.case import run
from tests.fuzz.choices import Dice
from tests.fuzz.specimens import SPECIMENS, Specimen
from tests.fuzz.tally import Tally, progress_bar


def with_dice(specimen: Specimen, first_seed: int, tally: Tally, cases: int) -> str | None:
    """The first failure in words; None when there was none."""
    for seed in range(first_seed, first_seed + cases):
        try:
            told = run(specimen, Dice(seed))
        except Exception as error:
            return f"{specimen.profile.name}, SEED={seed}: {type(error).__name__}: {error}"
        tally.count(told)
    tally.say(specimen.guard.value, steered=False)
    return None


def main() -> int:
    name, cases = os.environ.get("NAME", ""), int(os.environ.get("CASES") or 1_000_000)
    names = [name] if name else list(SPECIMENS)
    if name and name not in SPECIMENS:
        print(f"There is no serial framer {name!r}. Choose one of: {', '.join(SPECIMENS)}", file=sys.stderr)
        return 2
    with progress_bar() as progress:
        for one in names:
            tally = Tally(one, cases, progress)
            failure = with_dice(SPECIMENS[one], int(os.environ.get("SEED") or 0), tally, cases)
            if failure is not None:
                print(failure, file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
