"""`make attack`: the whole grid, every case from every scope on every kind of machine, as a table.

    python -m attack [PROFILE...]

Ends with 1 when anything escaped, broke, or proved nothing.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

from attack import table
from attack.campaign import PROFILES, Findings, fight
from attack.grounds import SCOPES

# Campaigns wait for limits most of their time.
AT_ONCE = 2


def main() -> int:
    """Fight, print, and say whether the fence held."""
    names = sys.argv[1:] or list(PROFILES)
    campaigns = [(PROFILES[name], scope) for name in names for scope in SCOPES]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        fights = [pool.submit(fight, profile, [scope]) for profile, scope in campaigns]
        findings: list[Findings] = []
        for (profile, scope), waiting in zip(campaigns, fights, strict=True):
            print(f"{profile.name}, {scope} ...", file=sys.stderr)
            findings += waiting.result()
    print(*table.lines(findings), sep="\n")
    return int(any(found.escapes or found.failed for found in findings))


if __name__ == "__main__":
    sys.exit(main())
