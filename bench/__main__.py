"""`python -m bench [MODULE ...]`: measure, print the table, fail where a bound does not hold."""

import asyncio
import sys

from rich.console import Console
from rich.table import Table

from bench import checking, comparing, fencing, firing, idle, noop, polling, pushing, remote, saving, viewing
from bench.measure import Row

PARTS = {
    "idle": idle,
    "checking": checking,
    "firing": firing,
    "fencing": fencing,
    "remote": remote,
    "pushing": pushing,
    "comparing": comparing,
    "polling": polling,
    "noop": noop,
    "saving": saving,
    "viewing": viewing,
}


async def measured(names: list[str]) -> list[Row]:
    """The rows of the parts named, or of all."""
    rows = []
    for name in names or PARTS:
        print(f"measuring: {name} ...", file=sys.stderr)
        rows += await PARTS[name].rows()
    return rows


def table(rows: list[Row]) -> Table:
    made = Table(
        "figure", "ours", "against", "reference", "ratio", "allowed", "holds", box=None, header_style="bold"
    )
    for row in rows:
        reference = f"{row.reference:.2f} {row.unit}" if row.reference is not None else ""
        ratio = f"{row.ratio:.2f}" if row.ratio is not None else ""
        allowed = f"<= {row.allowed:g}" if row.allowed is not None else ""
        holds = "" if row.allowed is None else "yes" if row.holds else "NO"
        made.add_row(row.title, f"{row.ours:.2f} {row.unit}", row.against, reference, ratio, allowed, holds)
    return made


def main() -> None:
    rows = asyncio.run(measured(sys.argv[1:]))
    console = Console(width=170)
    console.print(table(rows))
    for row in rows:
        if row.note:
            console.print(f"{row.title}: {row.note}", style="dim")
    sys.exit(0 if all(row.holds for row in rows) else 1)


if __name__ == "__main__":
    main()
