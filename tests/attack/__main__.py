"""`make attack`: the whole grid, every case from every scope on every kind of machine, as a table.

    python -m attack [PROFILE...]

`make attack` first installs what `make test` does too: the development packages into .venv, and the tools and
the Claude Code that tests use. Nothing outside of this folder is changed.

Ends with 1 when anything escaped, broke, or proved nothing.
"""

import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from attack import table
from attack.campaign import PROFILES, Findings, Profile, fight
from attack.grounds import SCOPES

# Campaigns wait for limits most of their time.
AT_ONCE = 2

# What one campaign takes on a machine with two processors (seconds); it is only for the first estimate.
TYPICAL = 15.0


def main() -> int:
    """Fight, print, and say whether the fence held."""
    names = sys.argv[1:] or list(PROFILES)
    campaigns = [(PROFILES[name], scope) for name in names for scope in SCOPES]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        fights = {pool.submit(fight, profile, [scope]): (profile, scope) for profile, scope in campaigns}
        began = time.monotonic()
        print(f"{len(fights)} campaigns; about {_minutes(len(fights) * TYPICAL / AT_ONCE)}.", file=sys.stderr)
        for done, ended in enumerate(as_completed(fights), start=1):
            profile, scope = fights[ended]
            left = (time.monotonic() - began) / done * (len(fights) - done)
            told = progress(done, len(fights), profile, scope, ended.result())
            print(f"{told}; about {_minutes(left)} left" if left else told, file=sys.stderr)
    findings = [found for ended in fights for found in ended.result()]
    print(*table.lines(findings), sep="\n")
    return int(any(found.escapes or found.failed for found in findings))


def progress(done: int, of: int, profile: Profile, scope: str, findings: Sequence[Findings]) -> str:
    """One line about a campaign that has ended."""
    escapes = sum(len(found.escapes) for found in findings)
    return f"{done} of {of}: {profile.name}, {scope}, {escapes} escapes"


def _minutes(seconds: float) -> str:
    minutes = max(round(seconds / 60), 1)
    return "a minute" if minutes == 1 else f"{minutes} minutes"


if __name__ == "__main__":
    sys.exit(main())
